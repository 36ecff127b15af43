/** The processes of this worker, as one other worker uses them. */
import { Cancellation } from '../../exchange/exchange.js';
import { ErrorCode, RpcError, resultMessage } from '../../protocol/errors.js';
import { methodRow } from '../../protocol/methods.js';
import { scanMessage } from '../../protocol/scan.js';
import { binaryToBytes, stringOf } from '../../protocol/text.js';
import { ownBytes } from '../../sessions/own-bytes.js';
import { idOf, type UpstreamCall, type UpstreamReply } from '../call.js';
import type { Refusal } from '../subscriptions.js';
import type { Upstream } from '../upstream.js';
import { type ToBorrower, type ToLender, toBuffer } from './messages.js';

/** A configuration reaches the workers one after the other: how long one waits for another to have an upstream. */
const KNOWN_TIMEOUT_MS = 3_000;
const KNOWN_CHECK_MS = 25;

/** What this worker does for the others. */
export interface LenderHost {
  readonly all: readonly Upstream[];
  find(upstreamId: string): Upstream | undefined;
  /** One more worker wants to hear of a resource; resolves with why the upstream will not tell. */
  watch(upstreamId: string, uri: string): Promise<Refusal>;
  unwatch(upstreamId: string, uri: string): void;
  /** Whether an update concerns a worker that watches these resources, by what all workers watch. */
  concerns(upstreamId: string, updated: string, uris: readonly string[]): boolean;
}

export class LentProcesses {
  private readonly running = new Map<number, Cancellation>();
  /** Resources that the other worker watches at a legacy upstream, which knows one subscription for all workers. */
  private readonly watched = new WeakMap<Upstream, Set<string>>();
  /** Calls under way that somebody waits for. */
  callCount = 0;

  constructor(
    private readonly host: LenderHost,
    /** Resolves with whether this is the worker that has the upstream's process. */
    private readonly isHere: (upstream: Upstream) => Promise<boolean>,
    private readonly post: (message: ToBorrower) => void,
  ) {}

  receive(message: ToLender): void {
    switch (message.type) {
      case 'connect':
        void this.serveConnect(message);
        return;
      case 'call':
        void this.serveCall(message);
        return;
      case 'cancel':
        this.running.get(message.id)?.cancel();
        return;
      case 'listen':
        this.host.find(message.upstreamId)?.listen();
    }
  }

  /** @param updated the resource that the message says was updated */
  heard(upstreamId: string, message: Buffer, updated: string | undefined): void {
    if (updated === undefined || this.concerns(upstreamId, updated))
      this.post({ type: 'heard', upstreamId, bytes: ownBytes(message) });
  }

  /** Only here is known what all workers watch; another one would take what it does not watch for a part of what it does. */
  private concerns(upstreamId: string, updated: string): boolean {
    const upstream = this.host.find(upstreamId);
    const uris = upstream && this.watched.get(upstream);
    return uris !== undefined && this.host.concerns(upstreamId, updated, [...uris]);
  }

  stale(upstreamId: string, reason: string): void {
    this.post({ type: 'stale', upstreamId, reason });
  }

  /** The worker is gone, and its clients with it. */
  lost(): void {
    for (const cancellation of this.running.values()) cancellation.cancel();
    for (const upstream of this.host.all) {
      for (const uri of this.watched.get(upstream) ?? []) this.host.unwatch(upstream.id, uri);
      this.watched.delete(upstream);
    }
  }

  private async serveConnect({ id, upstreamId }: Extract<ToLender, { type: 'connect' }>): Promise<void> {
    try {
      const upstream = await this.known(upstreamId);
      // Whoever passed it on to a third worker could come to wait for itself.
      if (!(await this.isHere(upstream)))
        throw new RpcError(
          ErrorCode.UpstreamUnavailable,
          `the process of upstream ${JSON.stringify(upstream.name)} moves to another node; the request was not sent`,
        );
      const facts = await upstream.open();
      this.post({ type: 'connected', id, era: upstream.era ?? 'legacy', facts });
    } catch (thrown) {
      this.post({ type: 'failed', id, failure: failureOf(thrown) });
    }
  }

  private async serveCall({
    id,
    upstreamId,
    method,
    bytes,
  }: Extract<ToLender, { type: 'call' }>): Promise<void> {
    const cancellation = new Cancellation();
    this.running.set(id, cancellation);
    // A subscription is under way as long as there is somebody who listens.
    const isWaitedFor = method !== 'subscriptions/listen';
    if (isWaitedFor) this.callCount++;
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
        onNotification: (note) => this.post({ type: 'note', id, bytes: ownBytes(note) }),
      };
      const counted = method === 'resources/subscribe' || method === 'resources/unsubscribe';
      const reply = counted ? await this.countWatch(upstream, call) : await upstream.callAsItIs(call);
      this.post({ type: 'reply', id, bytes: ownBytes(reply.bytes) });
    } catch (thrown) {
      this.post({ type: 'failed', id, failure: failureOf(thrown) });
    } finally {
      this.running.delete(id);
      if (isWaitedFor) this.callCount--;
    }
  }

  /** A worker subscribes again whenever the process is a new one, and says once that it does not want to any more. */
  private async countWatch(upstream: Upstream, call: UpstreamCall): Promise<UpstreamReply> {
    const uri = stringOf(call.bytes, call.envelope.uri) ?? '';
    const uris = this.watched.get(upstream) ?? new Set();
    this.watched.set(upstream, uris);
    const leave = () => {
      if (uris.delete(uri)) this.host.unwatch(upstream.id, uri);
    };
    if (call.method === 'resources/unsubscribe') leave();
    else if (!uris.has(uri)) {
      uris.add(uri);
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

function failureOf(thrown: unknown): Extract<ToBorrower, { type: 'failed' }>['failure'] {
  const { code, message, data } = RpcError.from(thrown);
  return data === undefined ? { code, message } : { code, message, data };
}
