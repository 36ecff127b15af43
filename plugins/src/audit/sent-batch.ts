/** Records on their way over NATS: a batch as text, and back. */
import type { NewRecord } from './audit-file.js';
import { isTooDeep } from './depth.js';

/** Each batch is one message; the most that is taken as one is 512 KiB. */
const MAX_TEXT_BYTES = 400 * 1024;
const MAX_NODE_LENGTH = 63;

/** @returns as many texts as are needed, each of a whole number of records. */
export function sentBatches(records: readonly NewRecord[]): string[] {
  const texts: string[] = [];
  let parts: string[] = [];
  let bytes = 0;
  for (const { id, timeMs, open, personal } of records) {
    const text = JSON.stringify([id, timeMs, open, personal ?? null]);
    const own = Buffer.byteLength(text) + 1;
    if (parts.length > 0 && bytes + own > MAX_TEXT_BYTES) {
      texts.push(`[${parts.join()}]`);
      [parts, bytes] = [[], 0];
    }
    parts.push(text);
    bytes += own;
  }
  if (parts.length > 0) texts.push(`[${parts.join()}]`);
  return texts;
}

/**
 * The records of a batch, each with the node that it comes from.
 *
 * @throws Error when it is no batch.
 */
export function receivedBatch(text: string, node: string): NewRecord[] {
  const own: unknown = JSON.parse(text);
  if (!Array.isArray(own)) throw new Error('it is no list of records');
  return own.map((each) => receivedRecord(each, node.slice(0, MAX_NODE_LENGTH)));
}

function receivedRecord(value: unknown, node: string): NewRecord {
  if (!Array.isArray(value)) throw new Error('it holds what is no record');
  const [id, timeMs, open, personal] = value as unknown[];
  const isRecord =
    typeof id === 'string' &&
    Number.isSafeInteger(timeMs) &&
    typeof open === 'string' &&
    (typeof personal === 'string' || personal === null);
  if (!isRecord) throw new Error('it holds what is no record');
  const parsed = JSON.parse(open) as { kind?: unknown; id?: unknown; time?: unknown };
  const isOwn = parsed.id === id && Date.parse(String(parsed.time)) === timeMs;
  // Records about records are written where the chain is, and nowhere else.
  if (!isOwn || !['exchange', 'refused', 'gap'].includes(String(parsed.kind)))
    throw new Error(`record ${JSON.stringify(id)} is none that a node makes`);
  if (personal !== null) JSON.parse(personal);
  if (isTooDeep(open) || (personal !== null && isTooDeep(personal)))
    throw new Error(`record ${JSON.stringify(id)} is nested too deeply`);
  return {
    id,
    timeMs: timeMs as number,
    open: JSON.stringify({ ...parsed, node }),
    personal: personal ?? undefined,
  };
}
