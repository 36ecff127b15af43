import { onTestFinished } from 'vitest';
import { createListener } from '../create.js';
import type { Door, Listener, ListenerLimits, ListenerOptions, Reply, RequestHead } from '../listener.js';
import { RawClient } from './raw-client.js';

export type Kind = Listener['kind'];

export const LIMITS: ListenerLimits = {
  maxUrlBytes: 1_000,
  maxHeaderBytes: 20_000,
  maxHeaderCount: 60,
  headTimeoutMs: 30_000,
  maxBufferedBytes: 64 * 1024 * 1024,
  bodyTimeoutMs: 30_000,
  idleTimeoutMs: 30_000,
  maxPendingReplyBytes: 64 * 1024 * 1024,
  maxConnectionCount: 1_000,
  maxMessageBytes: 100_000,
  pingIntervalMs: 30_000,
};

type Handler = (head: RequestHead, body: Buffer, reply: Reply) => void;

/** A door that writes down what it sees, and answers with it unless it is told otherwise. */
export class TestDoor implements Door {
  readonly heads: RequestHead[] = [];
  readonly requests: { readonly head: RequestHead; readonly body: Buffer }[] = [];
  maxBodyBytes = 100_000;
  onHead: ((head: RequestHead, reply: Reply) => number) | undefined;

  constructor(private readonly answer: Handler = echo) {}

  /** Paths of the heads that it has seen. */
  get paths(): string[] {
    return this.heads.map((head) => head.path);
  }

  head(head: RequestHead, reply: Reply): number {
    this.heads.push(head);
    return this.onHead === undefined ? this.maxBodyBytes : this.onHead(head, reply);
  }

  request(head: RequestHead, body: Buffer, reply: Reply): void {
    this.requests.push({ head, body });
    this.answer(head, body, reply);
  }

  refusal(status: number, reason: string): { contentType: string; body: string } {
    return { contentType: 'application/json', body: JSON.stringify({ status, reason }) };
  }
}

function echo(head: RequestHead, body: Buffer, reply: Reply): void {
  reply.send(200, [['content-type', 'text/plain']], `${head.method} ${head.path} ${body.length}`);
}

/** A listener of one test. */
export interface Running {
  readonly listener: Listener;
  readonly port: number;
  readonly faults: unknown[];
  connect(): Promise<RawClient>;
}

type Changes = Partial<Omit<ListenerOptions, 'limits'>> & { readonly limits?: Partial<ListenerLimits> };

/** Starts a listener that is closed when the test is over. */
export async function start(kind: Kind, door: Door, changes: Changes = {}): Promise<Running> {
  const faults: unknown[] = [];
  const listener = await createListener(
    kind,
    {
      host: '127.0.0.1',
      port: 0,
      sharedPort: false,
      onFault: (error) => faults.push(error),
      ...changes,
      limits: { ...LIMITS, ...changes.limits },
    },
    door,
  );
  onTestFinished(() => listener.close());
  const port = await listener.listen();
  return { listener, port, faults, connect: () => RawClient.open(port) };
}

/** Bytes in which every position can be told from its neighbours. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32BE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

export function get(path: string, ...fields: string[]): string {
  return `${['GET '.concat(path, ' HTTP/1.1'), 'Host: here', ...fields].join('\r\n')}\r\n\r\n`;
}

export function post(path: string, body: string, ...fields: string[]): string {
  const head = [`POST ${path} HTTP/1.1`, 'Host: here', `Content-Length: ${body.length}`, ...fields];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
