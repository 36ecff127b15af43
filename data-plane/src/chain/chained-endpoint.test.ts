import {
  definePlugin,
  type Hooks,
  type JsonObject,
  type Outcome,
  Refusal,
  type Target,
  Type,
} from '@sluice/sdk';
import { Admitted, Binding, compileRoute, type Route } from '@sluice/sdk/engine';
import { describe, expect, it } from 'vitest';
import { type Caller, Cancellation, type Exchange } from '../exchange/exchange.js';
import type { LegHost } from '../front/endpoint.js';
import { ScriptedEndpoint } from '../front/scripted-endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { methodRow } from '../protocol/methods.js';
import { scanMessage } from '../protocol/scan.js';
import type { Message } from '../protocol/translate.js';
import { ParkedElsewhere } from '../sessions/parked-elsewhere.js';
import { createSealer } from '../sessions/seal.js';
import { ChainedEndpoint, passageOf } from './chained-endpoint.js';
import { type Located, namedBy, type RoutedEndpoint } from './routed-endpoint.js';

const sealer = createSealer({ current: Buffer.alloc(32, 7), previous: [] });

/** One upstream named `up`. */
class Inner extends ScriptedEndpoint implements RoutedEndpoint {
  resolve(exchange: Exchange) {
    return namedBy(exchange).map(({ kind, exposed }) => {
      if (exposed === 'nobody')
        throw new RpcError(ErrorCode.InvalidParams, 'Unknown tool: nobody; did you mean "secret"?');
      return { kind, upstream: 'up', name: exposed };
    });
  }

  definition({ name }: Target, { principal }: Caller) {
    return { name, description: `for ${principal}` };
  }

  locate(exposed: string): Located | undefined {
    return exposed === 'of nobody' ? undefined : { upstream: 'up', name: exposed };
  }
}

type Ctx = {
  readonly session?: string;
  readonly method: string;
  readonly principal: { readonly id: string };
};

function plugin(hooks: Hooks<Ctx>, more: object = {}, onFailure: 'deny' | 'allow' = 'deny') {
  const declared = definePlugin({
    name: 'tested',
    version: '1.0.0',
    description: 'For a test.',
    phase: 'shape',
    config: Type.Object({}),
    reads: ['method', 'principal.id', 'session'],
    changes: ['arguments', 'entries', 'headers', 'notifications', 'result'],
    hooks: () => hooks as Hooks,
    ...more,
  });
  const clock = { now: () => Date.now(), after: () => () => undefined };
  const events = { failed() {}, switchedOff() {}, switchedOn() {} };
  return new Binding({
    plugin: declared,
    config: {},
    host: { binding: 'tested', clock } as never,
    onFailure,
    events,
  });
}

function setUp(...bindings: Binding[]) {
  const inner = new Inner();
  const endpoint = new ChainedEndpoint(inner, sealer);
  route = compileRoute(bindings);
  endpoint.use(passageOf(route));
  return { inner, endpoint };
}

/** That of the endpoint that was set up last. */
let route: Route;

const arrival = {
  transport: 'http',
  endpoint: '/mcp',
  httpMethod: 'POST',
  headers: {},
  repeatedHeaders: [],
  address: '',
  origin: '',
} as const;
const identity = { id: 'ada', scopes: [], claims: {} };
const admission = () => ({ route, arrival, admitted: Admitted.as(identity) });

function exchange(
  method: string,
  params: object = {},
  more: Partial<Exchange> = {},
): Exchange & { heard: unknown[] } {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 7, method, params }));
  const heard: unknown[] = [];
  return {
    row: methodRow(method),
    bytes,
    envelope: scanMessage(bytes),
    caller: {
      era: 'modern',
      revision: '2026-07-28',
      principal: 'ada',
      capabilities: '{}',
      clientInfo: '{"name":"c"}',
      logLevel: undefined,
    },
    headers: { 'mcp-name': 'tool', 'mcp-param-a': '1' },
    admission: admission(),
    cancellation: new Cancellation(),
    notify: (message) => heard.push(JSON.parse(message.toString())),
    heard,
    ...more,
  };
}

const read = ({ bytes }: { bytes: Buffer }) => JSON.parse(bytes.toString());
const call = (args: object = { a: 1 }) => exchange('tools/call', { name: 'tool', arguments: args });

describe('a request', () => {
  it('is relayed with the bytes it came in where no plugin changes it', async () => {
    const { inner, endpoint } = setUp(plugin({ exchange: (_: never, next: () => never) => next() }));
    const asCame = call();
    await endpoint.modern(asCame);
    expect(inner.requests[0]?.bytes).toBe(asCame.bytes);
  });

  it('goes on with changed arguments and fields, and with no field that repeats the old ones', async () => {
    const changing = plugin({
      exchange: (_, next: (changes: object) => never) =>
        next({ arguments: { b: 'ü' }, headers: { 'x-team': 'blue', cookie: undefined } }),
    });
    const { inner, endpoint } = setUp(changing);
    await endpoint.modern(call());
    const [went] = inner.requests as [Exchange];
    expect(read(went).params).toEqual({ name: 'tool', arguments: { b: 'ü' } });
    expect([went.headers, went.ownHeaders, went.bodyOnly]).toEqual([{}, { 'x-team': 'blue' }, true]);
    await endpoint.modern(exchange('tools/call', { name: 'tool' }));
    expect(read(inner.requests[1] as Exchange).params.arguments).toEqual({ b: 'ü' });
  });

  it('comes back with what plugins make of the result, under its own id', async () => {
    const { endpoint } = setUp(
      plugin({
        outcome: (_, came: Outcome) =>
          came.withResult({ ...came.result, added: 'ü' }).withHeaders([['x-a', '1']]),
      }),
    );
    const outcome = await endpoint.modern(call());
    expect(read(outcome)).toEqual({ jsonrpc: '2.0', id: 7, result: { modern: true, added: 'ü' } });
    expect(outcome.http).toEqual({ status: undefined, headers: [['x-a', '1']] });
  });

  it('is refused with code, status and fields', async () => {
    const refusal = new Refusal('limited', 'too much', {
      headers: [['Retry-After', '3']],
      data: { retry_after_ms: 3000 },
    });
    const { inner, endpoint } = setUp(plugin({ exchange: () => refusal }));
    const outcome = await endpoint.modern(call());
    expect(read(outcome).error).toEqual({
      code: -31010,
      message: 'too much',
      data: { retry_after_ms: 3000 },
    });
    expect(outcome).toMatchObject({
      errorCode: -31010,
      http: { status: 429, headers: [['Retry-After', '3']] },
    });
    expect(inner.requests).toEqual([]);
  });

  it('shows plugins the errors of routing and of upstreams, and gives them to the client as they were', async () => {
    const seen: unknown[] = [];
    const { inner, endpoint } = setUp(
      plugin({
        outcome: (_, came: Outcome) => {
          seen.push(came.errorCode);
          return came;
        },
      }),
    );
    inner.answer = () => Promise.reject(new RpcError(ErrorCode.UpstreamLost, 'it may have run', { a: 1 }));
    expect(read(await endpoint.modern(call())).error).toEqual({
      code: -31004,
      message: 'it may have run',
      data: { a: 1 },
    });
    const unknown = await endpoint.modern(exchange('tools/call', { name: 'nobody' }));
    expect(read(unknown).error.message).toContain('did you mean "secret"?');
    expect(seen).toEqual([-31004, -32602]);
  });

  it('tells no names to somebody about whom a plugin decides', async () => {
    const { inner, endpoint } = setUp(plugin({ decide: () => 'permit' }, { phase: 'decision' }));
    const unknown = await endpoint.modern(exchange('tools/call', { name: 'nobody' }));
    expect(read(unknown).error.message).toBe('Unknown tool: nobody');
    for (const hint of ['; did you mean "secret"?', ': say one of secret, other']) {
      inner.answer = () => Promise.reject(new RpcError(ErrorCode.InvalidParams, `Unknown tool: tool${hint}`));
      expect(read(await endpoint.modern(call())).error.message).toBe('Unknown tool: tool');
    }
  });

  it('moves on when another worker has to answer it, whatever plugins do', async () => {
    const { inner, endpoint } = setUp(
      plugin({ outcome: (_, came: Outcome) => came.withHeaders([['x-a', '1']]) }),
    );
    inner.answer = () => Promise.reject(new ParkedElsewhere('n.1', 'it waits elsewhere'));
    await expect(endpoint.modern(call())).rejects.toBeInstanceOf(ParkedElsewhere);
  });

  it('needs a caller who is known, and a credential that still counts', async () => {
    const login = plugin({ identify: () => undefined }, { phase: 'identity', reads: [] });
    const { endpoint } = setUp(login);
    const nobody = await endpoint.modern(exchange('tools/call', { name: 'tool' }, { admission: undefined }));
    expect([read(nobody).error.code, nobody.http?.status]).toEqual([-31009, 401]);
    const expired = { ...admission(), admitted: Admitted.as({ ...identity, expiresAtMs: Date.now() - 1 }) };
    const late = await endpoint.modern(exchange('tools/call', { name: 'tool' }, { admission: expired }));
    expect(read(late).error.message).toMatch(/has expired/);
  });

  it('keeps the plugins with which it began', async () => {
    const order: string[] = [];
    const noting = (name: string) =>
      plugin({
        outcome: (_, came: Outcome) => {
          order.push(name);
          return came;
        },
      });
    const { inner, endpoint } = setUp(noting('old'));
    let goOn: () => void = () => undefined;
    inner.answer = (asked) =>
      new Promise((resolve) => {
        goOn = () => resolve({ bytes: asked.bytes, errorCode: 0 });
      });
    const first = endpoint.modern(call());
    route = compileRoute([noting('new')]);
    endpoint.use(passageOf(route));
    goOn();
    await first;
    const second = endpoint.modern(call());
    goOn();
    await second;
    expect(order).toEqual(['old', 'new']);
  });
});

describe('a list', () => {
  it('is never public where plugins set callers apart, and holds only what somebody can decide about', async () => {
    const decider = plugin(
      {
        decide: ({ method }: Ctx) =>
          method === 'tools/list' || method === 'tools/call' ? 'permit' : undefined,
      } as never,
      { phase: 'decision' } as never,
    );
    const { inner, endpoint } = setUp(decider);
    const result = {
      tools: [{ name: 'tool' }, { name: 'of nobody' }],
      cacheScope: 'public',
      _meta: { 'dev.sluice/unavailable': ['x'], a: 1 },
    };
    inner.answer = async () => ({
      bytes: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 7, result })),
      errorCode: 0,
    });
    const outcome = await endpoint.modern(exchange('tools/list'));
    expect(read(outcome).result).toEqual({
      tools: [{ name: 'tool' }],
      cacheScope: 'private',
      _meta: { a: 1 },
    });
  });
});

describe('what belongs to a request', () => {
  const watching = plugin({
    notification: (
      _,
      { method, params, direction }: { method: string; params: JsonObject; direction: string },
    ) => (method === 'notifications/message' ? 'drop' : { ...params, direction }),
  });
  const progress = { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1 } };

  it('is changed and dropped on its way to the client', async () => {
    const { inner, endpoint } = setUp(watching);
    inner.answer = async (asked) => {
      asked.notify(Buffer.from(JSON.stringify(progress)));
      asked.notify(Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message' })));
      return { bytes: asked.bytes, errorCode: 0 };
    };
    const asked = call();
    await endpoint.modern(asked);
    expect(asked.heard).toEqual([{ ...progress, params: { progress: 1, direction: 'to client' } }]);
  });

  it('is refused when it asks for what a plugin does not let servers ask', async () => {
    const { inner, endpoint } = setUp(
      plugin({
        input: (_, { method }: { method: string }) =>
          method === 'sampling/createMessage' ? new Refusal('forbidden', 'not here') : undefined,
      }),
    );
    const asks = (method: string) => {
      const result = { resultType: 'input_required', inputRequests: { one: { method, params: {} } } };
      inner.answer = async () => ({
        bytes: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 7, result })),
        errorCode: 0,
      });
      return endpoint.modern(call());
    };
    expect(read(await asks('elicitation/create')).result.resultType).toBe('input_required');
    expect(read(await asks('sampling/createMessage')).error).toMatchObject({
      code: -31007,
      message: 'not here',
    });
  });
});

describe('a session', () => {
  function host() {
    const heard: { message: unknown; requestId: string | undefined }[] = [];
    const ended: string[] = [];
    const own: LegHost = {
      caller: exchange('ping').caller,
      admission: admission(),
      headers: {},
      sessionName: 's1',
      toClient: ({ bytes, envelope }, requestId) =>
        heard.push({
          message: JSON.parse(bytes.subarray(envelope.start, envelope.end).toString()),
          requestId,
        }),
      holds() {},
      end: (reason) => ended.push(reason),
    };
    return { own, heard, ended };
  }
  const message = (value: object): Message => {
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...value }));
    return { bytes, envelope: scanMessage(bytes) };
  };

  it('begins and ends before the eyes of plugins, which may refuse it', async () => {
    const life: unknown[] = [];
    const hooks = {
      sessionStart: ({ principal }: Ctx) => {
        life.push(['start', principal.id]);
        return undefined;
      },
      sessionEnd: (session: string) => life.push(['end', session]),
    };
    const { endpoint } = setUp(plugin(hooks as never));
    const session = endpoint.openLegacy(host().own);
    expect(JSON.parse(await session.initialize('{}', '2025-11-25'))).toEqual({
      protocolVersion: '2025-11-25',
    });
    session.close();
    expect(life).toEqual([
      ['start', 'ada'],
      ['end', 's1'],
    ]);
    const refusing = setUp(plugin({ sessionStart: () => new Refusal('forbidden', 'enough') }));
    await expect(
      refusing.endpoint.openLegacy(host().own).initialize('{}', '2025-11-25'),
    ).rejects.toMatchObject({ code: -31007 });
  });

  it('is what handshake and requests go through like all others', async () => {
    const methods: string[] = [];
    const { endpoint } = setUp(
      plugin({
        exchange: ({ method }: Ctx, next: () => never) => {
          methods.push(method);
          return next();
        },
      }),
    );
    const session = endpoint.openLegacy(host().own);
    await session.initialize('{}', '2025-11-25');
    await session.request(call());
    expect(methods).toEqual(['initialize', 'tools/call']);
  });

  it('that goes on from another worker is not begun again', async () => {
    const methods: string[] = [];
    const { endpoint } = setUp(
      plugin({
        exchange: ({ method }: Ctx, next: () => never) => {
          methods.push(method);
          return next();
        },
      }),
    );
    await endpoint.openLegacy(host().own).initialize('{}', '2025-11-25', {});
    expect(methods).toEqual([]);
  });

  it('shows plugins the notifications of both sides, outside of requests too', async () => {
    const { inner, endpoint } = setUp(
      plugin({
        notification: (_, { direction, method }: { direction: string; method: string }) =>
          method === 'notifications/dropped' ? 'drop' : { direction },
      }),
    );
    const { own, heard } = host();
    const session = endpoint.openLegacy(own);
    session.notification(message({ method: 'notifications/dropped' }));
    session.notification(message({ method: 'notifications/initialized' }));
    inner.last.host.toClient(message({ method: 'notifications/dropped' }), undefined);
    inner.last.host.toClient(message({ method: 'notifications/message' }), '3');
    expect(inner.last.told).toEqual(['notifications/initialized']);
    expect(heard).toEqual([
      {
        message: { jsonrpc: '2.0', method: 'notifications/message', params: { direction: 'to client' } },
        requestId: '3',
      },
    ]);
  });

  it('answers a server in the place of a client who is not to be asked', () => {
    const { inner, endpoint } = setUp(plugin({ input: () => new Refusal('forbidden', 'not here') }));
    const { own, heard } = host();
    endpoint.openLegacy(own);
    inner.last.host.toClient(message({ id: 1, method: 'roots/list' }), undefined);
    expect([heard, inner.last.told]).toEqual([[], ['response']]);
  });
});

it('where there is no plugin in the way nothing is looked at', async () => {
  const inner = new Inner();
  const endpoint = new ChainedEndpoint(inner, sealer);
  endpoint.use(passageOf(undefined));
  const asked = exchange('tools/call', { name: 'nobody' });
  await endpoint.modern(asked);
  expect(inner.requests).toEqual([asked]);
});

describe('whoever came in before other plugins stood there', () => {
  const knows = (id: string | undefined) =>
    plugin(
      { identify: () => (id === undefined ? undefined : { ...identity, id }) },
      { phase: 'identity', reads: [] },
    );

  it.each([
    ['goes on as the same caller', 'ada', undefined],
    ['is refused as another caller', 'eve', -31009],
    ['is refused when nobody knows the credential any more', undefined, -31009],
  ])('%s', async (_, id, code) => {
    const { inner, endpoint } = setUp(knows('ada'));
    const before = call();
    endpoint.use(passageOf(compileRoute([knows(id)])));
    expect(read(await endpoint.modern(before)).error?.code).toBe(code);
    expect(inner.requests).toHaveLength(code === undefined ? 1 : 0);
  });
});

describe('news of a resource', () => {
  const updated = (uri: string) =>
    Buffer.from(
      JSON.stringify({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } }),
    );
  const deciding = (open: readonly string[], isAsync: boolean) =>
    plugin(
      {
        decide: ({ target }: never) => {
          const { name } = (target ?? { name: 'open' }) as { name: string };
          const said = open.includes(name) ? ('permit' as const) : undefined;
          return isAsync ? Promise.resolve(said) : said;
        },
      } as Hooks,
      { phase: 'decision', reads: ['target'] },
    );

  it.each([false, true])(
    'reach a subscription only where it may be read, now too (async: %s)',
    async (isAsync) => {
      const { inner, endpoint } = setUp(deciding(['open', 'other'], isAsync));
      let tell: (message: Buffer) => void = () => undefined;
      inner.answer = (own) => {
        tell = (message) => own.notify(message);
        return new Promise(() => undefined);
      };
      const subscription = exchange('subscriptions/listen', {
        notifications: { resourceSubscriptions: ['open'] },
      });
      void endpoint.modern(subscription);
      await expect.poll(() => inner.requests.length).toBe(1);
      for (const uri of ['other', 'forbidden', 'of nobody', 'open']) tell(updated(uri));
      const uris = () => subscription.heard.map((each) => (each as { params: { uri: string } }).params.uri);
      await expect.poll(uris).toEqual(['other', 'open']);
      endpoint.use(passageOf(compileRoute([deciding(['other'], isAsync)])));
      for (const uri of ['open', 'other']) tell(updated(uri));
      await expect.poll(uris).toEqual(['other', 'open', 'other']);
    },
  );
});

describe('a session of which nobody says who has it', () => {
  it('hears nothing that a plugin wants to see, and is asked nothing', async () => {
    const { inner, endpoint } = setUp(plugin({ notification: () => undefined, input: () => undefined }));
    const heard: string[] = [];
    const backing = endpoint.openLegacy({
      caller: exchange('ping').caller,
      admission: undefined,
      headers: {},
      sessionName: 's1',
      toClient: ({ envelope }) => heard.push(envelope.method),
      holds() {},
      end() {},
    });
    const say = (value: object) => {
      const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...value }));
      return { bytes, envelope: scanMessage(bytes) };
    };
    const { host, told } = inner.last;
    host.toClient(say({ method: 'notifications/message', params: {} }), undefined);
    host.toClient(say({ id: 1, method: 'sampling/createMessage', params: {} }), undefined);
    backing.notification(say({ method: 'notifications/roots/list_changed' }));
    expect(heard).toEqual([]);
    expect(told).toEqual(['response']);
  });

  it('is taken for whoever began it, where no transport says more', async () => {
    const { inner, endpoint } = setUp(
      plugin({
        notification: (_: never, { method }: { method: string }) =>
          method === 'notifications/message' ? undefined : 'drop',
      }),
    );
    const heard: string[] = [];
    const backing = endpoint.openLegacy({
      caller: exchange('ping').caller,
      admission: undefined,
      headers: {},
      sessionName: undefined,
      toClient: ({ envelope }) => heard.push(envelope.method),
      holds() {},
      end() {},
    });
    await backing.initialize('{}', '2025-11-25');
    for (const method of ['notifications/message', 'notifications/progress']) {
      const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params: {} }));
      inner.last.host.toClient({ bytes, envelope: scanMessage(bytes) }, undefined);
    }
    expect(heard).toEqual(['notifications/message']);
  });
});
