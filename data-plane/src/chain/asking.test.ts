import { definePlugin, type JsonObject, Outcome, Refusal, Type } from '@sluice/sdk';
import { Admitted, Binding, compileRoute, type Route } from '@sluice/sdk/engine';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Cancellation, type Exchange } from '../exchange/exchange.js';
import type { LegHost } from '../front/endpoint.js';
import { ScriptedEndpoint } from '../front/scripted-endpoint.js';
import { methodRow } from '../protocol/methods.js';
import { scanMessage } from '../protocol/scan.js';
import type { Message } from '../protocol/translate.js';
import { createSealer, type Sealer } from '../sessions/seal.js';
import { ChainedEndpoint, passageOf } from './chained-endpoint.js';
import { ANSWER_LIFETIME_MS } from './rounds.js';
import { namedBy, type RoutedEndpoint } from './routed-endpoint.js';

afterEach(() => {
  vi.useRealTimers();
});

/** Tools of the upstream `up`, whose names may come to mean those of another. */
class Inner extends ScriptedEndpoint implements RoutedEndpoint {
  upstream = 'up';

  resolve(exchange: Exchange) {
    return namedBy(exchange).map(({ kind, exposed }) => ({ kind, upstream: this.upstream, name: exposed }));
  }

  locate(exposed: string) {
    return { upstream: this.upstream, name: exposed };
  }

  definition() {
    return undefined;
  }
}

interface Asking {
  readonly name?: string;
  readonly keys?: readonly string[];
  readonly after?: boolean;
  readonly say?: (args: JsonObject) => string;
  readonly heard?: (id: string) => void;
}

/** A plugin that asks whether the call may go on, once for each key. */
function asking({ name = 'asking', keys = ['sure'], after = false, say, heard }: Asking = {}): Binding {
  const plugin = definePlugin({
    name: 'asking',
    version: '1.0.0',
    description: 'For a test.',
    phase: 'decision',
    config: Type.Object({}),
    reads: ['ask', 'arguments'],
    changes: [],
    hooks: () => ({
      exchange: async (ctx, next) => {
        if (after) await next();
        for (const key of keys) {
          const said = await ctx.ask({ key, message: say?.(ctx.arguments) ?? `${name}: ${key}?` });
          if (said instanceof Outcome) return said;
          heard?.(said.id);
          if (said.action !== 'accept') return new Refusal('forbidden', `${name}: ${said.action}`);
        }
        return next();
      },
    }),
  });
  const clock = { now: () => Date.now(), after: () => () => undefined };
  const host = { binding: name, clock } as never;
  const events = { failed() {}, switchedOff() {}, switchedOn() {} };
  return new Binding({ plugin, config: {}, host, onFailure: 'deny', events });
}

const sealer = createSealer({ current: Buffer.alloc(32, 7), previous: [] });

const setUp = (...bindings: Binding[]) => setUpWith(sealer, ...bindings);

function setUpWith(own: Sealer, ...bindings: Binding[]) {
  const inner = new Inner();
  const endpoint = new ChainedEndpoint(inner, own);
  const route = compileRoute(bindings.length === 0 ? [asking()] : bindings);
  endpoint.use(passageOf(route));
  const reached = () => inner.requests.map(({ bytes }) => JSON.parse(bytes.toString()).params);
  const call = async (params: object | string = {}, more: Partial<Exchange> = {}, who = 'ada') =>
    JSON.parse((await endpoint.modern(exchange(route, params, more, who))).bytes.toString());
  return { inner, endpoint, route, reached, call };
}

const CALLER: Exchange['caller'] = {
  era: 'modern',
  revision: '2026-07-28',
  principal: 'ada',
  capabilities: '{"elicitation":{"form":{}}}',
  clientInfo: undefined,
  logLevel: undefined,
};

let idCount = 0;

function exchange(
  route: Route,
  params: object | string,
  more: Partial<Exchange>,
  who: string,
  method = 'tools/call',
): Exchange {
  const own =
    typeof params === 'string' ? params : JSON.stringify({ name: 'tool', arguments: { n: 1 }, ...params });
  const bytes = Buffer.from(`{"jsonrpc":"2.0","id":${++idCount},"method":"${method}","params":${own}}`);
  const arrival = { transport: 'http', endpoint: '/mcp', headers: {} } as never;
  return {
    row: methodRow(method),
    bytes,
    envelope: scanMessage(bytes),
    caller: CALLER,
    headers: {},
    admission: { route, arrival, admitted: Admitted.as({ id: who, scopes: [], claims: {} }) },
    cancellation: new Cancellation(),
    notify: () => undefined,
    ...more,
  };
}

type Asked = { inputRequests: Record<string, { params: { message: string } }>; requestState: string };

/** What a client says to all that was asked. */
function answers({ inputRequests, requestState }: Asked, said: object = { action: 'accept' }) {
  const inputResponses = Object.fromEntries(Object.keys(inputRequests).map((key) => [key, said]));
  return { inputResponses, requestState };
}

describe('a modern client', () => {
  it('is asked, comes again with the answer, and the upstream sees a plain call', async () => {
    const { call, reached } = setUp();
    const { result } = await call();
    expect(result).toEqual({
      resultType: 'input_required',
      inputRequests: {
        'sluice/asking/sure': {
          method: 'elicitation/create',
          params: {
            mode: 'form',
            message: 'asking: sure?',
            requestedSchema: { type: 'object', properties: {} },
          },
        },
      },
      requestState: expect.stringMatching(/^sluice-ask\./),
    });
    expect(reached()).toEqual([]);
    expect((await call(answers(result))).result).toEqual({ modern: true });
    expect(reached()).toEqual([{ name: 'tool', arguments: { n: 1 } }]);
  });

  it('who declines is refused, and who says nothing or nonsense is asked again', async () => {
    const { call, reached } = setUp();
    const { result } = await call();
    expect((await call(answers(result, { action: 'decline' }))).error).toMatchObject({ code: -31007 });
    const { requestState } = result;
    for (const inputResponses of [
      undefined,
      {},
      null,
      'x',
      [],
      { 'sluice/asking/sure': { action: 'yes' } },
    ]) {
      const again = await call({ requestState, inputResponses });
      expect(Object.keys(again.result.inputRequests)).toEqual(['sluice/asking/sure']);
    }
    expect(reached()).toEqual([]);
  });

  it.each<[string, (params: Record<string, unknown>) => object | string, string?]>([
    ['another argument', (params) => ({ ...params, arguments: { n: 2 } })],
    ['another number that JavaScript takes for the same', (params) => bigNumber(params, '9007199254740993')],
    ['another tool', (params) => ({ ...params, name: 'other' })],
    ['another member', (params) => ({ ...params, more: 1 })],
    ['another principal', (params) => params, 'eve'],
    ['a state that was altered', (params) => ({ ...params, requestState: flipped(params.requestState) })],
    ['a state that nobody gave', (params) => ({ ...params, requestState: 'sluice-ask.1AAAA' })],
  ])('cannot use an answer with %s', async (_, changed, who = 'ada') => {
    const { call, reached } = setUp();
    const first = { arguments: { n: 1 } };
    const asked = (await call(bigNumber(first, '9007199254740992'))).result;
    const own = bigNumber({ ...first, ...answers(asked) }, '9007199254740992');
    const retry = changed({ ...first, ...answers((await call(first)).result) });
    const params =
      typeof retry === 'string' ? bigNumber({ ...first, ...answers(asked) }, '9007199254740993') : retry;
    expect((await call(params, {}, who)).error).toMatchObject({
      code: -32602,
      message: expect.stringContaining('Invalid `requestState`'),
    });
    expect(reached()).toEqual([]);
    expect((await call(own)).result).toEqual({ modern: true });
  });

  it('cannot use an answer when the name has come to mean another tool', async () => {
    const { call, inner, reached } = setUp();
    const retry = answers((await call()).result);
    inner.upstream = 'evil';
    expect((await call(retry)).error?.code).toBe(-32602);
    expect(reached()).toEqual([]);
  });

  it('cannot use an answer for other words, or of another binding', async () => {
    let words = 'one?';
    const { call, endpoint, reached } = setUp(asking({ say: () => words }));
    const retry = answers((await call()).result);
    words = 'two?';
    const again = (await call(retry)).result;
    expect(again.inputRequests['sluice/asking/sure'].params.message).toBe('two?');
    const route = compileRoute([asking({ name: 'renamed', say: () => words })]);
    endpoint.use(passageOf(route));
    const other = await endpoint.modern(exchange(route, answers(again), {}, 'ada'));
    expect(JSON.parse(other.bytes.toString()).result.inputRequests).toHaveProperty(['sluice/renamed/sure']);
    expect(reached()).toEqual([]);
  });

  it('cannot use an answer that is too old', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const { call, reached } = setUp();
    const retry = answers((await call()).result);
    vi.setSystemTime(Date.now() + ANSWER_LIFETIME_MS - 1_000);
    expect((await call(retry)).result).toEqual({ modern: true });
    vi.setSystemTime(Date.now() + 2_000);
    expect((await call(retry)).error?.message).toContain('expired');
    expect(reached()).toHaveLength(1);
  });

  it('cannot answer what it was not asked', async () => {
    const { call, reached } = setUp();
    const forged = { 'sluice/asking/sure': { action: 'accept' } };
    expect((await call({ inputResponses: forged })).result.resultType).toBe('input_required');
    const { call: callOne, reached: reachedOne } = setUp(asking({ keys: [] }));
    await callOne({ inputResponses: { ...forged, theirs: { action: 'accept' } } });
    expect(reached()).toEqual([]);
    expect(reachedOne()[0].inputResponses).toEqual({ theirs: { action: 'accept' } });
  });

  it('comes again to any node with the same keys, also when they have been replaced, and to no other', async () => {
    const [old, current] = [Buffer.alloc(32, 7), Buffer.alloc(32, 8)];
    const retry = answers((await setUp().call()).result);
    const node = setUpWith(createSealer({ current, previous: [old] }));
    expect((await node.call(retry)).result).toEqual({ modern: true });
    const stranger = setUpWith(createSealer({ current, previous: [] }));
    expect((await stranger.call(retry)).error?.code).toBe(-32602);
    expect(stranger.reached()).toEqual([]);
  });

  it('has its call sent on as it was written', async () => {
    const { call, inner } = setUp();
    const written = '"arguments": {"n": 1.50e2, "big": 9007199254740993,\n"text":"\\u00e9"}, "name":"tool"';
    const { inputRequests, requestState } = (await call(`{${written}}`)).result;
    const said = JSON.stringify(answers({ inputRequests, requestState }).inputResponses);
    await call(`{"requestState":"${requestState}", "inputResponses": ${said} , ${written}}`);
    const sent = inner.requests.map(({ bytes }) => bytes.toString());
    expect(sent).toEqual([expect.stringContaining('"arguments": {"n": 1.50e2, "big": 9007199254740993,')]);
    expect(sent[0]).not.toMatch(/sluice|requestState|inputResponses/);
  });

  it.each([
    'true',
    '"x"',
    '{"sluice/asking/sure":{"action":"accept","content":[]}}',
    '{"sluice/asking/sure":"accept"}',
    '{"__proto__":{"sluice/asking/sure":{"action":"accept"}}}',
  ])('cannot pass with %s for an answer', async (said) => {
    const { call, reached } = setUp();
    const { requestState } = (await call()).result;
    const own = `{"name":"tool","arguments":{"n":1},"requestState":"${requestState}","inputResponses":${said}}`;
    expect((await call(own)).result.resultType).toBe('input_required');
    expect(reached()).toEqual([]);
  });

  it('is asked by several plugins, one after the other', async () => {
    const { call, reached } = setUp(asking({ name: 'a', keys: ['1', '2'] }), asking({ name: 'b' }));
    const said: string[] = [];
    let came = await call();
    while (came.result.resultType === 'input_required') {
      said.push(...Object.keys(came.result.inputRequests));
      came = await call(answers(came.result));
    }
    expect(said).toEqual(['sluice/a/1', 'sluice/a/2', 'sluice/b/sure']);
    expect(reached()).toHaveLength(1);
  });

  it.each(['its own', undefined])('is asked by the upstream afterwards, whose state is %s', async (state) => {
    const { call, inner, reached } = setUp();
    const theirs = { method: 'elicitation/create', params: { message: 'theirs?' } };
    inner.answer = async (own) => {
      const { id, params } = JSON.parse(own.bytes.toString());
      const result =
        params.inputResponses === undefined
          ? {
              resultType: 'input_required',
              inputRequests: { q: theirs },
              ...(state && { requestState: state }),
            }
          : { resultType: 'complete', content: [] };
      return { bytes: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result })), errorCode: 0 };
    };
    const second = (await call(answers((await call()).result))).result;
    expect(second.inputRequests).toEqual({ q: theirs });
    expect(second.requestState).toMatch(/^sluice-ask\./);
    const third = await call(answers(second, { action: 'accept', content: { a: 1 } }));
    expect(third.result).toEqual({ resultType: 'complete', content: [] });
    expect(reached()[1]).toEqual({
      name: 'tool',
      arguments: { n: 1 },
      inputResponses: { q: { action: 'accept', content: { a: 1 } } },
      ...(state && { requestState: state }),
    });
  });

  it("keeps the upstream's answers when a plugin asks once more in between", async () => {
    let words = 'one?';
    const { call, inner, reached } = setUp(asking({ say: () => words }));
    inner.answer = async (own) => {
      const { id, params } = JSON.parse(own.bytes.toString());
      const theirs = { q: { method: 'roots/list' } };
      const result =
        params.requestState === undefined
          ? { resultType: 'input_required', inputRequests: theirs, requestState: 'S' }
          : { resultType: 'complete' };
      return { bytes: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result })), errorCode: 0 };
    };
    const theirs = (await call(answers((await call()).result))).result;
    words = 'two?';
    const again = (await call(answers(theirs, { roots: [] }))).result;
    expect(Object.keys(again.inputRequests)).toEqual(['sluice/asking/sure']);
    expect((await call(answers(again))).result).toEqual({ resultType: 'complete' });
    expect(reached().at(-1)).toMatchObject({ requestState: 'S', inputResponses: { q: { roots: [] } } });
  });

  it('gives an answer a name that is the same when it comes again, and another one in each round', async () => {
    const ids: string[] = [];
    const { call } = setUp(asking({ name: 'a', heard: (id) => ids.push(id) }), asking({ name: 'b' }));
    const first = answers((await call()).result);
    const second = answers((await call(first)).result);
    await call(first);
    await call(second);
    await call(second);
    expect([ids[0] === ids[1], ids[2] === ids[3], ids[0] === ids[2]]).toEqual([true, true, false]);
  });

  it('that cannot be asked is refused', async () => {
    const { call, reached } = setUp();
    const came = await call({}, { caller: { ...CALLER, capabilities: '{"sampling":{}}' } });
    expect(came.error).toMatchObject({ code: -31007, message: expect.stringContaining('`elicitation`') });
    expect(reached()).toEqual([]);
  });

  it('is not asked by a plugin that has let the call run', async () => {
    const { call } = setUp(asking({ after: true }));
    expect((await call()).error?.code).toBe(-31011);
  });
});

function flipped(state: unknown): string {
  const text = state as string;
  const at = text.length - 8;
  return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
}

function bigNumber(params: object, number: string): string {
  return JSON.stringify({ name: 'tool', ...params, arguments: { n: 'N' } }).replace('"N"', number);
}

describe('a legacy client', () => {
  function session(capabilities: object = { elicitation: {} }, revision = '2025-11-25') {
    const { inner, endpoint, route } = setUp();
    const heard: { message: Record<string, any>; requestId: string | undefined }[] = [];
    const caller = {
      ...CALLER,
      era: 'legacy' as const,
      revision,
      capabilities: JSON.stringify(capabilities),
    };
    const host: LegHost = {
      caller,
      admission: exchange(route, {}, {}, 'ada').admission,
      headers: {},
      sessionName: 's1',
      toClient: ({ bytes }, requestId) => heard.push({ message: JSON.parse(bytes.toString()), requestId }),
      holds() {},
      end() {},
    };
    const backing = endpoint.openLegacy(host);
    const request = exchange(route, {}, { caller }, 'ada');
    const outcome = backing.request(request).then(
      ({ bytes }) => JSON.parse(bytes.toString()),
      (thrown) => ({ thrown }),
    );
    return { inner, backing, heard, request, outcome };
  }

  const respond = (id: unknown, said: object): Message => {
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, ...said }));
    return { bytes, envelope: scanMessage(bytes) };
  };

  it.each([
    ['an answer', { result: { action: 'accept' } }, 1],
    ['a refusal', { result: { action: 'decline' } }, 0],
    ['an error', { error: { code: -1, message: 'no' } }, 0],
    ['nonsense', { result: { action: 'yes' } }, 0],
  ])('is asked on the stream of its call, and gives %s', async (_, said, count) => {
    const { inner, backing, heard, outcome } = session();
    await expect.poll(() => heard.length).toBe(1);
    const { message, requestId } = heard[0] as (typeof heard)[0];
    expect(message).toMatchObject({ method: 'elicitation/create', params: { message: 'asking: sure?' } });
    expect(requestId).toBe(String(idCount));
    // Not the answer to this one.
    backing.response(respond(1, { result: { action: 'accept' } }));
    expect(inner.last.requests).toEqual([]);
    backing.response(respond(message.id, said));
    expect((await outcome).error?.code).toBe(count === 1 ? undefined : -31007);
    expect(inner.last.requests).toHaveLength(count);
    expect(inner.last.told).toEqual(['response']);
  });

  it('of a revision without modes is asked without one', async () => {
    const { heard } = session({ elicitation: {} }, '2025-06-18');
    await expect.poll(() => heard.length).toBe(1);
    expect(heard[0]?.message.params).not.toHaveProperty('mode');
  });

  it('that cancels its call is not asked any more', async () => {
    const { inner, backing, heard, request, outcome } = session();
    await expect.poll(() => heard.length).toBe(1);
    request.cancellation.cancel();
    expect((await outcome).error?.code).toBe(-31011);
    const [
      {
        message: { id },
      },
    ] = heard as [(typeof heard)[0]];
    expect(heard[1]?.message).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: id },
    });
    backing.response(respond(id, { result: { action: 'accept' } }));
    expect(inner.last.requests).toEqual([]);
  });

  it('whose session ends leaves nothing behind', async () => {
    const { inner, backing, heard, outcome } = session();
    await expect.poll(() => heard.length).toBe(1);
    backing.close();
    expect((await outcome).error?.code).toBe(-31011);
    expect(inner.last.requests).toEqual([]);
  });

  it('that never answers is not waited for without end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const { inner, heard, outcome } = session();
    await vi.waitUntil(() => heard.length === 1);
    vi.advanceTimersByTime(ANSWER_LIFETIME_MS);
    expect((await outcome).error).toMatchObject({ code: -31007, message: 'asking: cancel' });
    expect(heard[1]?.message.method).toBe('notifications/cancelled');
    expect(inner.last.requests).toEqual([]);
  });

  it('that cannot be asked is refused', async () => {
    const { heard, outcome } = session({});
    expect((await outcome).error?.code).toBe(-31007);
    expect(heard).toEqual([]);
  });
});
