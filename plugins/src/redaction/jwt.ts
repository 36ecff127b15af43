/** JSON Web Tokens in compact form (RFC 7515, section 7.1; RFC 7516, section 7.1) inside of a text. */
import type { Found } from './detectors.js';

/** Bounds what a text of nothing but beginnings costs. */
const MAX_HEADER_LENGTH = 2_048;
const MAX_PART_LENGTH = 16_384;
const HEADER = /^[A-Za-z0-9_-]{4,}$/;
const PARTS = new RegExp(`(?:\\.[A-Za-z0-9_-]{0,${MAX_PART_LENGTH}}){2,4}`, 'y');

export function jwtAt(text: string, start: number): Found | undefined {
  // Behind `{"` begins a name; this alone rules out most of what only begins so.
  const first = Buffer.from(text.slice(start, start + 4), 'base64')[2];
  if (first === undefined || !/[\w\s"]/.test(String.fromCharCode(first))) return undefined;
  const near = text.slice(start, start + MAX_HEADER_LENGTH + 1);
  const dot = near.indexOf('.');
  const header = near.slice(0, dot);
  if (dot === -1 || !HEADER.test(header) || !isHeader(header)) return undefined;
  PARTS.lastIndex = start + header.length;
  const parts = PARTS.exec(text)?.[0];
  if (parts === undefined) return undefined;
  // A dot behind it ends a sentence; one that is not signed ends with its own.
  const isSentence = parts.endsWith('.') && parts.split('.').length > 3;
  const secret = header + (isSentence ? parts.slice(0, -1) : parts);
  return { start, end: start + secret.length, secret };
}

function isHeader(part: string): boolean {
  try {
    const header = JSON.parse(Buffer.from(part, 'base64url').toString()) as { alg?: unknown } | null;
    return typeof header === 'object' && header !== null && typeof header.alg === 'string';
  } catch {
    return false;
  }
}
