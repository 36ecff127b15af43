/**
 * A subprocess that all clients share runs once, in the worker that its id falls to; the other workers send their
 * calls there. So `sharing: shared` means one process, however many workers there are.
 */
import { createHash } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import { Cancellation } from '../exchange/exchange.js';
import { ErrorCode, RpcError, resultMessage } from '../protocol/errors.js';
import { methodRow } from '../protocol/methods.js';
import type { Era } from '../protocol/revisions.js';
import { scanMessage } from '../protocol/scan.js';
import { binaryToBytes, splice, stringOf } from '../protocol/text.js';
import { ownBytes } from '../sessions/own-bytes.js';
import type { RemoteUpstreams } from '../snapshot/snapshot.js';
import { cancelledError, idOf, type UpstreamCall, type UpstreamReply } from '../upstream/call.js';
import type { ListKind, UpstreamFacts } from '../upstream/offers.js';
import type { Shared } from '../upstream/shared-connection.js';
import { type Refusal, updatedUri } from '../upstream/subscriptions.js';
import type { Upstream } from '../upstream/upstream.js';

/** A configuration reaches the workers one after the other: how long one waits for another to have an upstream. */
const KNOWN_TIMEOUT_MS = 3_000;
const KNOWN_CHECK_MS = 25;

/** What this worker does for the others. */
export interface SharedProcessHost {
  find(upstreamId: string): Upstream | undefined;
  heard(upstreamId: string, message: Buffer): void;
  stale(upstreamId: string): void;
  offerChanged(upstreamId: string, principal: string, kind: ListKind | undefined): void;
  /** One more worker wants to hear of a resource; resolves with why the upstream will not tell. */
  watch(upstreamId: string, uri: string): Promise<Refusal>;
  unwatch(upstreamId: string, uri: string): void;
  /** Whether an update concerns a worker that watches these resources, by what all workers watch. */
  concerns(upstreamId: string, updated: string, uris: readonly string[]): boolean;
}

interface Failure {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

type Wire =
  | { type: 'connect'; id: number; upstreamId: string }
  | { type: 'connected'; id: number; era: Era; facts: UpstreamFacts }
  | { type: 'call'; id: number; upstreamId: string; method: string; bytes: Uint8Array }
  | { type: 'note'; id: number; bytes: Uint8Array }
  | { type: 'reply'; id: number; bytes: Uint8Array }
  | { type: 'failed'; id: number; failure: Failure }
  | { type: 'cancel'; id: number }
  | { type: 'listen'; upstreamId: string }
  | { type: 'heard'; upstreamId: string; bytes: Uint8Array }
  | { type: 'stale'; upstreamId: string; reason: string }
  | { type: 'offerChanged'; upstreamId: string; principal: string; kind: ListKind | undefined };

interface Waiting {
  readonly call: UpstreamCall | undefined;
  resolve(message: Wire): void;
  reject(error: RpcError): void;
}

export class SharedProcesses implements RemoteUpstreams {
  private readonly peers = new Map<number, MessagePort>();
  private readonly waiting = new Map<number, Waiting>();
  private readonly running = new Map<string, Cancellation>();
  private readonly connected = new Map<string, Set<(reason: string) => void>>();
  /** Which workers watch a resource at a legacy upstream of this one: it knows one subscription of each. */
  private readonly watching = new WeakMap<Upstream, Map<string, Set<number>>>();
  /** What was to be sent before the worker at the other end was introduced. */
  private early: { peer: number; message: Wire }[] = [];
  private count = 0;

  constructor(
    private readonly index: number,
    private readonly size: number,
    private readonly host: SharedProcessHost,
  ) {}

  addPeer(index: number, port: MessagePort): void {
    this.peers.set(index, port);
    port.on('message', (message: Wire) => this.receive(index, message));
    port.unref();
    const early = this.early;
    this.early = [];
    for (const { peer, message } of early) this.send(peer, message);
  }

  close(): void {
    for (const port of this.peers.values()) port.close();
  }

  elsewhere(upstreamId: string): ((lost: (reason: string) => void) => Promise<Shared>) | undefined {
    const owner = this.ownerOf(upstreamId);
    return owner === this.index ? undefined : (lost) => this.connect(owner, upstreamId, lost);
  }

  heard(upstreamId: string, message: Buffer): void {
    if (this.ownerOf(upstreamId) !== this.index) return;
    const updated = updatedUri({ bytes: message, envelope: scanMessage(message) });
    for (const [peer, port] of this.peers) {
      if (updated === undefined || this.concerns(peer, upstreamId, updated))
        post(port, { type: 'heard', upstreamId, bytes: ownBytes(message) });
    }
  }

  /** Only here is known what all workers watch; another one would take what it does not watch for a part of what it does. */
  private concerns(peer: number, upstreamId: string, updated: string): boolean {
    const upstream = this.host.find(upstreamId);
    const watched = upstream && this.watching.get(upstream);
    if (watched === undefined) return false;
    const uris = [...watched].filter(([, peers]) => peers.has(peer)).map(([uri]) => uri);
    return this.host.concerns(upstreamId, updated, uris);
  }

  stale(upstreamId: string, reason: string): void {
    if (this.ownerOf(upstreamId) !== this.index) return;
    for (const port of this.peers.values()) post(port, { type: 'stale', upstreamId, reason });
  }

  offerChanged(upstreamId: string, principal: string, kind: ListKind | undefined): void {
    for (const port of this.peers.values()) post(port, { type: 'offerChanged', upstreamId, principal, kind });
  }

  /** The same in every worker and after every restart. */
  private ownerOf(upstreamId: string): number {
    return createHash('sha256').update(upstreamId).digest().readUInt32BE(0) % this.size;
  }

  private async connect(owner: number, upstreamId: string, lost: (reason: string) => void): Promise<Shared> {
    const answer = await this.ask(owner, undefined, (id) => ({ type: 'connect', id, upstreamId }));
    const { era, facts } = answer as Extract<Wire, { type: 'connected' }>;
    let listeners = this.connected.get(upstreamId);
    if (listeners === undefined) {
      listeners = new Set();
      this.connected.set(upstreamId, listeners);
    }
    listeners.add(lost);
    return {
      era,
      facts,
      call: (call) => this.call(owner, upstreamId, call),
      listen: () => {
        this.send(owner, { type: 'listen', upstreamId });
        return undefined;
      },
      close: async () => {
        listeners.delete(lost);
      },
    };
  }

  private async call(owner: number, upstreamId: string, call: UpstreamCall): Promise<UpstreamReply> {
    const text = binaryToBytes(splice(call.bytes, call.envelope, call.edits));
    const answer = await this.ask(owner, call, (id) => ({
      type: 'call',
      id,
      upstreamId,
      method: call.method,
      bytes: ownBytes(text),
    }));
    const bytes = toBuffer((answer as Extract<Wire, { type: 'reply' }>).bytes);
    return { bytes, envelope: scanMessage(bytes) };
  }

  private ask(owner: number, call: UpstreamCall | undefined, message: (id: number) => Wire): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const id = ++this.count;
      this.waiting.set(id, { call, resolve, reject });
      this.send(owner, message(id));
      call?.cancellation.onCancel({
        cancel: () => {
          if (!this.waiting.delete(id)) return;
          this.send(owner, { type: 'cancel', id });
          reject(cancelledError());
        },
      });
    });
  }

  private send(peer: number, message: Wire): void {
    const port = this.peers.get(peer);
    if (port !== undefined) post(port, message);
    else this.early.push({ peer, message });
  }

  private receive(peer: number, message: Wire): void {
    switch (message.type) {
      case 'connect':
        void this.serveConnect(peer, message);
        return;
      case 'call':
        void this.serveCall(peer, message);
        return;
      case 'cancel':
        this.running.get(`${peer} ${message.id}`)?.cancel();
        return;
      case 'listen':
        this.host.find(message.upstreamId)?.listen();
        return;
      case 'heard':
        this.host.heard(message.upstreamId, toBuffer(message.bytes));
        return;
      case 'stale':
        for (const lost of [...(this.connected.get(message.upstreamId) ?? [])]) lost(message.reason);
        this.connected.delete(message.upstreamId);
        this.host.stale(message.upstreamId);
        return;
      case 'offerChanged':
        this.host.offerChanged(message.upstreamId, message.principal, message.kind);
        return;
      case 'note': {
        const bytes = toBuffer(message.bytes);
        this.waiting.get(message.id)?.call?.onNotification(bytes, scanMessage(bytes));
        return;
      }
      default:
        this.settle(message);
    }
  }

  private settle(message: Extract<Wire, { type: 'connected' | 'reply' | 'failed' }>): void {
    const waiting = this.waiting.get(message.id);
    if (waiting === undefined) return;
    this.waiting.delete(message.id);
    if (message.type !== 'failed') waiting.resolve(message);
    else waiting.reject(new RpcError(message.failure.code, message.failure.message, message.failure.data));
  }

  private async serveConnect(
    peer: number,
    { id, upstreamId }: Extract<Wire, { type: 'connect' }>,
  ): Promise<void> {
    try {
      const upstream = await this.known(upstreamId);
      const facts = await upstream.open();
      this.send(peer, { type: 'connected', id, era: upstream.era ?? 'legacy', facts });
    } catch (thrown) {
      this.send(peer, { type: 'failed', id, failure: failureOf(thrown) });
    }
  }

  private async serveCall(
    peer: number,
    { id, upstreamId, method, bytes }: Extract<Wire, { type: 'call' }>,
  ): Promise<void> {
    const cancellation = new Cancellation();
    const key = `${peer} ${id}`;
    this.running.set(key, cancellation);
    try {
      const upstream = await this.known(upstreamId);
      const request = toBuffer(bytes);
      const call: UpstreamCall = {
        method,
        row: methodRow(method),
        bytes: request,
        envelope: scanMessage(request),
        edits: [],
        headerLines: '',
        cancellation,
        onNotification: (note) => this.send(peer, { type: 'note', id, bytes: ownBytes(note) }),
      };
      const counted = method === 'resources/subscribe' || method === 'resources/unsubscribe';
      const reply = counted ? await this.countWatch(peer, upstream, call) : await upstream.callAsItIs(call);
      this.send(peer, { type: 'reply', id, bytes: ownBytes(reply.bytes) });
    } catch (thrown) {
      this.send(peer, { type: 'failed', id, failure: failureOf(thrown) });
    } finally {
      this.running.delete(key);
    }
  }

  /** A worker subscribes again whenever the process is a new one, and says once that it does not want to any more. */
  private async countWatch(peer: number, upstream: Upstream, call: UpstreamCall): Promise<UpstreamReply> {
    const uri = stringOf(call.bytes, call.envelope.uri) ?? '';
    const watched = this.watching.get(upstream) ?? new Map<string, Set<number>>();
    this.watching.set(upstream, watched);
    const peers = watched.get(uri) ?? new Set();
    watched.set(uri, peers);
    const leave = () => {
      if (peers.delete(peer)) this.host.unwatch(upstream.id, uri);
      if (peers.size === 0 && watched.get(uri) === peers) watched.delete(uri);
    };
    if (call.method === 'resources/unsubscribe') leave();
    else if (!peers.has(peer)) {
      peers.add(peer);
      const refusal = await this.host.watch(upstream.id, uri);
      if (refusal !== undefined) {
        leave();
        throw refusal;
      }
    }
    const bytes = binaryToBytes(resultMessage(idOf(call), '{}'));
    return { bytes, envelope: scanMessage(bytes) };
  }

  private async known(upstreamId: string): Promise<Upstream> {
    const deadline = Date.now() + KNOWN_TIMEOUT_MS;
    for (;;) {
      const upstream = this.host.find(upstreamId);
      if (upstream !== undefined) return upstream;
      if (Date.now() >= deadline)
        throw new RpcError(
          ErrorCode.UpstreamUnavailable,
          `no worker has upstream ${JSON.stringify(upstreamId)}`,
        );
      await new Promise((resolve) => setTimeout(resolve, KNOWN_CHECK_MS));
    }
  }
}

function post(port: MessagePort, message: Wire): void {
  port.postMessage(message);
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function failureOf(thrown: unknown): Failure {
  const { code, message, data } = RpcError.from(thrown);
  return data === undefined ? { code, message } : { code, message, data };
}
