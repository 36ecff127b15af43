/**
 * The `requestState` that leads a client back to its parked call (2026-07-28, basic/patterns/mrtr, "Server
 * Requirements"): sealed, of limited life, and bound to principal, upstream, method and parameters.
 */
import { createHash } from 'node:crypto';
import type { Caller } from '../../exchange/exchange.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { parsed } from '../../protocol/text.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import type { Sealer } from '../../sessions/seal.js';
import type { UpstreamCall } from '../call.js';

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

/** Principal, upstream and what was asked for, without `_meta`, answers and state: a state opens for nothing else. */
export function bindingOf(upstreamId: string, call: UpstreamCall, caller: Caller): string {
  const { _meta, inputResponses, requestState, ...salient } = (
    call.envelope.params === undefined ? {} : parsed(call.bytes, call.envelope.params)
  ) as Record<string, unknown>;
  const digest = createHash('sha256').update(JSON.stringify(salient)).digest('base64');
  return JSON.stringify([upstreamId, caller.principal, call.method, digest]);
}

export function sealState(sealer: Sealer, state: RequestState, binding: string): string {
  const { worker, call, round, expiresAt } = state;
  return sealer.seal('request-state', JSON.stringify([worker, call, round, expiresAt]), binding);
}

/** @throws RpcError -32602 when it is not a state that was given out for this request, or is too old. */
export function openState(sealer: Sealer, token: string, binding: string): RequestState {
  const sealed = sealer.open('request-state', token, binding);
  if (sealed === undefined)
    throw invalidState('it was altered, or was given out for another request or to another principal');
  const [worker, call, round, expiresAt] = JSON.parse(sealed.toString()) as [
    WorkerAddress,
    string,
    number,
    number,
  ];
  if (expiresAt < Date.now()) throw invalidState('it has expired; send the request again without it');
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
