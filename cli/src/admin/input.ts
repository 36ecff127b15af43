import { UsageError } from './surroundings.js';

/** All of stdin. */
export async function textOf(input: AsyncIterable<string | Buffer>, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    chunks.push(Buffer.from(chunk));
    bytes += chunk.length;
    if (bytes > maxBytes) throw new UsageError(`stdin has more than ${maxBytes} bytes`);
  }
  return Buffer.concat(chunks).toString('utf8');
}
