/** What a caller waits for: `none`, `any`, `all`, `region:NAME` or `N%`. */
import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import type { Wait } from '../../fleet/fleet-view.js';
import { AdminError } from '../admin-error.js';

const DEFAULT_DEADLINE_MS = 30_000;
const MAX_DEADLINE_MS = 10 * 60_000;

/**
 * @returns undefined for `none`
 * @throws AdminError for anything else
 */
export function parseWait(field: string, text: string): Wait | undefined {
  if (text === 'none') return undefined;
  if (text === 'any' || text === 'all') return { kind: text };
  const region = /^region:(.+)$/.exec(text)?.[1];
  if (region !== undefined) return { kind: 'region', region };
  const percent = Number(/^(\d{1,3})%$/.exec(text)?.[1] ?? 0);
  if (percent >= 1 && percent <= 100) return { kind: 'share', percent };
  throw AdminError.field(field, 'has to be none, any, all, region:NAME, or a share from 1% to 100%');
}

/** @throws AdminError for a negative time, or one that is too long */
export function deadlineMsOf(field: string, deadline: Duration | undefined): number {
  if (deadline === undefined) return DEFAULT_DEADLINE_MS;
  const ms = durationMs(deadline);
  if (ms >= 0 && ms <= MAX_DEADLINE_MS) return ms;
  throw AdminError.field(field, `is from 0s to ${MAX_DEADLINE_MS / 1_000}s`);
}
