import { readdirSync, readFileSync } from 'node:fs';

/**
 * A request in the corpus: its head as lines, and its body. In the files lines end in LF, `{session}` stands for a
 * legacy session at the path, `{batch-session}` for one of 2025-03-26, and `{length}` for the length of the body.
 * `{chunks}` in front of a body says that it goes out in chunks.
 */
export interface Seed {
  readonly name: string;
  readonly lines: readonly string[];
  readonly body: string;
  readonly isChunked: boolean;
}

const FOLDER = new URL('./corpus/', import.meta.url);
const CHUNKS = '{chunks}';

/** All seeds, in the order of their names. */
export function readCorpus(): Seed[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.txt'))
    .sort()
    .map((file) => {
      const text = readFileSync(new URL(file, FOLDER), 'utf8');
      const headEnd = text.indexOf('\n\n');
      const body = text.slice(headEnd + 2);
      const isChunked = body.startsWith(CHUNKS);
      return {
        name: file.slice(0, -'.txt'.length),
        lines: text.slice(0, headEnd).split('\n'),
        body: isChunked ? body.slice(CHUNKS.length) : body,
        isChunked,
      };
    });
}

/** The path in the first line of a head, where it has one. */
function pathOf(lines: readonly string[]): string {
  return lines[0]?.split(' ')[1]?.split('?')[0] ?? '';
}

/** Legacy sessions that requests may name. */
export interface Sessions {
  /** One at the path, or nothing. */
  at(path: string): string;
  /** One that has batches. */
  readonly forBatches: string;
}

/** The bytes of a request. */
export function bytesOf({ lines, body, isChunked }: Omit<Seed, 'name'>, sessions: Sessions): Buffer {
  const content = Buffer.from(body);
  const session = sessions.at(pathOf(lines));
  const head = lines
    .map((line) =>
      line
        .replace('{session}', session)
        .replace('{batch-session}', sessions.forBatches)
        .replace('{length}', String(content.length)),
    )
    .join('\r\n');
  const framed = isChunked
    ? Buffer.concat([
        Buffer.from(`${content.length.toString(16)}\r\n`),
        content,
        Buffer.from('\r\n0\r\n\r\n'),
      ])
    : content;
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), framed]);
}
