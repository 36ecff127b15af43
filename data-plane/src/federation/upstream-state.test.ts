import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Cancellation, type Exchange } from '../exchange/exchange.js';
import { methodRow } from '../protocol/methods.js';
import { scanMessage } from '../protocol/scan.js';
import { createSealer } from '../sessions/seal.js';
import { CALLER } from '../upstream/parked/scripted-parking.js';
import { openUpstreamState, sealUpstreamState } from './upstream-state.js';

const PLACE = '/mcp upstream-1';
const LIFETIME_MS = 60_000;
/** Whatever a server makes its state of comes back as it was. */
const STATE = 'a b "c" \\ ü 🚀 1700000000000 x';
const FOREIGN = /altered, or was given out for another request or to another principal/;
const sealer = createSealer({ current: Buffer.alloc(32, 7), previous: [] });

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const PARAMS = { name: 'up__book', arguments: { seat: '12A', nights: [1, 2] } };

function request(params: object, method = 'tools/call', principal = 'ann'): Exchange {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }));
  return {
    row: methodRow(method),
    bytes,
    envelope: scanMessage(bytes),
    caller: { ...CALLER, principal },
    headers: {},
    cancellation: new Cancellation(),
    notify() {},
  };
}

const seal = () => sealUpstreamState(sealer, STATE, LIFETIME_MS, PLACE, request(PARAMS));
const open = (token: string | undefined, exchange = request(PARAMS), place = PLACE) =>
  openUpstreamState(sealer, token, place, exchange);

it('opens for the same request with its answers, byte for byte', () => {
  const requestState = seal();
  const inputResponses = { q: { action: 'accept' } };
  const _meta = { progressToken: 'another one' };
  expect(open(requestState, request({ ...PARAMS, _meta, requestState, inputResponses }))).toBe(STATE);
});

it.each([
  ['another argument', request({ ...PARAMS, arguments: { ...PARAMS.arguments, seat: '1A' } })],
  ['one argument less', request({ ...PARAMS, arguments: { seat: '12A' } })],
  ['another tool', request({ ...PARAMS, name: 'up__cancel' })],
  ['another method', request(PARAMS, 'prompts/get')],
  ['another principal', request(PARAMS, 'tools/call', 'bob')],
])('does not open for %s', (_, exchange) => {
  expect(() => open(seal(), exchange)).toThrow(FOREIGN);
});

it('does not open for another upstream or endpoint', () => {
  for (const place of ['/mcp upstream-2', '/other upstream-1', 'upstream-1'])
    expect(() => open(seal(), request(PARAMS), place)).toThrow(FOREIGN);
});

it('does not open when anything in it was altered, or is no token at all', () => {
  const token = seal();
  const altered = [...token].map(
    (char, i) => token.slice(0, i) + (char === 'A' ? 'B' : 'A') + token.slice(i + 1),
  );
  for (const each of [...altered, '', 'state', token.slice(1), STATE, undefined])
    expect(() => open(each)).toThrow(FOREIGN);
});

it('opens until its time is over, and not later', () => {
  const token = seal();
  vi.advanceTimersByTime(LIFETIME_MS);
  expect(open(token)).toBe(STATE);
  vi.advanceTimersByTime(1);
  expect(() => open(token)).toThrow(/expired; send the request again without it/);
});
