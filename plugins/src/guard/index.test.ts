import { configProblems, type TestRequest } from '@sluice/sdk/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { closeGateways, gatewayOf, SETS, text } from './guarded-gateway.js';
import plugin from './index.js';

afterAll(closeGateways);

describe('calls', () => {
  const config = { sets: SETS };
  it.each([
    ['fs-traversal', { path: '../../x' }],
    ['shell-remove', { command: { line: ['rm -rf /'] } }],
    ['sql-drop', { query: 'DROP TABLE users' }],
    ['net-metadata', { url: 'http://0xA9FEA9FE/' }],
    ['net-metadata', { host: 2852039166 }],
    ['net-loopback', { host: '0177.1' }],
    ['code-process', { script: "os.system('id')" }],
    ['fs-credentials', { 'read ~/.ssh/id_rsa': true }],
    ['json-prototype', JSON.parse('{"__proto__":{"admin":true}}')],
    ['json-prototype', { constructor: { prototype: { admin: true } } }],
    ['json-prototype', { 'a.__proto__.b': 1 }],
  ])('are refused by %s: %j', async (rule, own) => {
    const gateway = gatewayOf(config);
    const { status, outcome, remarks } = await gateway.call({ tool: 'files:read', arguments: own as never });
    expect(status).toBe(403);
    expect(outcome.error?.message).toContain(`(rule ${rule})`);
    expect(outcome.error?.data).toEqual({ rule });
    expect(outcome.error?.message).not.toContain(JSON.stringify(own).slice(1, -1));
    expect(remarks).toContainEqual(expect.objectContaining({ rule, by: 'guard' }));
    expect(gateway.reached).toEqual([]);
  });

  it('are refused when one object has a name twice, wherever it is', async () => {
    for (const paramsJson of [
      '{"name":"read","arguments":{"path":"../../etc/passwd","path":"ok"}}',
      '{"name":"read","arguments":{"a":[{"b":1,"\\u0062":2}]}}',
      '{"name":"read","arguments":{},"arguments":{"path":"x"}}',
    ]) {
      const { outcome } = await gatewayOf({}).call({ tool: 'files:read', paramsJson });
      expect(outcome.error?.message).toContain('(rule json-repeated-name)');
    }
  });

  it.each([
    { path: 'docs/a.md', text: 'a "quoted: text": with {"colons": 1}, \\" and \\\\' },
    { a: [{ b: 1 }, { b: 2 }], c: 'x', n: 12.5, t: true, z: null },
  ])('pass when there is nothing: %j', async (own) => {
    const gateway = gatewayOf(config);
    expect((await gateway.call({ tool: 'files:read', arguments: own })).status).toBe(200);
    expect(gateway.reached).toHaveLength(1);
  });

  it('are refused in whatever they are written', async () => {
    const path = '/etc/shadow';
    const wide = [...path].map((each) => String.fromCharCode(each.charCodeAt(0) + 0xfee0)).join('');
    for (const own of [
      encodeURIComponent(encodeURIComponent(path)),
      Buffer.from(`cat ${path} now`).toString('base64'),
      JSON.stringify(JSON.stringify({ path })),
      wide,
      [...path].join('\u200d'),
      path.replaceAll('/', '&sol;'),
      '\\u002fetc\\u002fshadow',
    ]) {
      const { status } = await gatewayOf(config).call({ tool: 'files:read', arguments: { own } });
      expect([own, status]).toEqual([own, 403]);
    }
  });

  it('are for their targets, without what is excluded, and only remarked where that is said', async () => {
    const own = {
      sets: [
        { set: 'filesystem', targets: ['files:*'], exclude: ['fs-system', 'fs-credentials'] },
        { set: 'sql', targets: ['db:*'], action: 'flag' },
      ],
    };
    const status = async (tool: string, value: string) =>
      (await gatewayOf(own).call({ tool, arguments: { value } })).status;
    expect(await status('files:read', '../x')).toBe(403);
    expect(await status('files:read', '/etc/shadow')).toBe(200);
    expect(await status('other:read', '../x')).toBe(200);
    expect(await status('db:query', 'drop table x')).toBe(200);
    const { remarks } = await gatewayOf(own).call({ tool: 'db:query', arguments: { value: 'drop table x' } });
    expect(remarks).toMatchObject([{ kind: 'flagged', rule: 'sql-drop', isEnforced: false }]);
  });

  it('have own rules', async () => {
    const own = {
      rules: [
        { id: 'no-deletes', reason: 'nothing is deleted here', targets: ['*:delete_*'] },
        { id: 'ticket', reason: 'no such ticket', at: ['/ticket', '/list/*/id'], patterns: ['^SEC-[0-9]+$'] },
        { id: 'private', reason: 'that folder is private', paths: ['/srv/private'] },
        {
          id: 'partner',
          reason: 'not that host',
          hosts: ['*.partner.example', '198.51.100.0/24', '203.0.113.7'],
        },
      ],
    };
    const rule = async (tool: string, value: object) => {
      const { outcome } = await gatewayOf(own).call({ tool, arguments: value as never });
      return (outcome.error?.data as { rule?: string } | undefined)?.rule;
    };
    expect(await rule('crm:delete_all', {})).toBe('no-deletes');
    expect(await rule('crm:get', { ticket: 'SEC-12' })).toBe('ticket');
    expect(await rule('crm:get', { list: [{ id: 'A' }, { id: 'SEC-12' }] })).toBe('ticket');
    expect(await rule('crm:get', { other: 'SEC-12', list: ['SEC-12'] })).toBeUndefined();
    expect(await rule('crm:get', { path: '/srv/public/../private/x' })).toBe('private');
    expect(await rule('crm:get', { path: 'see "\\srv\\Private"' })).toBe('private');
    expect(await rule('crm:get', { path: '/srv/privates' })).toBeUndefined();
    expect(await rule('crm:get', { url: 'https://A.Partner.example:8443/x' })).toBe('partner');
    expect(await rule('crm:get', { url: 'http://3325256709/' })).toBe('partner');
    expect(await rule('crm:get', { url: 'http://[::ffff:203.0.113.7]/' })).toBe('partner');
    expect(await rule('crm:get', { url: 'https://partner.example.org/' })).toBeUndefined();

    const list = gatewayOf(own, () => ({ tools: [{ name: 'crm:get' }, { name: 'crm:delete_all' }] }));
    expect((await list.call({ method: 'tools/list' })).outcome.result).toEqual({
      tools: [{ name: 'crm:get' }],
    });
  });

  it('of other methods are looked at too', async () => {
    const asks: TestRequest[] = [
      { method: 'resources/read', params: { uri: 'file:///etc/shadow' } },
      { method: 'resources/subscribe', params: { uri: 'file:/docs/%2e%2e/%2e%2e/x' } },
      { method: 'completion/complete', params: { argument: { name: 'path', value: '../../' } } },
      { method: 'prompts/get', params: { name: 'p', arguments: { path: '../x' } } },
    ];
    for (const ask of asks) expect((await gatewayOf(config).call(ask)).status).toBe(403);
    const meta = { method: 'resources/read', params: { uri: 'docs:a', _meta: { note: '../..' } } };
    expect((await gatewayOf(config).call(meta)).status).toBe(200);
    const file = { method: 'resources/read', params: { uri: 'file:///docs/a.md' } };
    expect((await gatewayOf(config).call(file)).status).toBe(200);
  });

  it('that are about no target are looked at for their JSON alone', async () => {
    const own = { sets: SETS, rules: [{ id: 'nothing', reason: 'nothing is called', targets: ['*:*'] }] };
    const ask = { method: 'initialize', params: { clientInfo: { name: '../../etc/passwd' } } };
    expect((await gatewayOf(own).call(ask)).status).toBe(200);
    const twice = { method: 'ping', paramsJson: '{"a":1,"a":2}' };
    expect((await gatewayOf(own).call(twice)).status).toBe(403);
  });

  it('have any number of numbers, and so many texts', async () => {
    const rows = Array.from({ length: 120_000 }, (_, index) => index);
    const gateway = gatewayOf(config);
    expect((await gateway.call({ tool: 'files:read', arguments: { rows } })).status).toBe(200);
    const { outcome } = await gateway.call({ tool: 'files:read', arguments: { rows: rows.map(String) } });
    expect(outcome.error?.message).toContain('(rule json-size)');
  });

  it('held against hostile patterns of hundreds of thousands of characters end', async () => {
    const patterns = ['(?:a+)+$', '(?:a|aa)+!', '(?:.*a){12}!', '(?:[a-z]+)*[0-9]!'];
    const own = {
      sets: [],
      rules: [{ id: 'slow', reason: 'x', patterns: patterns.slice(1) }],
      redaction: {
        patterns: patterns.map((pattern, index) => ({ id: `p-${index}`, pattern })),
      },
    };
    const gateway = gatewayOf(own, () => text(`${'a'.repeat(200_000)}b`));
    const { status } = await gateway.call({ tool: 'files:read', arguments: { text: 'a'.repeat(300_000) } });
    expect(status).toBe(200);
  });

  it('that are long are looked through in a thread', async () => {
    const long = 'word '.repeat(30_000);
    const gateway = gatewayOf(config);
    expect((await gateway.call({ tool: 'files:read', arguments: { long } })).status).toBe(200);
    const { outcome } = await gateway.call({
      tool: 'files:read',
      arguments: { long: `${long} rm -rf / ${long}` },
    });
    expect(outcome.error?.message).toContain('(rule shell-remove)');
  });

  it('in audit pass, and are remarked', async () => {
    const { status, remarks } = await gatewayOf({ mode: 'audit', sets: SETS }).call({
      tool: 'files:read',
      arguments: { path: '../x' },
    });
    expect(status).toBe(200);
    expect(remarks).toMatchObject([{ kind: 'deny', rule: 'fs-traversal', isEnforced: false }]);
  });
});

describe('is not configured', () => {
  it.each([
    ['sets[0].set', { sets: [{ set: 'nothing' }] }, /none of the values/],
    ['sets[0].exclude[0]', { sets: [{ set: 'sql', exclude: ['fs-system'] }] }, /no rule of sql/],
    ['sets[0].targets[0]', { sets: [{ set: 'sql', targets: ['x'] }] }, /no colon/],
    ['sets[0].action', { sets: [{ set: 'sql', action: 'cut' }] }, /none of the values/],
    ['rules[0].id', { rules: [{ id: 'sql-drop', reason: 'x' }] }, /comes with the plugin/],
    [
      'rules[1].id',
      {
        rules: [
          { id: 'a', reason: 'x' },
          { id: 'a', reason: 'x' },
        ],
      },
      /rule before it/,
    ],
    ['rules[0].patterns[0]', { rules: [{ id: 'a', reason: 'x', patterns: ['(?=a)'] }] }, /RE2/],
    ['rules[0].patterns[0]', { rules: [{ id: 'a', reason: 'x', patterns: ['a*'] }] }, /every text/],
    ['rules[0].hosts[0]', { rules: [{ id: 'a', reason: 'x', hosts: ['https://x'] }] }, /no network|no host/],
    ['rules[0].hosts[0]', { rules: [{ id: 'a', reason: 'x', hosts: ['10.0.0.0/33'] }] }, /no network/],
    ['rules[0].at', { rules: [{ id: 'a', reason: 'x', at: ['/a'] }] }, /nothing says for what/],
    ['rules[0].at[0]', { rules: [{ id: 'a', reason: 'x', at: ['a'], patterns: ['x'] }] }, /form/],
    ['rules[0].paths[0]', { rules: [{ id: 'a', reason: 'x', paths: ['srv'] }] }, /form/],
    ['redaction.detectors[0]', { redaction: { detectors: ['nothing'] } }, /none of the values/],
    ['redaction.patterns[0].id', { redaction: { patterns: [{ id: 'email', pattern: 'x' }] } }, /a detector/],
    ['redaction.patterns[0].pattern', { redaction: { patterns: [{ id: 'x', pattern: '(' }] } }, /RE2/],
    ['redaction.token_secret', { redaction: { token_secret: 'short' } }, /length/],
    ['max_result_bytes', { max_result_bytes: '1GiB' }, /more than 64MiB/],
    ['max_result_bytes', { max_result_bytes: 10 }, /less than 256/],
    ['instructions.min_score', { instructions: { min_score: 0 } }, /greater/],
    ['trusted[0]', { trusted: ['all'] }, /no colon/],
  ])('at %s by %j', (path, config, message) => {
    const problems = configProblems(plugin, config);
    expect(problems).toContainEqual(
      expect.objectContaining({ path, message: expect.stringMatching(message) }),
    );
  });
});
