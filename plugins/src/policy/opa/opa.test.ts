import type { FetchOptions } from '@sluice/sdk';
import { configProblems, type TestOptions, testPlugin } from '@sluice/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import policy from '../index.js';

const URL = 'http://127.0.0.1:8181/v1/data/sluice/decision';
const OK = { status: 200, headers: {} };

/** A gateway whose OPA says what the test says. */
function gatewayOf(
  says: (input: Record<string, any>) => unknown,
  opa: object = {},
  more: { readonly config?: object; readonly options?: TestOptions } = {},
) {
  const asked: { url: string; options: FetchOptions; input: Record<string, any> }[] = [];
  const gateway = testPlugin(policy, {
    config: { opa: { rest: { url: URL }, ...opa }, ...more.config },
    fetch: async (url, options) => {
      const { input } = JSON.parse(options.body as string);
      asked.push({ url, options, input });
      return { ...OK, text: JSON.stringify(says(input)) };
    },
    ...more.options,
  });
  return Object.assign(gateway, { asked });
}

const call = { tool: 'files:read', arguments: { path: '/a' }, as: { id: 'ada', scopes: ['read'] } };
const YES = { result: true };

describe('an OPA elsewhere', () => {
  it('is told what is configured, and decides', async () => {
    const gateway = gatewayOf(() => YES, { rest: { url: URL, token: 'a-token', timeout: '250ms' } });
    expect((await gateway.call(call)).status).toBe(200);
    const [{ url, options, input }] = gateway.asked as [(typeof gateway.asked)[0]];
    expect([url, options.method, options.timeoutMs]).toEqual([URL, 'POST', 250]);
    expect(options.headers).toMatchObject({
      'content-type': 'application/json',
      authorization: 'Bearer a-token',
    });
    expect(input).toEqual({
      method: 'tools/call',
      target: { kind: 'tool', upstream: 'files', name: 'read' },
      arguments: { path: '/a' },
      principal: { id: 'ada', scopes: ['read'], claims: {} },
      client: {},
    });
  });

  it.each<[string, unknown, number, string]>([
    ['true', { result: true }, 200, ''],
    ['false', { result: false }, 403, 'the policy does not allow this tools/call'],
    ['nothing', {}, 403, 'the policy does not allow this tools/call'],
    ['allow', { result: { allow: true, reason: 'why not' } }, 200, ''],
    ['a reason', { result: { allow: false, reason: 'not today' } }, 403, 'not today'],
    ['null', { result: null }, 403, 'cannot say whether'],
    ['a number', { result: 1 }, 403, 'cannot say whether'],
    ['a text', { result: 'true' }, 403, 'cannot say whether'],
    ['a list', { result: [true] }, 403, 'cannot say whether'],
    ['no allow', { result: {} }, 403, 'cannot say whether'],
    ['allow as a text', { result: { allow: 'true' } }, 403, 'cannot say whether'],
    ['a member that nobody knows', { result: { allow: true, deny: true } }, 403, 'cannot say whether'],
    ['a reason that is none', { result: { allow: true, reason: 1 } }, 403, 'cannot say whether'],
    ['a question without words', { result: { ask: {} } }, 403, 'cannot say whether'],
    ['a page that is none', { result: { ask: { message: 'a', url: 'x' } } }, 403, 'cannot say whether'],
    [
      'a page that is a program',
      { result: { ask: { message: 'a', url: 'javascript:a()' } } },
      403,
      'cannot say',
    ],
    ['a list in place of all', [], 503, 'nothing passes without it'],
  ])('says %s', async (_, answer, status, message) => {
    const gateway = gatewayOf(() => answer);
    const { status: own, outcome } = await gateway.call(call);
    expect(own).toBe(status);
    expect(outcome.error?.message ?? '').toContain(message);
    expect(gateway.reached).toHaveLength(status === 200 ? 1 : 0);
  });

  it.each([
    ['a form', { allow: false, ask: 'Sure?' }, { message: 'Sure?' }],
    [
      'a page',
      { ask: { message: 'Look', url: 'https://example.com/a' } },
      { message: 'Look', url: 'https://example.com/a' },
    ],
    ['a person, although it allows', { allow: true, ask: { message: 'Sure?' } }, { message: 'Sure?' }],
  ])('has a person asked: %s', async (_, result, question) => {
    for (const revision of ['2026-07-28', '2025-11-25']) {
      const yes = gatewayOf(() => ({ result }), {}, { options: { person: () => ({ action: 'accept' }) } });
      const came = await yes.call({ ...call, revision });
      expect(came.asked).toEqual([expect.objectContaining(question)]);
      expect(yes.reached).toHaveLength(1);
      expect(came.remarks.map(({ kind, rule }) => [kind, rule])).toContainEqual(['approved', 'opa']);
      const no = gatewayOf(() => ({ result }), {}, { options: { person: () => ({ action: 'decline' }) } });
      expect((await no.call({ ...call, revision })).status).toBe(403);
      expect(no.reached).toEqual([]);
    }
  });

  it.each<[string, TestOptions['fetch']]>([
    ['is not there', () => Promise.reject(new Error('refused'))],
    ['answers 500', () => ({ status: 500, headers: {}, text: '{"result":true}' })],
    ['answers 404', () => ({ status: 404, headers: {}, text: '{"result":true}' })],
    ['sends elsewhere', () => ({ status: 307, headers: { location: URL }, text: '{"result":true}' })],
    ['answers with no JSON', () => ({ ...OK, text: '<html>' })],
    ['answers with two', () => ({ ...OK, text: '{"result":true}{"result":true}' })],
  ])('that %s has nothing pass, again and again, unless the binding says so', async (_, fetch) => {
    const config = { opa: { rest: { url: URL } } };
    const closed = testPlugin(policy, { config, fetch });
    for (let count = 0; count < 10; count++) {
      const { status, outcome } = await closed.call(call);
      expect([status, outcome.error?.code]).toEqual([503, -31011]);
    }
    expect(closed.reached).toEqual([]);
    const open = testPlugin(policy, { config, fetch, onFailure: 'allow' });
    for (let count = 0; count < 10; count++) {
      const { status, remarks } = await open.call(call);
      expect(status).toBe(200);
      expect(remarks).toEqual([expect.objectContaining({ kind: 'flagged', rule: 'opa' })]);
    }
    expect(open.reached).toHaveLength(10);
    // A caller who has OPA fail does not switch it off for the others.
    for (const { logged } of [open, closed])
      expect(logged.map(({ message }) => message)).not.toContain('switched off');
  });

  it.each([
    ['r%6d', 'rm'],
    ['rm', 'r%6d'],
  ])('that fails over %s lets nothing pass that it denies as %s', async (failing, denied) => {
    const config = { opa: { rest: { url: URL } } };
    const fetch: TestOptions['fetch'] = async (_, { body } = {}) => {
      const { input } = JSON.parse(body as string);
      if (input.target.name === failing) throw new Error('gone');
      return { ...OK, text: JSON.stringify({ result: input.target.name !== denied }) };
    };
    const gateway = testPlugin(policy, { config, fetch, onFailure: 'allow' });
    expect((await gateway.call({ tool: 'files:r%6d' })).status).toBe(403);
    expect((await gateway.call({ tool: `files:${failing}` })).status).toBe(failing === 'rm' ? 200 : 403);
  });

  it('has no time for what has waited too long', async () => {
    const waiting: (() => void)[] = [];
    const fetch = async () => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return { ...OK, text: '{"result":true}' };
    };
    const gateway = testPlugin(policy, { config: { opa: { rest: { url: URL } } }, fetch });
    const calls = Array.from({ length: 70 }, (_, n) => gateway.call({ ...call, arguments: { n } }));
    await expect.poll(() => waiting.length).toBe(64);
    gateway.clock.advance(5_001);
    waiting[0]?.();
    const statuses = (await Promise.all(calls.slice(64))).map(({ status }) => status);
    expect(statuses).toEqual(Array(6).fill(503));
    for (const resolve of waiting) resolve();
    expect((await Promise.all(calls.slice(0, 64))).every(({ status }) => status === 200)).toBe(true);
  });

  it('is asked by no more at a time than it takes, and refuses what waits beyond', async () => {
    const waiting: (() => void)[] = [];
    let most = 0;
    const fetch = async () => {
      most = Math.max(most, waiting.length + 1);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return { ...OK, text: '{"result":true}' };
    };
    const gateway = testPlugin(policy, { config: { opa: { rest: { url: URL } } }, fetch });
    const calls = Array.from({ length: 1_200 }, (_, n) => gateway.call({ ...call, arguments: { n } }));
    await expect.poll(() => waiting.length).toBe(64);
    let done = false;
    const all = Promise.all(calls).then((came) => {
      done = true;
      return came;
    });
    while (!done) {
      waiting.splice(0).forEach((resolve) => void resolve());
      await new Promise((resolve) => setImmediate(resolve));
    }
    const statuses = (await all).map(({ status }) => status);
    expect(most).toBe(64);
    expect(statuses.filter((status) => status === 503)).toHaveLength(1_200 - 64 - 1_024);
    expect(gateway.counted.get('opa_total{how="busy"}')).toBe(112);
  });
});

describe('rules and OPA', () => {
  const rules = [
    { id: 'never', when: 'target.name == "drop"', outcome: 'deny' },
    { id: 'always', when: 'target.name == "list"', outcome: 'allow' },
  ];

  it('OPA is asked where no rule says anything', async () => {
    const gateway = gatewayOf(() => ({ result: false }), {}, { config: { rules } });
    expect((await gateway.call({ tool: 'files:drop' })).status).toBe(403);
    expect((await gateway.call({ tool: 'files:list' })).status).toBe(200);
    expect(gateway.asked).toEqual([]);
    expect((await gateway.call(call)).status).toBe(403);
    expect(gateway.asked).toHaveLength(1);
  });

  it('what belongs to the protocol passes without it', async () => {
    const gateway = gatewayOf(() => ({ result: false }));
    expect((await gateway.call({ method: 'ping' })).status).toBe(200);
    expect(gateway.asked).toEqual([]);
  });

  it('is only noted in audit mode', async () => {
    const gateway = gatewayOf(() => ({ result: false }), {}, { config: { mode: 'audit' } });
    const { status, remarks } = await gateway.call(call);
    expect(status).toBe(200);
    expect(remarks).toContainEqual(expect.objectContaining({ kind: 'deny', rule: 'opa', isEnforced: false }));
  });

  const list = {
    tools: ['read', 'drop', 'list', 'rm'].map((name) => ({ name: `files:${name}`, inputSchema: {} })),
  };
  const names = (result: unknown) => (result as typeof list).tools.map(({ name }) => name);

  it('entries of lists are asked about, without arguments and as something later', async () => {
    const gateway = gatewayOf(
      ({ target, later }) => ({ result: later === true && target.name !== 'rm' }),
      {},
      { config: { rules }, options: { upstream: () => list } },
    );
    const { outcome } = await gateway.call({ method: 'tools/list' });
    expect(names(outcome.result)).toEqual(['files:read', 'files:list']);
    expect(gateway.asked.map(({ input }) => [input.method, input.target.name, 'arguments' in input])).toEqual(
      [
        ['tools/call', 'read', false],
        ['tools/call', 'rm', false],
      ],
    );
  });

  it('or shown, where that is configured', async () => {
    const gateway = gatewayOf(
      () => ({ result: false }),
      { lists: 'show' },
      { config: { rules }, options: { upstream: () => list } },
    );
    const { outcome } = await gateway.call({ method: 'tools/list' });
    expect(names(outcome.result)).toEqual(['files:read', 'files:list', 'files:rm']);
    expect(gateway.asked).toEqual([]);
  });

  it('hides all when OPA is not there, unless the binding says otherwise, and notes it in audit mode', async () => {
    const listed = async (mode: string, onFailure: 'deny' | 'allow') => {
      const gateway = testPlugin(policy, {
        config: { mode, opa: { rest: { url: URL } } },
        upstream: () => list,
        fetch: () => Promise.reject(new Error('refused')),
        onFailure,
      });
      const { status, remarks } = await gateway.call(call);
      expect(remarks).toHaveLength(onFailure === 'allow' || mode === 'audit' ? 1 : 2);
      return [status, names((await gateway.call({ method: 'tools/list' })).outcome.result).length];
    };
    expect(await listed('enforce', 'deny')).toEqual([503, 0]);
    expect(await listed('enforce', 'allow')).toEqual([200, 4]);
    expect(await listed('audit', 'deny')).toEqual([200, 4]);
  });
});

describe('a decision', () => {
  it('is kept by what OPA is told, for its time', async () => {
    const gateway = gatewayOf(() => YES, { cache: { ttl: '10s' } });
    await gateway.call(call);
    await gateway.call(call);
    expect(gateway.asked).toHaveLength(1);
    await gateway.call({ ...call, as: { id: 'eve' } });
    await gateway.call({ ...call, arguments: { path: '/b' } });
    await gateway.call({ ...call, client: { name: 'other' } });
    expect(gateway.asked).toHaveLength(4);
    gateway.clock.advance(9_999);
    await gateway.call(call);
    expect(gateway.asked).toHaveLength(4);
    gateway.clock.advance(1);
    await gateway.call(call);
    expect(gateway.asked).toHaveLength(5);
    expect(gateway.counted.get('opa_total{how="kept"}')).toBe(2);
  });

  it('is the same for principals only where OPA is told nothing of them', async () => {
    const gateway = gatewayOf(() => YES, { input: ['method', 'target'] });
    await gateway.call(call);
    await gateway.call({ ...call, as: { id: 'eve' }, arguments: { path: '/b' } });
    expect(gateway.asked).toHaveLength(1);
  });

  it('is asked for once at a time, and a failure is not kept', async () => {
    let count = 0;
    const fetch = async () => {
      count++;
      await new Promise((resolve) => setImmediate(resolve));
      if (count === 1) throw new Error('gone');
      return { ...OK, text: '{"result":true}' };
    };
    const gateway = testPlugin(policy, { config: { opa: { rest: { url: URL } } }, fetch });
    const both = await Promise.all([gateway.call(call), gateway.call(call)]);
    expect([count, ...both.map(({ status }) => status)]).toEqual([1, 503, 503]);
    const all = await Promise.all([gateway.call(call), gateway.call(call), gateway.call(call)]);
    expect([count, ...all.map(({ status }) => status)]).toEqual([2, 200, 200, 200]);
  });

  it('is not kept with a time of 0s, and goes when there are too many', async () => {
    const none = gatewayOf(() => YES, { cache: { ttl: '0s' } });
    for (let n = 0; n < 3; n++) await none.call(call);
    expect(none.asked).toHaveLength(3);
    const two = gatewayOf(() => YES, { cache: { max_entries: 2 } });
    for (const path of ['/1', '/2', '/3', '/3', '/1']) await two.call({ ...call, arguments: { path } });
    expect(two.asked).toHaveLength(4);
  });

  it('with a long form is not kept', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string', title: 'x'.repeat(9_000) } } };
    const gateway = gatewayOf(
      () => ({ result: { ask: { message: 'Sure?', schema } } }),
      {},
      { options: { person: () => ({ action: 'decline' }) } },
    );
    await gateway.call({ ...call, revision: '2025-11-25' });
    await gateway.call({ ...call, revision: '2025-11-25' });
    expect(gateway.asked).toHaveLength(2);
  });

  it('of one minute is of another one in the next', async () => {
    const gateway = gatewayOf(() => YES, { input: ['target', 'now'], cache: { ttl: '1h' } });
    await gateway.call(call);
    gateway.clock.advance(1_000);
    await gateway.call(call);
    gateway.clock.advance(60_000);
    await gateway.call(call);
    expect(gateway.asked.map(({ input }) => input.now)).toEqual([
      '2023-11-14T22:13:00Z',
      '2023-11-14T22:14:00Z',
    ]);
  });

  it('is never that of another input', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ id: fc.constantFrom('a', 'b'), value: fc.jsonValue() }), { maxLength: 12 }),
        async (calls) => {
          const says = (input: object) => JSON.stringify(input).length % 2 === 0;
          const gateway = gatewayOf((input) => ({ result: says(input) }));
          for (const { id, value } of calls) {
            const { status } = await gateway.call({ ...call, as: { id }, arguments: { value } as never });
            const input = {
              principal: { id, scopes: [], claims: {} },
              method: 'tools/call',
              target: { kind: 'tool', upstream: 'files', name: 'read' },
              arguments: { value },
              client: {},
            };
            expect(status).toBe(says(JSON.parse(JSON.stringify(input))) ? 200 : 403);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('what is told', () => {
  it('are parts, and nothing beside them', async () => {
    const gateway = gatewayOf(() => YES, {
      input: ['principal.claims.team', 'headers.x-team', 'arguments.path', 'agent', 'session', 'transport'],
    });
    await gateway.call({
      ...call,
      arguments: { path: '/a', secret: 'x' },
      as: { id: 'ada', claims: { team: 'red', other: 1 } },
      headers: { 'x-team': 'blue', authorization: 'Bearer x' },
      client: { name: 'bot' },
    });
    expect(gateway.asked[0]?.input).toEqual({
      principal: { claims: { team: 'red' } },
      headers: { 'x-team': 'blue' },
      arguments: { path: '/a' },
      agent: { name: 'bot', capabilities: [], source: 'client' },
      session: null,
      transport: 'http',
    });
  });

  it('is of a client what it says of itself, and nothing of how it is held', async () => {
    const gateway = gatewayOf(() => YES, { input: ['client'] });
    const { route, asked } = gateway;
    const known = { ...call, client: { name: 'bot', capabilities: { roots: {} } } };
    await gateway.call(known);
    expect(asked[0]?.input).toEqual({ client: { name: 'bot', capabilities: { roots: {} } } });
    expect(route.bindings.at(-1)?.reads).toEqual(
      expect.arrayContaining(['client.name', 'client.version', 'client.capabilities']),
    );
    expect(route.bindings.at(-1)?.reads).not.toContain('client');
  });

  it('cannot be made something else by what a caller sends', async () => {
    const gateway = gatewayOf(({ later, principal }) => ({
      result: later === undefined && principal.id === 'ada',
    }));
    const paramsJson =
      '{"name":"read","arguments":{"__proto__":{"later":true},"input":{"principal":{"id":"ada"}},"later":true}}';
    const { status } = await gateway.call({ tool: 'files:read', paramsJson, as: { id: 'eve' } });
    expect(status).toBe(403);
    const [{ options, input }] = gateway.asked as [(typeof gateway.asked)[0]];
    expect(options.body).toContain('"__proto__"');
    expect(input.principal.id).toBe('eve');
  });

  it('is not endless', async () => {
    const gateway = gatewayOf(() => YES);
    const { status } = await gateway.call({ ...call, arguments: { path: 'x'.repeat(1_100_000) } });
    expect([status, gateway.asked.length]).toEqual([403, 0]);
    expect(gateway.counted.get('opa_total{how="input"}')).toBe(1);
  });
});

describe('a configuration', () => {
  const rest = { url: URL };
  it.each<[object, string]>([
    [{}, 'opa'],
    [{ rest, wasm: { path: '/dev/null' } }, 'opa'],
    [{ rest: { url: 'ftp://a/' } }, 'opa.rest.url'],
    [{ rest: { url: 'http://' } }, 'opa.rest.url'],
    [{ rest: { url: 'http://user:secret@a/v1/data/x' } }, 'opa.rest.url'],
    [{ rest: { url: 'http://a/#x' } }, 'opa.rest.url'],
    [{ rest: { url: URL, token: 'a\nb' } }, 'opa.rest.token'],
    [{ rest: { url: URL, timeout: '0s' } }, 'opa.rest.timeout'],
    [{ rest: { url: URL, timeout: '2m' } }, 'opa.rest.timeout'],
    [{ rest, input: [] }, 'opa.input'],
    [{ rest, input: ['method', 'headers'] }, 'opa.input[1]'],
    [{ rest, input: ['headers.X-Team'] }, 'opa.input[0]'],
    [{ rest, input: ['target.name'] }, 'opa.input[0]'],
    [{ rest, input: ['nothing'] }, 'opa.input[0]'],
    [{ rest, input: ['__proto__.x'] }, 'opa.input[0]'],
    [{ rest, cache: { ttl: '2d' } }, 'opa.cache.ttl'],
    [{ rest, cache: { max_entries: 0 } }, 'opa.cache.max_entries'],
    [{ rest, lists: 'hide' }, 'opa.lists'],
    [{ rest, more: 1 }, 'opa.more'],
  ])('%j is refused at %s', (opa, path) => {
    expect(configProblems(policy, { opa }).map((problem) => problem.path)).toContain(path);
  });

  it('has no rule of the name that stands for OPA', () => {
    const config = { rules: [{ id: 'opa', outcome: 'allow' }], opa: { rest } };
    expect(configProblems(policy, config).map(({ path }) => path)).toEqual(['rules[0].id']);
  });
});
