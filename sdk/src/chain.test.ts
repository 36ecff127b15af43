import { Type } from '@sinclair/typebox';
import { describe, expect, it, vi } from 'vitest';
import type { Attribute, Attributes } from './attributes.js';
import { Binding } from './binding.js';
import { type Allowed, after, compileChain, type Handler, type Known, type Layer } from './chain.js';
import { Admitted, type Arrival, type Call, type Changes, Exchange, type Target } from './exchange.js';
import { RequestFailure } from './failures.js';
import { ANONYMOUS } from './identity.js';
import { Outcome } from './outcome.js';
import { PHASES, type Phase } from './phases.js';
import { definePlugin, type Hooks, type MaybePromise, type PluginDeclaration } from './plugin.js';
import { Refusal } from './refusal.js';
import { compileRoute, type Route } from './route.js';
import { type TestOptions, type TestRequest, testPlugin } from './testing.js';

vi.resetModules();
/** As a plugin has it that brings a copy of the SDK of its own. */
const { RequestFailure: OtherRequestFailure } = await import('./failures.js');

function plugin(
  name: string,
  phase: Phase,
  hooks: Hooks,
  more: Partial<PluginDeclaration<never, Attribute>> = {},
) {
  return definePlugin({
    name,
    version: '1.0.0',
    description: 'For a test.',
    phase,
    config: Type.Object({}),
    reads: [],
    changes: ['arguments', 'entries', 'headers', 'notifications', 'result'],
    hooks: () => hooks,
    ...(more as object),
  });
}

describe('the order of a chain', () => {
  it('is that of the phases, outermost first, and inside a phase that of the configuration', async () => {
    const order: string[] = [];
    const noting = (name: string, phase: Phase) =>
      plugin(name, phase, {
        exchange: (_, next) => {
          order.push(name);
          return next();
        },
      });
    const backwards = [...PHASES].reverse().map((phase) => ({ plugin: noting(phase, phase) }));
    const gateway = testPlugin(noting('second-limit', 'limit'), { beside: backwards });
    await gateway.call({ tool: 'files:read' });
    expect(order).toEqual([
      'record',
      'door',
      'identity',
      'decision',
      'limit',
      'second-limit',
      'shape',
      'cache',
    ]);
  });

  it('shows a recorder what was refused before anybody knew who called', async () => {
    const seen: unknown[] = [];
    const recorder = plugin('recorder', 'record', {
      admission: async (_, next) => {
        const found = await next();
        seen.push(found);
        return found;
      },
    });
    const login = plugin('login', 'identity', { identify: () => new Refusal('unauthenticated', 'no') });
    const { status } = await testPlugin(login, { beside: [{ plugin: recorder }] }).call({});
    expect(status).toBe(401);
    expect(seen).toEqual([expect.any(Refusal)]);
  });
});

describe('deciding', () => {
  const permits = (name: string) =>
    plugin(
      'permits',
      'decision',
      {
        decide: (ctx) =>
          (ctx as { target?: { name: string } }).target?.name === name ? 'permit' : undefined,
      },
      { reads: ['target'] },
    );
  const refuses = (name: string) =>
    plugin(
      'refuses',
      'decision',
      {
        decide: (ctx) =>
          (ctx as { target?: { name: string } }).target?.name === name
            ? new Refusal('forbidden', 'no')
            : undefined,
      },
      { reads: ['target'] },
    );

  it('lets nothing pass that nobody permits, and nothing that somebody refuses', async () => {
    const gateway = testPlugin(permits('read'), { beside: [{ plugin: refuses('write') }] });
    expect((await gateway.call({ tool: 'files:read' })).status).toBe(200);
    expect((await gateway.call({ tool: 'files:other' })).status).toBe(403);
    const both = testPlugin(permits('write'), { beside: [{ plugin: refuses('write') }] });
    expect((await both.call({ tool: 'files:write' })).status).toBe(403);
    expect(both.reached).toEqual([]);
  });

  it('shows in lists what may be called, and nothing else', async () => {
    const upstream = () => ({
      tools: ['read', 'write', 'other'].map((name) => ({ name: `files:${name}` })),
      ttlMs: 5,
    });
    const listing = plugin(
      'listing',
      'decision',
      { decide: (ctx) => ((ctx as { method: string }).method === 'tools/list' ? 'permit' : undefined) },
      { reads: ['method'] },
    );
    const gateway = testPlugin(permits('read'), {
      beside: [{ plugin: refuses('write') }, { plugin: listing }],
      upstream,
    });
    const { outcome } = await gateway.call({ method: 'tools/list' });
    expect(outcome.result).toEqual({ tools: [{ name: 'files:read' }], ttlMs: 5 });
  });
});

describe('what a plugin may read and change', () => {
  const reading = (attribute: (ctx: never) => unknown, reads: Attribute[]) =>
    plugin(
      'reader',
      'shape',
      {
        exchange: (ctx, next) => {
          attribute(ctx as never);
          return next();
        },
      },
      { reads },
    );

  it.each<[string, (ctx: never) => unknown, Attribute[]]>([
    ['an attribute', (ctx: { principal: unknown }) => ctx.principal, ['method']],
    [
      'another header',
      (ctx: { headers: Record<string, string> }) => ctx.headers.cookie,
      ['headers.x-tenant'],
    ],
    [
      'another claim',
      (ctx: { principal: { claims: Record<string, string> } }) => ctx.principal.claims.mail,
      ['principal.claims.team'],
    ],
    ['another part', (ctx: { principal: { id: string } }) => ctx.principal.id, ['principal.claims.team']],
  ])('refuses to read %s that was not declared, and names the plugin', async (_, attribute, reads) => {
    const gateway = testPlugin(reading(attribute, reads), {});
    const { status, outcome } = await gateway.call({ tool: 'files:read', as: { claims: { team: 'a' } } });
    expect([status, outcome.error?.message]).toEqual([
      503,
      'plugin reader failed, and nothing passes without it',
    ]);
    expect(gateway.logged[0]?.message).toMatch(
      /UndeclaredRead: plugin reader read ".+": declare it in `reads`/,
    );
    expect(gateway.reached).toEqual([]);
  });

  it.each(['source', 'constructor', '__proto__', 'then'])(
    'reads a claim named %s like any other',
    async (name) => {
      let seen: unknown;
      const read = (ctx: unknown) => {
        seen = (ctx as { principal: { claims: Record<string, unknown> } }).principal.claims[name];
        return 'permit' as const;
      };
      const reader = plugin('reader', 'decision', { decide: read }, { reads: [`principal.claims.${name}`] });
      const claims = JSON.parse(`{"${name}": "own", "secret": "other"}`);
      await testPlugin(reader).call({ tool: 'files:read', as: { claims } });
      expect(seen).toBe('own');
    },
  );

  it('hands over what was declared', async () => {
    let seen: unknown;
    const reads: Attribute[] = [
      'principal.claims.team',
      'headers.x-tenant',
      'arguments',
      'target',
      'session',
    ];
    const reader = plugin(
      'reader',
      'shape',
      {
        exchange: (ctx, next) => {
          const all = ctx as {
            principal: { claims: { team: string } };
            headers: Record<string, string>;
            arguments: unknown;
            target: unknown;
            session: unknown;
          };
          seen = [all.principal.claims.team, all.headers['x-tenant'], all.arguments, all.target, all.session];
          return next();
        },
      },
      { reads },
    );
    const as = { claims: { team: 'blue', mail: 'x' } };
    await testPlugin(reader).call({
      tool: 'files:read',
      arguments: { a: 1 },
      headers: { 'X-Tenant': 't' },
      as,
    });
    expect(seen).toEqual([
      'blue',
      't',
      { a: 1 },
      { kind: 'tool', upstream: 'files', name: 'read' },
      undefined,
    ]);
  });

  it('refuses an attribute that there is none of', () => {
    expect(() => testPlugin(plugin('reader', 'shape', {}, { reads: ['principle' as Attribute] }))).toThrow(
      /"principle" is no attribute/,
    );
  });

  it('refuses a change that was not declared', async () => {
    const changing = plugin(
      'changer',
      'shape',
      { exchange: (_, next) => next({ arguments: { b: 2 } }) },
      { changes: ['headers.x-a'] },
    );
    const gateway = testPlugin(changing);
    expect((await gateway.call({ tool: 'files:read' })).status).toBe(503);
    expect(gateway.logged[0]?.message).toMatch(/changed the arguments; declare it/);
  });

  it('refuses changes of lists and notifications that were not declared', async () => {
    const changing = plugin(
      'changer',
      'shape',
      { entries: (_, entries) => entries.slice(1), notification: () => ({ progress: 2 }) },
      { changes: ['result'] },
    );
    const upstream = () => ({ tools: [{ name: 'files:read' }] });
    const gateway = testPlugin(changing, { upstream });
    expect((await gateway.call({})).status).toBe(503);
    const params = { progress: 1 };
    const notification = { direction: 'to client', method: 'notifications/progress', params } as const;
    expect(gateway.route.notification({ call: {} } as never, notification)).toBe('drop');
    expect(gateway.logged.map(({ message }) => message)).toEqual([
      expect.stringMatching(/changed the entries of a list; declare it/),
      expect.stringMatching(/changed a notification; declare it/),
    ]);
  });

  it('keeps others from changing in place what they are given', async () => {
    const scribbler = plugin(
      'scribbler',
      'shape',
      {
        exchange: (ctx, next) => {
          (ctx as { arguments: { a: number } }).arguments.a = 2;
          return next();
        },
      },
      { reads: ['arguments'] },
    );
    const gateway = testPlugin(scribbler, { onFailure: 'allow' });
    const { outcome } = await gateway.call({ tool: 'files:read', arguments: { a: 1 } });
    expect(outcome.result?.echo).toEqual({ a: 1 });
  });

  it('tells a later plugin and the upstream what was changed', async () => {
    const changing = plugin('changer', 'shape', {
      exchange: (_, next) => next({ arguments: { b: 2 }, headers: { 'x-a': '1' } }),
    });
    const gateway = testPlugin(changing);
    await gateway.call({ tool: 'files:read', arguments: { a: 1 } });
    expect(gateway.reached[0]).toMatchObject({ arguments: { b: 2 }, headers: { 'x-a': '1' } });
  });
});

describe('the definition of a tool', () => {
  const READ = { name: 'read', inputSchema: { type: 'object' } };
  const asking = (target?: Target) =>
    plugin(
      'asking',
      'shape',
      {
        exchange: async (ctx, next) => {
          const { definition } = ctx as Attributes;
          await next();
          return Outcome.ofResult({
            said: (await (target ? definition(target) : definition())) ?? 'nothing',
          });
        },
      },
      { reads: ['definition'] },
    );
  const said = async (
    target: Target | undefined,
    request: TestRequest,
    definitions: TestOptions['definitions'],
  ) => (await testPlugin(asking(target), { definitions }).call(request)).outcome;

  it('is that of the tool that is called, or of the one that is named', async () => {
    const definitions = { 'files:read': READ };
    expect((await said(undefined, { tool: 'files:read' }, definitions)).result).toEqual({ said: READ });
    expect((await said(undefined, { tool: 'other:read' }, definitions)).result).toEqual({ said: 'nothing' });
    const named: Target = { kind: 'tool', upstream: 'files', name: 'read' };
    expect((await said(named, {}, definitions)).result).toEqual({ said: READ });
    expect((await said(undefined, {}, definitions)).result).toEqual({ said: 'nothing' });
    expect((await said({ ...named, kind: 'prompt' }, {}, definitions)).result).toEqual({ said: 'nothing' });
  });

  it('refuses the request that needs it when nobody tells it, and is no failure of the plugin', async () => {
    const refusal = new Refusal('failed', 'upstream "files" does not tell');
    const gateway = testPlugin(asking(), { definitions: () => Promise.reject(refusal), onFailure: 'allow' });
    const { outcome } = await gateway.call({ tool: 'files:read' });
    const { kind, message, by } = outcome.refusal as Refusal;
    expect([kind, message, by, gateway.logged]).toEqual([refusal.kind, refusal.message, 'asking', []]);
  });
});

describe('a plugin that fails where nobody can wait or no result comes', () => {
  const thrown = () => {
    throw new Error('broken');
  };
  const arrival = {
    transport: 'http',
    endpoint: '/mcp',
    httpMethod: 'POST',
    headers: {},
    repeatedHeaders: [],
    address: '',
    origin: '',
  } as const;
  const target = { kind: 'tool', upstream: 'up', name: 'tool' } as const;
  const call = { arrival, method: 'tools/call', targets: [target], params: {}, client: {} };
  const known = () => Exchange.identified(call as unknown as Call, Admitted.as(ANONYMOUS));
  const notification = { direction: 'to client', method: 'notifications/message', params: {} } as const;
  const control = { setHeader() {}, limitBody() {} };
  /** By hook: its phase, how it is asked, and what lets pass. */
  const CASES: readonly [hook: keyof Hooks, phase: Phase, ask: (route: Route) => unknown, passes: unknown][] =
    [
      ['head', 'door', (route) => route.head(arrival, control), undefined],
      ['notification', 'shape', (route) => route.notification(known(), notification), undefined],
      ['input', 'shape', (route) => route.input(known(), { method: 'roots/list', params: {} }), undefined],
      ['sessionStart', 'limit', (route) => route.sessionStart(known()), undefined],
      ['admission', 'door', (route) => route.admit(arrival), expect.any(Admitted)],
      ['decide', 'decision', (route) => route.permits(known(), target, 'tools/call'), true],
    ];

  it.each(CASES)(
    'lets nothing pass in %s, and with on_failure: allow what would pass without it',
    async (hook, phase, ask, passes) => {
      for (const failing of [thrown, async () => thrown()]) {
        const own = (onFailure: 'deny' | 'allow') => {
          const declared = plugin('failing', phase, { [hook]: failing } as Hooks);
          const host = { binding: 'failing', clock: { now: () => 0, after: () => () => undefined } } as never;
          const events = { failed() {}, switchedOff() {}, switchedOn() {} };
          return compileRoute([new Binding({ plugin: declared, config: {}, host, onFailure, events })]);
        };
        const denied = await ask(own('deny'));
        expect([denied === 'drop', denied === false, denied instanceof Refusal]).toContain(true);
        // What cannot wait is refused as a mistake of the plugin, however it goes out.
        const cannotWait = failing !== thrown && ['head', 'notification', 'input'].includes(hook);
        if (!cannotWait) expect(await ask(own('allow'))).toEqual(passes);
      }
    },
  );
});

describe('a plugin that fails', () => {
  const failing = (hook: (next: (changes?: Changes) => MaybePromise<Outcome>) => MaybePromise<Outcome>) =>
    plugin('failing', 'limit', { exchange: (_, next) => hook(next) });

  it('refuses, or lets pass where its binding says so', async () => {
    const throwing = failing(() => {
      throw new Error('broken');
    });
    expect((await testPlugin(throwing).call({ tool: 'files:read' })).status).toBe(503);
    const open = testPlugin(throwing, { onFailure: 'allow' });
    expect((await open.call({ tool: 'files:read' })).status).toBe(200);
    expect(open.reached).toHaveLength(1);
  });

  it('is none that brings a copy of the SDK of its own', async () => {
    vi.resetModules();
    const { Refusal: OtherRefusal } = await import('./refusal.js');
    const { Outcome: OtherOutcome } = await import('./outcome.js');
    expect([OtherRefusal === Refusal, OtherOutcome === Outcome]).toEqual([false, false]);
    const refusing = testPlugin(failing(() => new OtherRefusal('limited', 'too much') as never));
    expect((await refusing.call({ tool: 'files:read' })).status).toBe(429);
    const answering = testPlugin(failing(() => OtherOutcome.ofResult({ a: 1 }) as never));
    expect((await answering.call({ tool: 'files:read' })).outcome.result).toEqual({ a: 1 });
  });

  it('is one that forgets to return what it was given, where no types keep it from that', async () => {
    for (const forgetful of [() => undefined, async (next: () => unknown) => void (await next())]) {
      const gateway = testPlugin(failing(forgetful as never));
      expect((await gateway.call({ tool: 'files:read' })).status).toBe(503);
      expect(gateway.logged[0]?.message).toMatch(/returned no outcome/);
    }
  });

  it('runs nothing twice, whatever it does after the call ran', async () => {
    const late = failing(async (next) => {
      await next();
      throw new Error('broken');
    });
    const gateway = testPlugin(late, { onFailure: 'allow' });
    expect((await gateway.call({ tool: 'files:read' })).status).toBe(200);
    const twice = testPlugin(
      failing(async (next) => {
        await next();
        return next();
      }),
    );
    expect((await twice.call({ tool: 'files:read' })).status).toBe(503);
    expect([gateway.reached, twice.reached]).toEqual([[expect.anything()], [expect.anything()]]);
  });

  it('is left alone for a while when it keeps failing, and tried again', async () => {
    let asked = 0;
    let broken = true;
    const gateway = testPlugin(
      failing((next) => {
        asked++;
        if (broken) throw new Error('broken');
        return next();
      }),
    );
    for (let index = 0; index < 8; index++) await gateway.call({ tool: 'files:read' });
    expect(asked).toBe(5);
    expect(gateway.logged.map(({ message }) => message)).toContain('switched off');
    broken = false;
    gateway.clock.advance(1_000);
    expect((await gateway.call({ tool: 'files:read' })).status).toBe(200);
  });

  it.each([RequestFailure, OtherRequestFailure])(
    'is asked on when it fails over single requests',
    async (Failure) => {
      let asked = 0;
      const throwing = failing(() => {
        asked++;
        throw new Failure('too much of it');
      });
      const closed = testPlugin(throwing);
      for (let index = 0; index < 8; index++)
        expect((await closed.call({ tool: 'files:read' })).status).toBe(503);
      const open = testPlugin(throwing, { onFailure: 'allow' });
      for (let index = 0; index < 8; index++)
        expect((await open.call({ tool: 'files:read' })).status).toBe(200);
      expect(asked).toBe(16);
    },
  );
});

describe('what sets callers apart', () => {
  it.each([true, false])('is seen by a cache, wherever it stands (first: %s)', async (first) => {
    const views: string[] = [];
    const cache = plugin(
      'some-cache',
      'cache',
      {
        exchange: (ctx, next) => {
          views.push((ctx as { view: string }).view);
          return next();
        },
      },
      { reads: ['view'] },
    );
    const shaping = plugin(
      'shaping',
      'cache',
      {},
      { reads: ['principal.claims.team', 'headers.x-tenant', 'arguments'] },
    );
    const gateway = testPlugin(cache, { first, beside: [{ plugin: shaping }] });
    const callers = [
      { as: { id: 'a', claims: { team: 'blue' } } },
      { as: { id: 'b', claims: { team: 'blue' } } },
      { as: { id: 'a', claims: { team: 'red' } } },
      { as: { id: 'a', claims: { team: 'blue' } }, headers: { 'x-tenant': 'x' } },
    ];
    for (const caller of callers) await gateway.call({ tool: 'files:read', ...caller });
    expect(views[0]).toBe(views[1]);
    expect(new Set(views).size).toBe(3);
    expect(gateway.route.setsCallersApart).toBe(true);
  });

  it('are also the settings of the plugins beside it, and what the route leads to', async () => {
    const views = new Set<string>();
    const cache = plugin(
      'some-cache',
      'cache',
      {
        exchange: (ctx, next) => {
          views.add((ctx as { view: string }).view);
          return next();
        },
      },
      { reads: ['view'] },
    );
    const shaping = plugin('shaping', 'shape', {}, { changes: ['headers'] });
    const routes = [];
    for (const value of [1, 1, 2]) {
      const gateway = testPlugin(cache, { beside: [{ plugin: shaping, config: { value } }] });
      routes.push(gateway.route);
      await gateway.call({ tool: 'files:read' });
    }
    expect(views.size).toBe(2);
    const { bindings } = routes[0] as Route;
    for (const edition of ['a', 'a', 'b']) {
      const handle = compileRoute(bindings, edition).to(() => Outcome.ofResult({}));
      const arrival = { headers: {} } as Arrival;
      const call = { arrival, method: 'tools/list', targets: [] } as unknown as Call;
      await handle(Exchange.identified(call, Admitted.as(ANONYMOUS)));
    }
    expect(views.size).toBe(2 + 2);
  });
});

describe('a request', () => {
  it('keeps the spelling of its parameters until a plugin changes them', async () => {
    const seen: string[] = [];
    const hook: Hooks['exchange'] = (ctx, next) => {
      seen.push((ctx as { paramsJson: string }).paramsJson);
      return next();
    };
    const reader = plugin('reader', 'cache', { exchange: hook }, { reads: ['paramsJson'] });
    const writer = plugin(
      'writer',
      'shape',
      { exchange: (_, next) => next({ arguments: { a: 2 } }) },
      { changes: ['arguments'] },
    );
    const paramsJson = '{ "name": "read", "arguments": {"a": 1.0} }';
    await testPlugin(reader).call({ tool: 'files:read', paramsJson });
    await testPlugin(reader, { beside: [{ plugin: writer }] }).call({ tool: 'files:read', paramsJson });
    expect(seen).toEqual([paramsJson, '{"name":"read","arguments":{"a":2}}']);
  });
});

describe('types', () => {
  it('keep what needs an identity or a permit from standing where there is none', () => {
    const router: Handler<Allowed, Outcome> = () => Outcome.ofResult({});
    const needsPermit: Layer<Allowed, Outcome> = (next) => next;
    const stages = {
      admission: [],
      identify: [],
      unknown: () => new Refusal('unauthenticated', ''),
      decide: [],
    };
    compileChain({ ...stages, outer: [], inner: [needsPermit] }).to(router);
    // @ts-expect-error what needs a permit cannot stand in front of the decision
    compileChain({ ...stages, outer: [needsPermit], inner: [] }).to(router);
    // @ts-expect-error the router is out of reach without a permit
    const tooEarly: Handler<Known, Outcome> = router;
    expect(tooEarly).toBe(router);
  });

  it('refuse a hook that forgets what next() gave it', () => {
    plugin('forgetful', 'shape', {
      // @ts-expect-error the outcome is not returned
      exchange: (_, next) => {
        after(next(), () => undefined);
      },
    });
    definePlugin({
      name: 'typed',
      version: '1.0.0',
      description: 'For a test.',
      phase: 'limit',
      config: Type.Object({ rate: Type.Number() }),
      reads: ['principal.id', 'headers.x-tenant'],
      changes: [],
      hooks: ({ rate }) => ({
        exchange(ctx, next) {
          const id: string = ctx.principal.id;
          const tenant: string | undefined = ctx.headers['x-tenant'];
          const limit: number = rate;
          // @ts-expect-error it was not declared
          void ctx.arguments;
          void [id, tenant, limit];
          return next();
        },
      }),
    });
  });
});
