/**
 * The port between workers, of one node or of several: whoever has a session, a parked call or a stream is reached
 * over it by whoever got the request. Each worker has an address that no worker ever had before: one that was
 * started again is somebody else.
 */
import { randomBytes } from 'node:crypto';
import type { Identity } from '@sluice/sdk';
import type { Arrival } from '@sluice/sdk/engine';
import type { RequestHead } from '../listener/listener.js';
import type { UpstreamMessage } from '../upstream/elsewhere/messages.js';

/** Node and worker: `5f1c9a0b7d2e4c63.0`. */
export type WorkerAddress = string;

/** Nobody meets the same node again by chance. */
const NODE_ID_BYTES = 8;

export function newNodeId(): string {
  return randomBytes(NODE_ID_BYTES).toString('hex');
}

export function workerAddress(node: string, index: number): WorkerAddress {
  return `${node}.${index}`;
}

export function isOfNode(worker: WorkerAddress, node: string): boolean {
  return worker.startsWith(`${node}.`);
}

export type Headers = readonly (readonly [string, string])[];

/** What was found out about a request where it came in; it is not found out again. */
export interface ForwardedAdmission {
  readonly arrival: Omit<Arrival, 'headers'>;
  readonly identity: Identity;
}

export type ForwardedHead = Omit<RequestHead, 'admission'> & { readonly admission?: ForwardedAdmission };

/** A request on its way to the worker that can serve it, and its answer on the way back, piece by piece. */
export type RequestMessage =
  | { type: 'request'; id: number; head: ForwardedHead; body: Uint8Array }
  | { type: 'abort'; id: number }
  | { type: 'send'; id: number; status: number; headers: Headers; body: Uint8Array | string }
  | { type: 'begin'; id: number; status: number; headers: Headers }
  | { type: 'write'; id: number; chunk: Uint8Array | string }
  | { type: 'end'; id: number }
  | { type: 'close'; id: number }
  /** Its node is about to stop: sessions there may be gone on with elsewhere, and what it has begun ends there. */
  | { type: 'leaving'; id: 0 }
  /** The answer to `leaving`: no request for a session follows. */
  | { type: 'parted'; id: 0 };

/** Requests that another worker serves, and what concerns its upstreams. */
export type BusMessage =
  | { lane: 'requests'; message: RequestMessage }
  | { lane: 'upstreams'; message: UpstreamMessage };

/** The way to one other worker: what is posted arrives whole and in order, or the pipe closes at both ends. */
export interface Pipe<M = BusMessage> {
  /** Does nothing when the pipe is closed. */
  post(message: M): void;
  /** Who listens; there is one. */
  onMessage(listener: (message: M) => void): void;
  /** The other worker is gone, or cannot be reached any more. */
  onClose(listener: () => void): void;
  close(): void;
}

export interface NodeBus {
  /**
   * Makes the workers of a node known to those of the others. `met` is told of each of them, once for each of ours:
   * those that are there already, and those that come. Of one whose pipe was closed because something got lost on the
   * way it is told again, with another pipe, when it can be reached again.
   */
  join(ours: readonly WorkerAddress[], met: Met): void;
  /** Closes every pipe of this node. */
  leave(): void;
}

export type Met = (ours: WorkerAddress, other: WorkerAddress, pipe: Pipe) => void;
