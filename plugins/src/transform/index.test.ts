import { definePlugin, Outcome, Refusal, Type } from '@sluice/sdk';
import { configProblems, type TestRequest, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import transform from './index.js';

const gatewayWith = (rule: object, more: object = {}) =>
  testPlugin(transform, { config: { rules: [{ name: 'rule', ...rule }], ...more } });

const ADA = { as: { id: 'ada', tenant: 'eu', claims: { team: 'a' } } };

/** What of a call reaches the server. */
async function sent(rule: object, request: TestRequest) {
  const gateway = gatewayWith(rule);
  const { outcome } = await gateway.call({ tool: 'crm:find', ...request });
  return gateway.reached[0] ?? outcome.error;
}

/** What a caller gets of this result. */
async function got(rule: object, result: object, request: TestRequest = {}) {
  const gateway = testPlugin(transform, {
    config: { rules: [{ name: 'rule', ...rule }] },
    upstream: () => result as never,
  });
  const { outcome } = await gateway.call({ tool: 'crm:find', ...request });
  return outcome.result ?? outcome.error;
}

const problemsOf = (rule: object) =>
  configProblems(transform, { rules: [{ name: 'rule', ...rule }] }).map(
    ({ path, message }) => `${path} ${message}`,
  );

describe('transform: arguments', () => {
  it.each<[string, object, object, object]>([
    [
      'sets',
      { set: { '/tenant': 'eu', '/filter/open': true } },
      { q: 'a' },
      { q: 'a', tenant: 'eu', filter: { open: true } },
    ],
    [
      'sets with templates, anywhere in the value',
      { set: { '/by': ['{{principal.id}}', { t: 'in {{principal.tenant}}' }] } },
      {},
      { by: ['ada', { t: 'in eu' }] },
    ],
    [
      'sets an item, appends one',
      { set: { '/l/0': 'x', '/l/-': 'y' } },
      { l: ['a', 'b'] },
      { l: ['x', 'b', 'y'] },
    ],
    [
      'removes, also what is not there',
      { remove: ['/debug', '/deep/secret', '/l/0', '/no/where'] },
      { debug: 1, deep: { secret: 1, kept: 2 }, l: [1, 2] },
      { deep: { kept: 2 }, l: [2] },
    ],
    [
      'renames, also what is not there',
      { rename: { '/q': '/filter/query', '/x': '/y' } },
      { q: 'a' },
      { filter: { query: 'a' } },
    ],
    [
      'computes',
      { compute: { '/limit': 'arguments.limit > 100 ? 100.0 : arguments.limit' } },
      { limit: 500 },
      { limit: 100 },
    ],
    [
      'computes all from what came',
      { compute: { '/a': 'arguments.b', '/b': 'arguments.a' } },
      { a: 1, b: 2 },
      { a: 2, b: 1 },
    ],
    ['reads ~1 and ~0 in pointers', { set: { '/a~1b': 1, '/c~0d': 2 } }, {}, { 'a/b': 1, 'c~d': 2 }],
    [
      'patches',
      {
        patch: [
          { op: 'test', path: '/v', value: 1 },
          { op: 'replace', path: '/v', value: 2 },
          { op: 'add', path: '/l/1', value: 'x' },
          { op: 'move', from: '/q', path: '/query' },
          { op: 'copy', from: '/l', path: '/m' },
          { op: 'remove', path: '/gone' },
        ],
      },
      { v: 1, l: ['a', 'b'], q: 'c', gone: true },
      { v: 2, l: ['a', 'x', 'b'], query: 'c', m: ['a', 'x', 'b'] },
    ],
    [
      'leaves alone what a patch is not for',
      {
        patch: [
          { op: 'remove', path: '/q' },
          { op: 'test', path: '/v', value: 1 },
        ],
      },
      { v: 2, q: 1 },
      { v: 2, q: 1 },
    ],
  ])('%s', async (_, changes, came, expected) => {
    expect(await sent({ arguments: changes }, { ...ADA, arguments: came as never })).toMatchObject({
      arguments: expected,
    });
    const own = { rule: 0, ...came };
    await sent({ arguments: changes }, { ...ADA, arguments: own as never });
    expect(own).toEqual({ rule: 0, ...came });
  });

  it('lets each rule see what those before have made', async () => {
    const gateway = testPlugin(transform, {
      config: {
        rules: [
          { name: 'one', arguments: { set: { '/n': 1 } } },
          { name: 'two', when: 'arguments.n == 1.0', arguments: { compute: { '/m': 'arguments.n + 1.0' } } },
        ],
      },
    });
    await gateway.call({ tool: 'a:b', arguments: {} });
    expect(gateway.reached[0]?.arguments).toEqual({ n: 1, m: 2 });
  });

  it('is for what matches alone', async () => {
    const rule = {
      match: { methods: ['tools/call'], targets: ['crm:*', '*:find'] },
      when: 'principal.tenant == "eu"',
      arguments: { set: { '/x': 1 } },
    };
    const changed = { arguments: { x: 1 } };
    expect(await sent(rule, { ...ADA, tool: 'crm:get' })).toMatchObject(changed);
    expect(await sent(rule, { ...ADA, tool: 'files:find' })).toMatchObject(changed);
    for (const request of [
      { ...ADA, tool: 'files:get' },
      { ...ADA, tool: 'files:crm:get' },
      { as: { id: 'bob', tenant: 'us' }, tool: 'crm:get' },
      { ...ADA, target: { kind: 'prompt', upstream: 'crm', name: 'x' } as const, method: 'prompts/get' },
    ])
      expect(await sent(rule, request)).toMatchObject({ arguments: {} });
  });

  it('gives no arguments to methods that have none', async () => {
    expect(await sent({ arguments: { set: { '/x': 1 } } }, { method: 'tools/list' })).toMatchObject({
      arguments: {},
    });
  });

  it.each<[object, object, string]>([
    [{ compute: { '/a': 'arguments.b' } }, {}, 'no such key: b'],
    [
      { set: { '/a': '{{arguments.b}}' } },
      { b: { c: 1 } },
      'a list or an object stands where a text is wanted',
    ],
    [{ set: { '/a/b': 1 } }, { a: 'text' }, '/a/b would be inside of a value that holds none'],
    [{ set: { '/l/7': 1 } }, { l: [] }, 'there is no /l/7 in the list'],
    [{ set: { '/l/x': 1 } }, { l: [] }, 'there is no /l/x in the list'],
    [{ patch: [{ op: 'remove', path: '/a' }] }, {}, 'remove finds no place at /a'],
    [{ patch: [{ op: 'replace', path: '/l/3', value: 1 }] }, { l: [1] }, 'replace finds no place at /l/3'],
    [{ patch: [{ op: 'add', path: '/a/b', value: 1 }] }, {}, 'add finds no place at /a/b'],
    [{ patch: [{ op: 'copy', from: '/a', path: '/b' }] }, {}, 'copy finds no place at /a'],
  ])('refuses a call that %j cannot be applied to', async (changes, came, reason) => {
    const gateway = gatewayWith({ when: 'size(arguments) >= 0', arguments: changes });
    for (let i = 0; i < 20; i++) {
      const { outcome, status } = await gateway.call({ tool: 'a:b', arguments: came as never });
      expect(outcome.error).toEqual({
        code: -32602,
        message: `the rule rule cannot be applied to this call: ${reason}`,
      });
      expect(status).toBe(400);
    }
    expect(gateway.reached).toEqual([]);
    // Callers who bring failures about do not switch the plugin off for others.
    expect(gateway.logged.filter(({ level }) => level === 'error')).toEqual([]);
    expect(gateway.counted.get('failed_total{rule="rule"}')).toBe(20);
  });

  it('makes nothing larger than it may be', async () => {
    const doubled = Array.from({ length: 20 }, (_, index) => ({
      name: `rule-${index}`,
      arguments: { compute: { '/a': '[arguments.a, arguments.a]' } },
    }));
    const gateway = testPlugin(transform, { config: { max_output_bytes: 10_000, rules: doubled } });
    const { outcome, status } = await gateway.call({ tool: 'a:b', arguments: { a: 'x'.repeat(100) } });
    expect(status).toBe(413);
    expect(outcome.error?.message).toMatch(/^the rule rule-\d makes the arguments larger than 10000 bytes$/);
    const copies = Array.from({ length: 40 }, (_, index) => [
      { op: 'copy', from: '/a', path: '/b' },
      { op: 'add', path: '/a', value: { index } },
      { op: 'move', from: '/b', path: '/a/deep' },
      { op: 'copy', from: '/a/deep', path: '/a/twice' },
    ]).flat();
    const patched = gatewayWith(
      { arguments: { patch: copies.slice(0, 100) } },
      { max_output_bytes: 100_000 },
    );
    const refused = await patched.call({ tool: 'a:b', arguments: { a: 'x'.repeat(100) } });
    expect(refused.outcome.error?.message).toMatch(/the patch makes it too large/);
  });
});

describe('transform: header fields', () => {
  it('sets, removes, renames', async () => {
    const headers = {
      rename: { 'X-Old': 'X-New', 'X-None': 'X-Nothing' },
      remove: ['X-Debug'],
      set: {
        'X-Tenant': '{{principal.tenant}}/{{headers["x-region"]}}',
        Authorization: 'Bearer of the server',
      },
    };
    const request = { ...ADA, headers: { 'X-Old': 'v', 'X-Region': 'north', 'X-Debug': '1' } };
    expect(await sent({ headers }, request)).toMatchObject({
      headers: {
        'x-new': 'v',
        'x-old': undefined,
        'x-debug': undefined,
        'x-tenant': 'eu/north',
        authorization: 'Bearer of the server',
      },
    });
  });

  it.each([
    ['a line break', 'a\r\nX-Admin: yes'],
    ['a bare line feed', 'a\nb'],
    ['a zero byte', 'a\0b'],
    ['letters that are no ASCII', 'Ünal'],
    ['a blank at an end', 'a '],
    ['too many characters', 'a'.repeat(10_000)],
  ])('lets no caller put %s into a field', async (_, team) => {
    const gateway = gatewayWith({ headers: { set: { 'X-Team': '{{principal.claims.team}}' } } });
    const { outcome } = await gateway.call({ tool: 'a:b', as: { id: 'x', claims: { team } } });
    expect(outcome.error?.message).toMatch(
      /^the rule rule cannot be applied to this call: the header x-team /,
    );
    expect(outcome.error?.message).not.toContain('Admin');
    const renaming = gatewayWith({ headers: { rename: { 'x-a': 'x-b' } } });
    expect((await renaming.call({ tool: 'a:b', headers: { 'x-a': team } })).status).toBe(503);
    expect([...gateway.reached, ...renaming.reached]).toEqual([]);
  });

  it('leaves the head as it is when there is nothing to rename', async () => {
    const rule = { headers: { rename: { 'x-a': 'x-b' } } };
    expect(await sent(rule, ADA)).toMatchObject({ headers: {} });
  });

  it('takes no text for a condition', async () => {
    const rule = { when: 'arguments.on', headers: { set: { 'x-a': 'b' } } };
    expect(await sent(rule, { arguments: { on: true } })).toMatchObject({ headers: { 'x-a': 'b' } });
    expect(await sent(rule, { arguments: { on: false } })).toMatchObject({ headers: {} });
    expect(await sent(rule, { arguments: { on: 'false' } })).toMatchObject({
      message: expect.stringMatching(/the condition is neither true nor false$/),
    });
  });

  it('refuses a call for which there is no value', async () => {
    const gateway = gatewayWith({ headers: { set: { 'X-Tenant': '{{principal.tenant}}' } } });
    const { outcome, status } = await gateway.call({ tool: 'a:b', as: { id: 'ada' } });
    expect([status, outcome.error?.message]).toEqual([
      503,
      'the rule rule cannot be applied to this call: no such key: tenant',
    ]);
  });

  it.each([
    'Host',
    'content-length',
    'Transfer-Encoding',
    'Connection',
    'Keep-Alive',
    'TE',
    'Trailer',
    'Upgrade',
    'Proxy-Authorization',
    'Content-Type',
    'Mcp-Session-Id',
    'Mcp-Method',
    'MCP-Protocol-Version',
    'Sluice-Internal-Hop',
    'X-A\r\nX-B',
    'X A',
    '',
  ])('refuses to change %j, before there is any call', (name) => {
    expect(problemsOf({ headers: { set: { [name]: 'a' } } })).toEqual([
      expect.stringMatching(/^rules\[0\].headers.set\./),
    ]);
    expect(problemsOf({ headers: { remove: [name] } })).toEqual([
      expect.stringMatching(/^rules\[0\].headers.remove\[0\]/),
    ]);
    expect(problemsOf({ headers: { rename: { [name]: 'x-a' } } })).toHaveLength(1);
    expect(problemsOf({ headers: { rename: { 'x-a': name } } })).toHaveLength(1);
  });

  it('hands on no credential of a caller', () => {
    for (const name of ['Authorization', 'Cookie', 'X-API-Key']) {
      expect(problemsOf({ headers: { rename: { [name]: 'X-Token' } } })[0]).toMatch(/never handed on/);
      expect(problemsOf({ headers: { rename: { 'X-Token': name } } })[0]).toMatch(/never handed on/);
      const read = `{{headers["${name.toLowerCase()}"]}}`;
      expect(problemsOf({ headers: { set: { 'X-Token': read } } })[0]).toMatch(/never handed on/);
      expect(problemsOf({ arguments: { set: { '/token': read } } })[0]).toMatch(/never handed on/);
    }
  });
});

describe('transform: results', () => {
  it('changes them, and says what it is for', async () => {
    const rule = {
      match: { targets: ['crm:*'] },
      when: 'has(result.structuredContent)',
      result: {
        remove: ['/structuredContent/ssn'],
        set: { '/_meta/by': 'for {{principal.id}}, asked {{arguments.q}}' },
        compute: { '/structuredContent/count': 'size(result.structuredContent.rows)' },
      },
    };
    const request = { ...ADA, arguments: { q: 'cats' } };
    const result = { content: [], structuredContent: { ssn: 1, rows: [1, 2] } };
    expect(await got(rule, result, request)).toEqual({
      content: [],
      structuredContent: { rows: [1, 2], count: 2 },
      _meta: { by: 'for ada, asked cats' },
    });
    expect(await got(rule, { content: [] }, request)).toEqual({ content: [] });
    expect(await got(rule, result, { ...request, tool: 'files:read' })).toEqual(result);
  });

  it('leaves a result as the bytes that came when nothing about it changes', async () => {
    const bytes = Buffer.from('{"jsonrpc":"2.0","id":1,"result":{"content":[],  "a":1}}');
    for (const changes of [{ remove: ['/nothing'] }, { set: { '/a': 1 } }, { rename: { '/b': '/c' } }]) {
      const rule = { name: 'rule', result: changes };
      const gateway = testPlugin(transform, {
        config: { rules: [rule] },
        upstream: () => Outcome.ofResponse(bytes, 0),
      });
      expect((await gateway.call({ tool: 'a:b' })).outcome.bytes).toBe(bytes);
    }
  });

  it('leaves errors, questions and tasks as they are', async () => {
    const rule = { result: { compute: { '/a': 'result.structuredContent.a' } } };
    const question = { resultType: 'input_required', requestState: 's' };
    expect(await got(rule, question)).toEqual(question);
    const error = { code: -32000, message: 'no' };
    const gateway = testPlugin(transform, {
      config: { rules: [{ name: 'rule', ...rule }] },
      upstream: () => Outcome.ofError(error),
    });
    expect((await gateway.call({ tool: 'a:b' })).outcome.error).toEqual(error);
  });

  it('holds back a result that it cannot change as it should', async () => {
    const rule = { result: { compute: { '/masked': 'result.structuredContent.card.matches("^4")' } } };
    expect(await got(rule, { content: [{ type: 'text', text: 'the secret' }] })).toEqual({
      code: -31011,
      message:
        'the call has run, and its result is held back: the rule rule cannot be applied to it: no such key: structuredContent',
    });
  });

  it('makes no result larger than it may be', async () => {
    const gateway = testPlugin(transform, {
      config: {
        max_output_bytes: 1_024,
        rules: [{ name: 'rule', result: { compute: { '/b': '[result, result, result]' } } }],
      },
      upstream: () => ({ content: [], a: 'x'.repeat(500) }),
    });
    expect((await gateway.call({ tool: 'a:b' })).status).toBe(413);
  });
});

describe('transform: entries of lists', () => {
  const tools = [
    {
      name: 'crm:find',
      description: 'Finds',
      inputSchema: { type: 'object', properties: { q: {}, tenant: {} } },
    },
    { name: 'files:read', description: 'Reads', inputSchema: { type: 'object' } },
  ];
  const listed = async (rule: object, request: TestRequest = {}) => {
    const gateway = testPlugin(transform, {
      config: { rules: [{ name: 'rule', ...rule }] },
      upstream: () => ({ tools }) as never,
    });
    const { outcome } = await gateway.call({ method: 'tools/list', ...request });
    return { tools: outcome.result?.tools as any, gateway };
  };

  it('changes descriptions, and hides an argument', async () => {
    const rule = {
      match: { targets: ['crm:*'] },
      entries: {
        set: { '/title': 'For {{principal.tenant}}' },
        compute: { '/description': 'entry.description + " in " + target.upstream + ":" + target.name' },
        remove: ['/inputSchema/properties/tenant'],
      },
    };
    const { tools: seen } = await listed(rule, ADA);
    expect(seen).toEqual([
      {
        name: 'crm:find',
        title: 'For eu',
        description: 'Finds in crm:find',
        inputSchema: { type: 'object', properties: { q: {} } },
      },
      tools[1],
    ]);
  });

  it('leaves out an entry that it cannot change as it should, and says so to the operator', async () => {
    const rule = { entries: { compute: { '/description': 'string(entry.inputSchema.properties.q)' } } };
    const { tools: seen, gateway } = await listed(rule);
    expect(seen).toEqual([]);
    expect(gateway.logged).toHaveLength(2);
  });

  it('never changes what an entry is called by', () => {
    for (const place of ['/name', '/uri', '/uriTemplate']) {
      for (const entries of [
        { set: { [place]: 'x' } },
        { compute: { [place]: 'entry.title' } },
        { remove: [place] },
        { rename: { [place]: '/x' } },
        { rename: { '/x': place } },
        { patch: [{ op: 'replace', path: place, value: 'x' }] },
        { patch: [{ op: 'move', from: place, path: '/x' }] },
      ])
        expect(problemsOf({ entries })[0]).toMatch(/is what an entry is called by/);
    }
  });
});

describe('transform: prototypes', () => {
  it.each([
    '/__proto__/polluted',
    '/constructor/prototype/polluted',
    '/a/__proto__',
    '/a/constructor',
    '/prototype',
  ])('no rule goes through %s', (place) => {
    for (const changes of [
      { set: { [place]: true } },
      { compute: { [place]: 'true' } },
      { remove: [place] },
      { rename: { [place]: '/x' } },
      { rename: { '/x': place } },
      { patch: [{ op: 'add', path: place, value: true }] },
      { patch: [{ op: 'test', path: place, value: true }] },
      { patch: [{ op: 'copy', from: place, path: '/x' }] },
      { patch: [{ op: 'move', from: '/x', path: place }] },
    ]) {
      for (const part of ['arguments', 'result', 'entries'])
        expect(problemsOf({ [part]: changes })[0]).toMatch(/which no rule may$/);
    }
  });

  it.each([
    [{ patch: [{ op: 'add', path: '/toString/polluted', value: true }] }],
    [{ patch: [{ op: 'add', path: '/l/push/polluted', value: true }] }],
    [{ patch: [{ op: 'add', path: '/text/big/polluted', value: true }] }],
    [{ patch: [{ op: 'replace', path: '/hasOwnProperty', value: true }] }],
    [{ patch: [{ op: 'copy', from: '/toString', path: '/x' }] }],
    [{ patch: [{ op: 'move', from: '/l/push', path: '/x' }] }],
    [{ set: { '/l/push/polluted': true } }],
    [{ set: { '/text/big/polluted': true } }],
  ])('%j reaches nothing that all objects have', async (changes) => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const reached = await sent({ arguments: changes }, { arguments: { l: [1], text: 'a' } });
    expect(reached).toMatchObject({ message: expect.stringMatching(/cannot be applied/) });
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
    for (const shared of [Object.prototype.toString, Array.prototype.push, String.prototype.big])
      expect(shared).not.toHaveProperty('polluted');
  });

  it.each([
    [{ set: { '/x': 1 } }],
    [{ remove: ['/a'] }],
    [{ rename: { '/a': '/b' } }],
    [{ patch: [{ op: 'add', path: '/x', value: 1 }] }],
    [{ set: { '/toString/y': 1 } }],
  ])('%j hands on what a caller calls __proto__ as the plain data that it is', async (changes) => {
    const came = JSON.parse(
      '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"a":1}',
    );
    const gateway = gatewayWith({ arguments: changes });
    await gateway.call({ tool: 'a:b', arguments: came });
    const reached = gateway.reached[0]?.arguments as any;
    expect(JSON.stringify(reached)).toContain('"__proto__":{"polluted":true}');
    expect(reached.polluted).toBeUndefined();
    expect(({} as any).polluted).toBeUndefined();
  });
});

describe('transform: names that no rule reads', () => {
  it('are refused with the call when an expression meets them', async () => {
    const gateway = gatewayWith({ arguments: { compute: { '/x': 'arguments.a' } } });
    const came = JSON.parse('{"constructor":{"prototype":{"polluted":true}},"a":1}');
    expect((await gateway.call({ tool: 'a:b', arguments: came })).status).toBe(400);
    expect(gateway.logged.filter(({ level }) => level === 'error')).toEqual([]);
    expect((await gateway.call({ tool: 'a:b', arguments: { a: 1 } })).status).toBe(200);
  });
});

describe('transform: what it reads', () => {
  it('is what its expressions name, so that caches tell callers apart by nothing else', () => {
    const rules = [
      {
        name: 'rule',
        match: { targets: ['a:*'] },
        when: 'principal.claims.team == "a"',
        headers: { set: { 'X-A': '{{headers["x-b"]}}' }, rename: { 'X-C': 'X-D' } },
        result: { set: { '/a': '{{principal.tenant}}' } },
      },
    ];
    expect([...transform.reads({ rules })].sort()).toEqual([
      'headers.x-b',
      'headers.x-c',
      'principal.claims.team',
      'principal.tenant',
      'targets',
    ]);
  });

  it('sees what a plugin before it has changed', async () => {
    const before = definePlugin({
      name: 'before',
      version: '1.0.0',
      description: 'Sets an argument.',
      phase: 'limit',
      config: Type.Object({}),
      reads: [],
      changes: ['arguments'],
      hooks: () => ({ exchange: (_ctx, next) => next({ arguments: { a: 1 } }) }),
    });
    const rule = { name: 'rule', arguments: { compute: { '/b': 'arguments.a' } } };
    const gateway = testPlugin(transform, { config: { rules: [rule] }, beside: [{ plugin: before }] });
    await gateway.call({ tool: 'a:b' });
    expect(gateway.reached[0]?.arguments).toEqual({ a: 1, b: 1 });
  });

  it('lets a refusal of the server through', async () => {
    const gateway = testPlugin(transform, {
      config: { rules: [{ name: 'rule', result: { set: { '/a': 1 } } }] },
      upstream: () => Outcome.ofRefusal(new Refusal('limited', 'later')),
    });
    expect((await gateway.call({ tool: 'a:b' })).status).toBe(429);
  });
});

describe('transform: bad configurations', () => {
  it.each<[object, string]>([
    [{}, 'rules[0] changes nothing'],
    [{ arguments: { set: { tenant: 1 } } }, 'rules[0].arguments.set.tenant is no JSON Pointer'],
    [{ arguments: { set: { '': 1 } } }, 'rules[0].arguments.set. is no JSON Pointer'],
    [{ arguments: { set: { '/a~2': 1 } } }, 'rules[0].arguments.set./a~2 has a ~'],
    [
      { arguments: { set: { '/a': { b: ['{{nope}}'] } } } },
      'rules[0].arguments.set./a.b[0] {{nope}} is no expression: unknown variable',
    ],
    [{ arguments: { compute: { '/a': '1 +' } } }, 'rules[0].arguments.compute./a is no expression'],
    [
      { arguments: { compute: { '/a': 'result.b' } } },
      'rules[0].arguments.compute./a is no expression: unknown variable: result',
    ],
    [{ arguments: { rename: { '/a': '/a/b' } } }, 'rules[0].arguments.rename./a goes inside of itself'],
    [{ arguments: { replace: {} } }, 'rules[0].arguments.replace unknown field'],
    [{ arguments: { patch: [{ op: 'swap', path: '/a' }] } }, 'rules[0].arguments.patch[0].op'],
    [{ arguments: { patch: [{ op: 'add', path: '/a' }] } }, 'rules[0].arguments.patch[0].value is missing'],
    [{ arguments: { patch: [{ op: 'move', path: '/a' }] } }, 'rules[0].arguments.patch[0].from is missing'],
    [
      { arguments: { patch: [{ op: 'remove', path: '' }] } },
      'rules[0].arguments.patch[0].path is no JSON Pointer',
    ],
    [
      { arguments: { patch: [{ op: 'move', from: '/a', path: '/a/b' }] } },
      'rules[0].arguments.patch[0].path is inside',
    ],
    [{ when: '"a"', headers: { remove: ['a'] } }, 'rules[0].when gives a string, and not true or false'],
    [
      { when: 'result.a', headers: { remove: ['a'] }, result: { remove: ['/a'] } },
      'rules[0].when is no expression',
    ],
    [{ match: { targets: ['crm'] }, headers: { remove: ['a'] } }, 'rules[0].match.targets[0] has no colon'],
    [
      { match: { methods: ['tools/call'] }, entries: { remove: ['/a'] } },
      'rules[0].match.methods holds no list',
    ],
    [{ headers: { set: { 'X-A': 'a\nb' } } }, 'rules[0].headers.set.X-A holds a line break'],
    [{ headers: { set: { 'X-A': 1 } } }, 'rules[0].headers.set.X-A'],
    [{ name: 'Rule 1', headers: { remove: ['a'] } }, 'rules[0].name'],
  ])('%j', (rule, problem) => {
    const problems = problemsOf(rule);
    expect(problems[0]?.startsWith(problem), problems.join('\n')).toBe(true);
  });

  it.each(['1GiB', 0, 'much'])('a size of %j', (size) => {
    const rules = [{ name: 'rule', headers: { remove: ['a'] } }];
    expect(configProblems(transform, { rules, max_output_bytes: size })[0]?.path).toBe('max_output_bytes');
  });

  it('two rules of one name', () => {
    const rule = { name: 'rule', headers: { remove: ['a'] } };
    expect(configProblems(transform, { rules: [rule, rule] })).toEqual([
      { path: 'rules[1].name', message: 'is that of rules[0] too' },
    ]);
  });
});
