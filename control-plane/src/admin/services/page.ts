import { AdminError } from '../admin-error.js';

const DEFAULT_PAGE_COUNT = 100;
export const MAX_PAGE_COUNT = 1_000;

/** @throws AdminError for a page that is too large */
export function pageCount(pageSize: number): number {
  if (pageSize > MAX_PAGE_COUNT) throw AdminError.field('page_size', `is at most ${MAX_PAGE_COUNT}`);
  return pageSize || DEFAULT_PAGE_COUNT;
}

/** A token is where the page before ended. It is not secret, only nobody's business. */
export function pageToken(end: string): string {
  return Buffer.from(end).toString('base64url');
}

/** @throws AdminError for what no answer had */
export function pageEnd(token: string): string {
  const end = Buffer.from(token, 'base64url').toString();
  if (pageToken(end) !== token)
    throw AdminError.field('page_token', 'is none that an answer had; leave it out to begin anew');
  return end;
}
