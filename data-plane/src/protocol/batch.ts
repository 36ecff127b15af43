/** Batches of JSON-RPC messages, which only revision 2025-03-26 has (basic, "Batching"). */

export function hasBatches(revision: string): boolean {
  return revision === '2025-03-26';
}

/** Responses as the one message that answers a batch. */
export function batchOf(messages: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from('[')];
  for (const [i, message] of messages.entries()) {
    if (i > 0) parts.push(Buffer.from(','));
    parts.push(message);
  }
  parts.push(Buffer.from(']'));
  return Buffer.concat(parts);
}
