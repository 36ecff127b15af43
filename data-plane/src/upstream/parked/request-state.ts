/**
 * The `requestState` that leads a client back to its parked call (2026-07-28, basic/patterns/mrtr, "Server
 * Requirements"): sealed, of limited life, and bound to principal, upstream, method and parameters.
 */
import { createHash } from 'node:crypto';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { parsed } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import type { Sealer } from '../../sessions/seal.js';

/** What a sealed state holds. */
export interface RequestState {
  readonly worker: WorkerAddress;
  /** Never given to another call. */
  readonly call: string;
  /** Which round of questions it answers. */
  readonly round: number;
  /** Until when it is taken, in milliseconds of the clock. */
  readonly expiresAt: number;
}

export const STATE_IS_FOREIGN =
  'it was altered, or was given out for another request or to another principal';
export const STATE_HAS_EXPIRED = 'it has expired; send the request again without it';

/**
 * Principal, upstream and what was asked for, without `_meta`, answers and state: a state opens for nothing else.
 *
 * @param place the upstream, and the endpoint where the same request may mean something else
 */
export function bindingOf(place: string, { bytes, envelope }: Message, principal: string): string {
  const { _meta, inputResponses, requestState, ...salient } = (
    envelope.params === undefined ? {} : parsed(bytes, envelope.params)
  ) as Record<string, unknown>;
  const digest = createHash('sha256').update(JSON.stringify(salient)).digest('base64');
  return JSON.stringify([place, principal, envelope.method, digest]);
}

export function sealState(sealer: Sealer, state: RequestState, binding: string): string {
  const { worker, call, round, expiresAt } = state;
  return sealer.seal('request-state', JSON.stringify([worker, call, round, expiresAt]), binding);
}

/** @throws RpcError -32602 when it is not a state that was given out for this request, or is too old. */
export function openState(sealer: Sealer, token: string, binding: string): RequestState {
  const sealed = sealer.open('request-state', token, binding);
  if (sealed === undefined) throw invalidState(STATE_IS_FOREIGN);
  const [worker, call, round, expiresAt] = JSON.parse(sealed.toString()) as [
    WorkerAddress,
    string,
    number,
    number,
  ];
  if (expiresAt < Date.now()) throw invalidState(STATE_HAS_EXPIRED);
  return { worker, call, round, expiresAt };
}

/** What a client is told whose state leads nowhere. */
export function invalidState(why: string): RpcError {
  return new RpcError(ErrorCode.InvalidParams, `Invalid \`requestState\`: ${why}`);
}

/** Tells the answers of a retry from others. */
export function digestOf(answers: object): string {
  return createHash('sha256').update(JSON.stringify(answers)).digest('base64');
}
