/** The processes of one other worker, as this worker uses them. */
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { scanMessage } from '../../protocol/scan.js';
import { binaryToBytes, splice } from '../../protocol/text.js';
import { ownBytes } from '../../sessions/own-bytes.js';
import { cancelledError, type UpstreamCall, type UpstreamReply } from '../call.js';
import type { Shared } from '../shared-connection.js';
import { type ToBorrower, type ToLender, toBuffer } from './messages.js';

/** Told why a connection is gone. */
export type Lost = (reason: string) => void;

export interface BorrowerHost {
  heard(upstreamId: string, message: Buffer): void;
  stale(upstreamId: string): void;
}

type Connected = Extract<ToBorrower, { type: 'connected' }>;
type Reply = Extract<ToBorrower, { type: 'reply' }>;

interface Waiting {
  readonly call: UpstreamCall | undefined;
  resolve(message: ToBorrower): void;
  reject(error: RpcError): void;
}

export class BorrowedProcesses {
  private readonly waiting = new Map<number, Waiting>();
  private readonly connected = new Map<string, Set<Lost>>();
  private count = 0;

  constructor(
    private readonly host: BorrowerHost,
    private readonly post: (message: ToLender) => void,
  ) {}

  async connect(upstreamId: string, lost: Lost): Promise<Shared> {
    const { era, facts } = await this.ask<Connected>(undefined, (id) => ({
      type: 'connect',
      id,
      upstreamId,
    }));
    let listeners = this.connected.get(upstreamId);
    if (listeners === undefined) {
      listeners = new Set();
      this.connected.set(upstreamId, listeners);
    }
    listeners.add(lost);
    return {
      era,
      facts,
      call: (call) => this.call(upstreamId, call),
      listen: () => {
        this.post({ type: 'listen', upstreamId });
        return undefined;
      },
      close: async () => {
        listeners.delete(lost);
      },
    };
  }

  private async call(upstreamId: string, call: UpstreamCall): Promise<UpstreamReply> {
    const text = binaryToBytes(splice(call.bytes, call.envelope, call.edits));
    const { method } = call;
    const answer = await this.ask<Reply>(call, (id) => ({
      type: 'call',
      id,
      upstreamId,
      method,
      bytes: ownBytes(text),
    }));
    const bytes = toBuffer(answer.bytes);
    return { bytes, envelope: scanMessage(bytes) };
  }

  private ask<T extends ToBorrower>(
    call: UpstreamCall | undefined,
    message: (id: number) => ToLender,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = ++this.count;
      this.waiting.set(id, { call, resolve: resolve as Waiting['resolve'], reject });
      this.post(message(id));
      call?.cancellation.onCancel({
        cancel: () => {
          if (!this.waiting.delete(id)) return;
          this.post({ type: 'cancel', id });
          reject(cancelledError());
        },
      });
    });
  }

  receive(message: ToBorrower): void {
    switch (message.type) {
      case 'heard':
        this.host.heard(message.upstreamId, toBuffer(message.bytes));
        return;
      case 'stale':
        this.disconnected(message.upstreamId, message.reason);
        this.host.stale(message.upstreamId);
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

  /** The worker is gone: what it was doing may have been done. */
  lost(): void {
    const reason = 'the node that had its process is gone';
    for (const { call, reject } of this.waiting.values()) {
      reject(
        call === undefined
          ? new RpcError(ErrorCode.UpstreamUnavailable, `${reason}; the request was not sent`)
          : new RpcError(
              ErrorCode.UpstreamLost,
              'the node that runs the upstream is gone before it answered; the request may have run',
            ),
      );
    }
    this.waiting.clear();
    for (const upstreamId of [...this.connected.keys()]) this.disconnected(upstreamId, reason);
  }

  private disconnected(upstreamId: string, reason: string): void {
    const listeners = this.connected.get(upstreamId);
    this.connected.delete(upstreamId);
    for (const lost of [...(listeners ?? [])]) lost(reason);
  }

  private settle(message: Extract<ToBorrower, { type: 'connected' | 'reply' | 'failed' }>): void {
    const waiting = this.waiting.get(message.id);
    if (waiting === undefined) return;
    this.waiting.delete(message.id);
    if (message.type !== 'failed') waiting.resolve(message);
    else waiting.reject(new RpcError(message.failure.code, message.failure.message, message.failure.data));
  }
}
