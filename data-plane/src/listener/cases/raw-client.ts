import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';

/** An answer as it stood on the wire. */
export interface RawResponse {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Sizes of the chunks of a chunked answer. */
  readonly chunkSizes: readonly number[];
}

const FIRST_CAPACITY_BYTES = 64 * 1024;

/** Time between two packets of a slow reader. */
const SLOW_READ_MS = 1;

const HEAD_END = '\r\n\r\n';

/** A client that sends exactly the bytes it is told and shows exactly the bytes that come back. */
export class RawClient {
  /** True once the other side ended or reset the connection. */
  isClosed = false;
  #bytes = Buffer.allocUnsafe(FIRST_CAPACITY_BYTES);
  #start = 0;
  #end = 0;
  readonly #wakers = new Set<() => void>();

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => {
      this.#append(chunk);
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
    onTestFinished(() => {
      socket.destroy();
    });
  }

  static async open(port: number): Promise<RawClient> {
    const client = new RawClient(connect(port, '127.0.0.1'));
    await client.#opened('connect');
    return client;
  }

  static async openTls(port: number, servername?: string): Promise<RawClient> {
    const client = new RawClient(
      connectTls({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ...(servername ? { servername } : {}),
      }),
    );
    await client.#opened('secureConnect');
    return client;
  }

  /** Common name of the server's certificate. */
  get serverName(): string {
    const name = (this.socket as TLSSocket).getPeerCertificate().subject.CN;
    return Array.isArray(name) ? name.join() : String(name);
  }

  /** What has come and was not taken. */
  get received(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  /** Sends text as latin-1, or bytes. */
  send(data: string | Buffer): void {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** Sends the parts in packets of their own. */
  async sendInParts(parts: Iterable<string>): Promise<void> {
    this.socket.setNoDelay(true);
    for (const part of parts) {
      this.send(part);
      await pause(2);
    }
  }

  /** Waits until the server has ended the connection. */
  async closed(): Promise<void> {
    await this.until(() => this.isClosed);
  }

  /** Waits until `reached` is true of what has come. */
  async until(reached: () => boolean): Promise<void> {
    while (!reached()) {
      if (this.isClosed)
        throw new Error(`The connection ended after ${JSON.stringify(this.text.slice(0, 400))}`);
      await new Promise<void>((resolve) => this.#wakers.add(resolve));
    }
  }

  /** Takes the next whole answer out of what came. */
  async response(isHead = false): Promise<RawResponse> {
    await this.until(() => this.received.includes(HEAD_END));
    const head = parseHead(this.take(this.received.indexOf(HEAD_END)).toString('latin1'));
    this.take(HEAD_END.length);
    if (isHead || head.status === 204 || head.status === 100)
      return { ...head, body: Buffer.alloc(0), chunkSizes: [] };
    if (head.headers['transfer-encoding'] === 'chunked') return { ...head, ...(await this.#chunked()) };
    const length = Number(head.headers['content-length']);
    await this.until(() => this.received.length >= length);
    return { ...head, body: this.take(length), chunkSizes: [] };
  }

  /** Takes bytes off the front of what came. */
  take(count: number): Buffer {
    const bytes = Buffer.from(this.received.subarray(0, count));
    this.#start += bytes.length;
    return bytes;
  }

  /** Decodes chunks until `enough` bytes of content have come, without an end. */
  async content(enough: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let bytes = 0; bytes < enough; ) {
      const chunk = await this.#chunk();
      parts.push(chunk);
      bytes += chunk.length;
    }
    return Buffer.concat(parts);
  }

  /** Takes one packet at a time from now on, so that the server's socket is full for most of the time. */
  readSlowly(): void {
    const { socket } = this;
    socket.pause();
    socket.on('data', () => socket.pause());
    const timer = setInterval(() => socket.resume(), SLOW_READ_MS);
    socket.once('close', () => clearInterval(timer));
  }

  async #opened(event: 'connect' | 'secureConnect'): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.once(event, () => resolve());
      this.socket.once('close', () => reject(new Error('The connection was refused')));
      this.socket.once('error', reject);
    });
  }

  async #chunked(): Promise<{ body: Buffer; chunkSizes: number[] }> {
    const parts: Buffer[] = [];
    for (;;) {
      const chunk = await this.#chunk();
      if (chunk.length === 0)
        return { body: Buffer.concat(parts), chunkSizes: parts.map((part) => part.length) };
      parts.push(chunk);
    }
  }

  /** One chunk. The line end behind its data may come only with the next one. */
  async #chunk(): Promise<Buffer> {
    if (this.#afterChunk) {
      await this.until(() => this.received.length >= 2);
      if (this.take(2).toString() !== '\r\n') throw new Error('A chunk does not end where it says');
    }
    await this.until(() => this.received.includes('\r\n'));
    const line = this.take(this.received.indexOf('\r\n')).toString('latin1');
    if (!/^[0-9a-fA-F]+$/.test(line))
      throw new Error(`Not a chunk size: ${JSON.stringify(line.slice(0, 40))}`);
    this.take(2);
    const size = Number.parseInt(line, 16);
    this.#afterChunk = size > 0;
    const length = size === 0 ? 2 : size;
    await this.until(() => this.received.length >= length);
    return this.take(length).subarray(0, size);
  }

  #append(chunk: Buffer): void {
    if (this.#end + chunk.length > this.#bytes.length) {
      const left = this.received;
      this.#bytes = Buffer.allocUnsafe(Math.max(FIRST_CAPACITY_BYTES, (left.length + chunk.length) * 2));
      left.copy(this.#bytes);
      this.#start = 0;
      this.#end = left.length;
    }
    chunk.copy(this.#bytes, this.#end);
    this.#end += chunk.length;
  }

  #afterChunk = false;

  #wake(): void {
    for (const waker of this.#wakers) waker();
    this.#wakers.clear();
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function parseHead(text: string): Pick<RawResponse, 'status' | 'reason' | 'headers'> {
  const [line = '', ...fields] = text.split('\r\n');
  const [, status, reason] = /^HTTP\/1\.1 (\d{3}) (.*)$/.exec(line) ?? [];
  if (status === undefined) throw new Error(`Not a status line: ${JSON.stringify(line.slice(0, 80))}`);
  const headers: Record<string, string> = {};
  for (const field of fields) {
    const colon = field.indexOf(':');
    const name = field.slice(0, colon).toLowerCase();
    if (name in headers) throw new Error(`${name} came twice`);
    headers[name] = field.slice(colon + 1).trim();
  }
  return { status: Number(status), reason: reason ?? '', headers };
}
