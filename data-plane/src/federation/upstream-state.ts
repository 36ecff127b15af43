/**
 * The `requestState` of a modern upstream on its way through `/mcp`, where it could come back to another upstream or
 * with another request. So it is sealed, bound to who asked what of whom, and of limited life (2026-07-28,
 * basic/patterns/mrtr, "Server Requirements"); the upstream gets it back byte for byte.
 */
import type { Exchange } from '../exchange/exchange.js';
import type { Sealer } from '../sessions/seal.js';
import {
  bindingOf,
  invalidState,
  STATE_HAS_EXPIRED,
  STATE_IS_FOREIGN,
} from '../upstream/parked/request-state.js';

/** Between the time and the state. */
const SEPARATOR = ' ';

/**
 * @param place the endpoint and the upstream
 * @throws RangeError when the upstream's state is too long
 */
export function sealUpstreamState(
  sealer: Sealer,
  state: string,
  lifetimeMs: number,
  place: string,
  exchange: Exchange,
): string {
  const payload = `${Date.now() + lifetimeMs}${SEPARATOR}${state}`;
  return sealer.seal('request-state', payload, bindingOf(place, exchange, exchange.caller.principal));
}

/** @throws RpcError -32602 when it is not a state that was given out for this request, or is too old. */
export function openUpstreamState(
  sealer: Sealer,
  token: string | undefined,
  place: string,
  exchange: Exchange,
): string {
  const payload =
    token === undefined
      ? undefined
      : sealer
          .open('request-state', token, bindingOf(place, exchange, exchange.caller.principal))
          ?.toString();
  if (payload === undefined) throw invalidState(STATE_IS_FOREIGN);
  const end = payload.indexOf(SEPARATOR);
  if (Number(payload.slice(0, end)) < Date.now()) throw invalidState(STATE_HAS_EXPIRED);
  return payload.slice(end + SEPARATOR.length);
}
