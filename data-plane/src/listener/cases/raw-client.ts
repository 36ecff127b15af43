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

const HEAD_END = '\r\n\r\n';

/** A client that sends exactly the bytes it is told and shows exactly the bytes that come back. */
export class RawClient {
  received = Buffer.alloc(0);
  /** True once the other side ended or reset the connection. */
  isClosed = false;
  readonly #wakers = new Set<() => void>();

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
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
    const end = this.received.indexOf(HEAD_END);
    const head = parseHead(this.received.subarray(0, end).toString('latin1'));
    this.received = this.received.subarray(end + HEAD_END.length);
    if (isHead || head.status === 204 || head.status === 100)
      return { ...head, body: Buffer.alloc(0), chunkSizes: [] };
    if (head.headers['transfer-encoding'] === 'chunked') return { ...head, ...(await this.#chunked()) };
    const length = Number(head.headers['content-length']);
    await this.until(() => this.received.length >= length);
    const body = Buffer.from(this.received.subarray(0, length));
    this.received = this.received.subarray(length);
    return { ...head, body, chunkSizes: [] };
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

  /** Reads slowly: stops and goes on, so that the server meets a full socket again and again. */
  readSlowly(): void {
    const { socket } = this;
    const timer = setInterval(() => (socket.isPaused() ? socket.resume() : socket.pause()), 3);
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
      if (this.received.toString('latin1', 0, 2) !== '\r\n')
        throw new Error('A chunk does not end where it says');
      this.received = this.received.subarray(2);
    }
    await this.until(() => this.received.includes('\r\n'));
    const lineEnd = this.received.indexOf('\r\n');
    const line = this.received.toString('latin1', 0, lineEnd);
    if (!/^[0-9a-fA-F]+$/.test(line))
      throw new Error(`Not a chunk size: ${JSON.stringify(line.slice(0, 40))}`);
    const size = Number.parseInt(line, 16);
    const start = lineEnd + 2;
    const end = size === 0 ? start + 2 : start + size;
    await this.until(() => this.received.length >= end);
    const data = Buffer.from(this.received.subarray(start, start + size));
    this.received = this.received.subarray(end);
    this.#afterChunk = size > 0;
    return data;
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
