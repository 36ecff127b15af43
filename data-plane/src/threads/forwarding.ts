/**
 * A request that landed on a worker which does not have its session is handed, as it is, to the one that has it; the
 * answer comes back piece by piece. This is how any worker serves any session.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Reply, RequestHead } from '../listener/listener.js';
import { ownBytes } from './own-bytes.js';

type Headers = readonly (readonly [string, string])[];

type Forwarded =
  | { type: 'request'; id: number; head: RequestHead; body: Uint8Array }
  | { type: 'abort'; id: number }
  | { type: 'send'; id: number; status: number; headers: Headers; body: Uint8Array | string }
  | { type: 'begin'; id: number; status: number; headers: Headers }
  | { type: 'write'; id: number; chunk: Uint8Array | string }
  | { type: 'end'; id: number }
  | { type: 'close'; id: number };

/** Takes a request that another worker received. */
export type TakeForwarded = (head: RequestHead, body: Buffer, reply: Reply) => void;

export class Forwarder {
  private readonly peers = new Map<number, Peer>();

  constructor(private readonly take: TakeForwarded) {}

  addPeer(index: number, port: MessagePort): void {
    this.peers.set(index, new Peer(port, this.take));
  }

  /** False when there is no such worker. */
  forward(worker: number, head: RequestHead, body: Buffer, reply: Reply): boolean {
    const peer = this.peers.get(worker);
    peer?.forward(head, body, reply);
    return peer !== undefined;
  }

  close(): void {
    for (const peer of this.peers.values()) peer.close();
  }
}

class Peer {
  private count = 0;
  private readonly away = new Map<number, Reply>();
  private readonly here = new Map<number, RemoteReply>();

  constructor(
    private readonly port: MessagePort,
    private readonly take: TakeForwarded,
  ) {
    port.on('message', (message: Forwarded) => this.receive(message));
    port.unref();
  }

  forward(head: RequestHead, body: Buffer, reply: Reply): void {
    const id = ++this.count;
    this.away.set(id, reply);
    const { method, path, query, headers, repeated, remoteAddress } = head;
    this.post({
      type: 'request',
      id,
      head: { method, path, query, headers, repeated, remoteAddress },
      body: ownBytes(body),
    });
    reply.onAborted(() => {
      if (this.away.delete(id)) this.post({ type: 'abort', id });
    });
  }

  close(): void {
    this.port.close();
  }

  /** @internal */
  post(message: Forwarded): void {
    this.port.postMessage(message);
  }

  /** @internal */
  ended(id: number): void {
    this.here.delete(id);
  }

  private receive(message: Forwarded): void {
    const { id } = message;
    if (message.type === 'request') {
      const reply = new RemoteReply(this, id);
      this.here.set(id, reply);
      // Whatever a client calls its header fields, they are only fields.
      Object.setPrototypeOf(message.head.headers, null);
      this.take(
        message.head,
        Buffer.from(message.body.buffer, message.body.byteOffset, message.body.byteLength),
        reply,
      );
      return;
    }
    if (message.type === 'abort') {
      this.here.get(id)?.abort();
      return;
    }
    const reply = this.away.get(id);
    if (reply === undefined) return;
    switch (message.type) {
      case 'send':
        this.away.delete(id);
        reply.send(message.status, message.headers, message.body);
        return;
      case 'begin':
        reply.begin(message.status, message.headers);
        return;
      case 'write':
        reply.write(message.chunk);
        return;
      case 'end':
        this.away.delete(id);
        reply.end();
        return;
      case 'close':
        this.away.delete(id);
        reply.close();
        return;
    }
  }
}

function owned(data: Uint8Array | string): Uint8Array | string {
  return typeof data === 'string' ? data : ownBytes(data);
}

/** The reply as the worker that has the session sees it. */
class RemoteReply implements Reply {
  private alive = true;
  private readonly listeners: (() => void)[] = [];

  constructor(
    private readonly peer: Peer,
    private readonly id: number,
  ) {}

  get open(): boolean {
    return this.alive;
  }

  send(status: number, headers: Headers, body: Uint8Array | string): void {
    if (!this.finish()) return;
    this.peer.post({ type: 'send', id: this.id, status, headers, body: owned(body) });
  }

  begin(status: number, headers: Headers): void {
    if (this.alive) this.peer.post({ type: 'begin', id: this.id, status, headers });
  }

  /** The worker that has the connection watches the slow reader and aborts when it is too slow. */
  write(chunk: Uint8Array | string): number {
    if (this.alive) this.peer.post({ type: 'write', id: this.id, chunk: owned(chunk) });
    return 0;
  }

  end(): void {
    if (this.finish()) this.peer.post({ type: 'end', id: this.id });
  }

  close(): void {
    if (this.finish()) this.peer.post({ type: 'close', id: this.id });
  }

  onAborted(listener: () => void): void {
    this.listeners.push(listener);
  }

  abort(): void {
    if (!this.finish()) return;
    for (const listener of this.listeners) listener();
  }

  private finish(): boolean {
    const was = this.alive;
    this.alive = false;
    if (was) this.peer.ended(this.id);
    return was;
  }
}
