/**
 * A request that landed on a worker which does not have its session is handed, as it is, to the one that has it; the
 * answer comes back piece by piece. This is how any worker of any node serves any session.
 */
import { Admitted } from '@sluice/sdk/engine';
import { type Admission, ANONYMOUS } from '../exchange/exchange.js';
import type { Reply, RequestHead } from '../listener/listener.js';
import { ErrorCode, errorMessage, RpcError } from '../protocol/errors.js';
import { scanMessage } from '../protocol/scan.js';
import { binaryOf, binaryToBytes } from '../protocol/text.js';
import type {
  ForwardedAdmission,
  ForwardedHead,
  Headers,
  Pipe,
  RequestMessage,
  WorkerAddress,
} from './node-bus.js';
import { ownBytes } from './own-bytes.js';

/** Takes a request that another worker received. */
export type TakeForwarded = (head: RequestHead, body: Buffer, reply: Reply) => void;

export class Forwarder {
  private readonly peers = new Map<WorkerAddress, Peer>();

  constructor(private readonly take: TakeForwarded) {}

  addPeer(address: WorkerAddress, pipe: Pipe<RequestMessage>): void {
    const peer = new Peer(pipe, this.take);
    this.peers.set(address, peer);
    pipe.onClose(() => {
      // It may have been met again by then.
      if (this.peers.get(address) === peer) this.peers.delete(address);
      peer.lost();
    });
  }

  get peerCount(): number {
    return this.peers.size;
  }

  /** Whether there is a worker at that address that goes on with its sessions. */
  reaches(address: WorkerAddress): boolean {
    return this.peers.get(address)?.isLeaving === false;
  }

  /** Tells other workers to go on with the sessions that are here. Resolves when none sends any more for them. */
  async leave(isTold: (address: WorkerAddress) => boolean): Promise<void> {
    await Promise.all([...this.peers].filter(([address]) => isTold(address)).map(([, peer]) => peer.leave()));
  }

  /** False when nobody is known at that address; then nothing was sent. */
  forward(address: WorkerAddress, head: RequestHead, body: Buffer, reply: Reply): boolean {
    const peer = this.peers.get(address);
    peer?.forward(head, body, reply);
    return peer !== undefined;
  }

  close(): void {
    for (const peer of this.peers.values()) peer.close();
  }
}

/** A request that is served elsewhere. */
interface Away {
  readonly reply: Reply;
  readonly body: Buffer;
  readonly isPost: boolean;
  begun: boolean;
}

class Peer {
  private count = 0;
  private readonly away = new Map<number, Away>();
  private readonly here = new Map<number, RemoteReply>();
  /** It is about to stop. */
  isLeaving = false;
  private parted = () => {};

  constructor(
    private readonly pipe: Pipe<RequestMessage>,
    private readonly take: TakeForwarded,
  ) {
    pipe.onMessage((message) => this.receive(message));
  }

  forward(head: RequestHead, body: Buffer, reply: Reply): void {
    const id = ++this.count;
    this.away.set(id, { reply, body, isPost: head.method === 'POST', begun: false });
    const { method, path, query, headers, repeated, remoteAddress, principal, admission } = head;
    const isTried = admission?.isTried === true;
    this.post({
      type: 'request',
      id,
      head: {
        method,
        path,
        query,
        headers,
        repeated,
        remoteAddress,
        // Whoever takes it decides anew which revision the caller is given.
        principal: isTried ? ANONYMOUS : principal,
        hopCount: (head.hopCount ?? 0) + 1,
        ...(admission === undefined || isTried ? {} : { admission: sentAdmission(admission) }),
      },
      body: ownBytes(body),
    });
    reply.onAborted(() => {
      if (this.away.delete(id)) this.post({ type: 'abort', id });
    });
  }

  close(): void {
    this.pipe.close();
  }

  /** Resolves when the other one has answered, or is gone. */
  leave(): Promise<void> {
    return new Promise((resolve) => {
      this.parted = resolve;
      this.post({ type: 'leaving', id: 0 });
    });
  }

  /** Ends what was under way between the two. What the other one was doing may have been done. */
  lost(): void {
    this.parted();
    for (const away of this.away.values()) answerForLost(away);
    this.away.clear();
    for (const reply of [...this.here.values()]) reply.abort();
  }

  /** @internal */
  post(message: RequestMessage): void {
    this.pipe.post(message);
  }

  /** @internal */
  ended(id: number): void {
    this.here.delete(id);
  }

  private receive(message: RequestMessage): void {
    const { id } = message;
    if (message.type === 'request') {
      const reply = new RemoteReply(this, id);
      this.here.set(id, reply);
      // Whatever a client calls its header fields, they are only fields.
      Object.setPrototypeOf(message.head.headers, null);
      this.take(
        receivedHead(message.head),
        Buffer.from(message.body.buffer, message.body.byteOffset, message.body.byteLength),
        reply,
      );
      return;
    }
    if (message.type === 'abort') {
      this.here.get(id)?.abort();
      return;
    }
    if (message.type === 'leaving') {
      this.isLeaving = true;
      this.post({ type: 'parted', id: 0 });
      return;
    }
    if (message.type === 'parted') {
      this.parted();
      return;
    }
    const away = this.away.get(id);
    if (away === undefined) return;
    const { reply } = away;
    switch (message.type) {
      case 'send':
        this.away.delete(id);
        reply.send(message.status, message.headers, message.body);
        return;
      case 'begin':
        away.begun = true;
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

/** The header fields are in the head already. */
function sentAdmission({ arrival, admitted }: Admission): ForwardedAdmission {
  const { transport, endpoint, httpMethod, repeatedHeaders, address, origin } = arrival;
  const sent = { transport, endpoint, httpMethod, repeatedHeaders, address, origin };
  return { arrival: sent, identity: admitted.identity };
}

function receivedHead({ admission, ...head }: ForwardedHead): RequestHead {
  if (admission === undefined) return head;
  const arrival = { ...admission.arrival, headers: head.headers };
  const admitted = Admitted.as(admission.identity);
  // The plugins here are not asked again; that they are those of this worker is for the door to say.
  return { ...head, admission: { route: undefined, arrival, admitted } };
}

/** A stream breaks off, so that the client resumes it; a call hears that nobody knows whether it ran. */
function answerForLost({ reply, body, isPost, begun }: Away): void {
  if (!reply.open) return;
  if (begun) {
    reply.close();
    return;
  }
  if (!isPost) {
    reply.send(503, [['retry-after', '1']], '');
    return;
  }
  const error = new RpcError(
    ErrorCode.UpstreamLost,
    'the node that served this request is gone before it answered; the request may have run',
  );
  reply.send(200, [['content-type', 'application/json']], binaryToBytes(errorMessage(idOf(body), error)));
}

function idOf(body: Buffer): string | undefined {
  try {
    const { id } = scanMessage(body);
    return id === undefined ? undefined : binaryOf(body, id);
  } catch {
    // A batch, or nothing that has an id.
    return undefined;
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

  /** Only the worker that has the connection adds some, before it forwards. */
  addHeader(): void {}

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
