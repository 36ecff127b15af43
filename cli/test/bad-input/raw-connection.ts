import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A whole answer as it came. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Longer than any limit of the gateway that these tests wait for. */
const PATIENCE_MS = 25_000;

const HEAD_END = '\r\n\r\n';

/** A connection on which exactly the bytes go out that a test says, and that shows what comes back. */
export class RawConnection {
  /** What came and has not been taken as an answer; one character for each byte. */
  received = '';
  private closed = false;
  private wake: () => void = () => undefined;

  private constructor(readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1');
      this.wake();
    });
    // A reset ends a connection as well as anything else.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.wake();
    });
  }

  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return new RawConnection(socket);
  }

  send(data: string | Buffer): void {
    if (!this.socket.destroyed) this.socket.write(data);
  }

  /** The next whole answer, or undefined when the connection ends before there is one. */
  async answer(): Promise<RawAnswer | undefined> {
    let taken = takeAnswer(this.received, this.closed);
    while (taken === undefined && !this.closed) {
      await this.more();
      taken = takeAnswer(this.received, this.closed);
    }
    if (taken === undefined) return undefined;
    this.received = taken.rest;
    return taken.answer;
  }

  /** Waits until the gateway has ended the connection. */
  async end(): Promise<void> {
    while (!this.closed) await this.more();
  }

  close(): void {
    this.socket.destroy();
  }

  private more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(
        () => reject(new Error(`Nothing more came behind ${JSON.stringify(this.received.slice(0, 500))}`)),
        PATIENCE_MS,
      );
      this.wake = () => {
        clearTimeout(limit);
        resolve();
      };
    });
  }
}

/** @param isAll nothing more will come: an answer without a length ends there (RFC 9112 section 6.3) */
export function takeAnswer(text: string, isAll: boolean): { answer: RawAnswer; rest: string } | undefined {
  const headEnd = text.indexOf(HEAD_END);
  if (headEnd === -1) return undefined;
  const [line = '', ...fields] = text.slice(0, headEnd).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1]);
  if (Number.isNaN(status)) throw new Error(`Not a status line: ${JSON.stringify(line.slice(0, 200))}`);
  const headers = Object.fromEntries(
    fields.map((field) => [
      field.slice(0, field.indexOf(':')).toLowerCase(),
      field.slice(field.indexOf(':') + 1).trim(),
    ]),
  );
  const rest = text.slice(headEnd + HEAD_END.length);
  if (status === 100) return takeAnswer(rest, isAll);
  const body =
    headers['transfer-encoding'] === 'chunked' ? takeChunks(rest) : takeCounted(rest, headers, isAll);
  return body && { answer: { status, headers, body: body.body }, rest: body.rest };
}

function takeCounted(text: string, headers: Readonly<Record<string, string>>, isAll: boolean) {
  const said = headers['content-length'];
  if (said === undefined) return isAll ? { body: text, rest: '' } : undefined;
  const length = Number(said);
  return text.length < length ? undefined : { body: text.slice(0, length), rest: text.slice(length) };
}

function takeChunks(text: string): { body: string; rest: string } | undefined {
  let body = '';
  for (let at = 0; ; ) {
    const lineEnd = text.indexOf('\r\n', at);
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (lineEnd === -1 || text.length < end) return undefined;
    if (size === 0) return { body, rest: text.slice(end) };
    body += text.slice(lineEnd + 2, end - 2);
    at = end;
  }
}
