import { rename, writeFile } from 'node:fs/promises';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { type ConnectOptions, closeClients, connect, KINDS, type Kind } from '../official-client.js';
import { beginSession, lastMessage, modernParams, postModern } from '../raw-http.js';
import { type HttpServer, plain, startFixtureOn } from '../upstreams.js';

/* "My agents do what the rules say, whichever client they use, and I am asked before what cannot be undone." */

const SECRET = 'a secret of at least thirty-two characters';
const NAMES = [...KINDS, 'raw', 'racer', 'sender', 'stayer'];
const KEYS = new Map(NAMES.map((name) => [name, createApiKey(SECRET)]));
const keyOf = (name: string) => ({ 'x-api-key': KEYS.get(name)?.key as string });

const RULES = [
  { id: 'no-robots', when: 'agent.name == "robot"', outcome: 'deny', reason: 'no robots' },
  {
    id: 'no-etc',
    match: { targets: ['plain:echo'] },
    when: 'has(arguments.text) && arguments.text.mayBeBelow("/etc")',
    outcome: 'deny',
    reason: '{{principal.consumer}} may not touch /etc',
  },
  { id: 'enough', match: { targets: ['plain:count'] }, when: 'session.rules.counts >= 3', outcome: 'deny' },
  { id: 'counts', match: { targets: ['plain:count'] }, outcome: 'allow' },
  {
    id: 'send',
    match: { targets: ['plain:send'] },
    when: '"plain:secret" in session.tools',
    outcome: 'deny',
  },
  {
    id: 'back',
    match: { targets: ['plain:secret'] },
    when: '"plain:send" in session.tools',
    outcome: 'deny',
  },
  {
    id: 'sure',
    match: { targets: ['plain:remove'] },
    outcome: 'ask',
    ask: { message: 'May {{agent.name}} remove {{arguments.what}}?' },
  },
  { id: 'never', match: { targets: ['plain:hidden', 'fixture:test_prompt_with_*'] }, outcome: 'deny' },
  { id: 'writers', match: { targets: ['plain:write'] }, when: 'arguments.mode == "safe"', outcome: 'allow' },
  { id: 'no-other-writes', match: { targets: ['plain:write'] }, outcome: 'deny' },
  { id: 'rest', when: 'target.kind != "resource"', outcome: 'allow' },
  {
    id: 'public',
    match: { targets: ['fixture:test://template/*', 'fixture:test://static-text'] },
    outcome: 'allow',
  },
];

const keys = NAMES.map((name) => {
  const { key: _, ...entry } = KEYS.get(name) as ReturnType<typeof createApiKey>;
  return { ...entry, consumer: name };
});

const configuration = (rules: readonly object[]) => ({
  upstreams: [
    plain('plain', ['--tools', 'secret,send,remove,hidden,write']),
    { name: 'fixture', url: fixture.url },
  ],
  plugins: [
    { plugin: 'auth-api-key', config: { hash_key: SECRET, keys } },
    { plugin: 'policy', config: { rules } },
  ],
});

let fixture: HttpServer;
let gateway: RunningGateway;
beforeAll(async () => {
  fixture = await startFixtureOn(0, 'both');
  gateway = await startGateway({ workers: 2, config: configuration(RULES) });
});
afterEach(closeClients);
afterAll(async () => {
  await gateway?.stop();
  await fixture?.kill();
});

const clientOf = (kind: Kind, options: ConnectOptions = {}) =>
  connect(kind, `${gateway.url}/mcp`, { headers: keyOf(kind), ...options });

describe.each(KINDS)('%s', (kind) => {
  it('sees what it may call with some arguments, and calls it with those', async () => {
    const client = await clientOf(kind);
    const shown = await client.toolNames();
    expect(shown).toEqual(expect.arrayContaining(['plain__echo', 'plain__write', 'plain__remove']));
    expect(shown).not.toContain('plain__hidden');
    expect(await client.promptNames()).not.toContain('fixture__test_prompt_with_image');
    expect(await client.templates()).toEqual(['fixture+test://template/{id}/data']);
    expect(await client.resourceUris()).toEqual(['fixture+test://static-text']);
    await client.call('plain__write', { mode: 'safe' });
    await expect(client.call('plain__write', { mode: 'unsafe' })).rejects.toThrow(
      'does not allow this tools/call',
    );
    await expect(client.call('plain__hidden')).rejects.toThrow('does not allow this tools/call');
    await expect(client.prompt('fixture__test_prompt_with_image')).rejects.toThrow('prompts/get');
    await expect(client.read('fixture+test://static-binary')).rejects.toThrow('resources/read');
  });

  it('is told why, however the path is written', async () => {
    const client = await clientOf(kind);
    expect(await client.say('plain__echo', { text: '/tmp/a' })).toBe('/tmp/a');
    for (const text of [
      '/etc/passwd',
      '/tmp/..%2f..%2Fetc/x',
      '/tmp/%252e%252e/etc',
      'file:///ETC/x',
      '\\etc\\x',
    ])
      await expect(client.say('plain__echo', { text })).rejects.toThrow(`${kind} may not touch /etc`);
  });

  it('makes so many requests in a session, on whichever worker', async () => {
    const client = await clientOf(kind);
    for (let index = 0; index < 3; index++) await client.call('plain__count', { to: 1 });
    await expect(client.call('plain__count', { to: 1 })).rejects.toThrow('does not allow');
    await client.say('plain__echo', { text: 'still' });
  });

  it('never uses two tools in one session of which one excludes the other', async () => {
    const client = await clientOf(kind);
    await client.call('plain__secret');
    await expect(client.call('plain__send')).rejects.toThrow('does not allow');
    await client.call('plain__secret');
  });

  it('has a person asked, who decides', async () => {
    for (const action of ['accept', 'decline']) {
      const asked: string[] = [];
      const onElicit = ({ message }: { message: string }) => {
        asked.push(message);
        return { action, ...(action === 'accept' && { content: {} }) };
      };
      const client = await clientOf(kind, { onElicit });
      const said = client.call('plain__remove', { what: 'all' });
      if (action === 'accept') await said;
      else await expect(said).rejects.toThrow('the person who was asked has declined');
      expect(asked).toEqual(['May story remove all?']);
    }
    await expect((await clientOf(kind)).call('plain__remove', { what: 'all' })).rejects.toThrow(
      'elicitation',
    );
  });
});

it.each(['pool', 'process'])('decides by arguments also with isolation: %s', async (isolation) => {
  const own = await startGateway({
    workers: 1,
    config: {
      upstreams: [plain('plain')],
      plugins: [{ plugin: 'policy', isolation, config: { default: 'allow', rules: [RULES[1]] } }],
    },
  });
  try {
    const client = await connect('SDK v2 auto', `${own.url}/mcp`);
    expect(await client.say('plain__echo', { text: '/tmp/a' })).toBe('/tmp/a');
    await expect(client.say('plain__echo', { text: '/etc/a' })).rejects.toThrow('no-etc');
    expect(await client.toolNames()).toContain('plain__echo');
    await client.close();
  } finally {
    await own.stop();
  }
});

describe('who goes around a rule', () => {
  const message = (method: string, params: object, id: number) => ({
    jsonrpc: '2.0',
    id,
    method,
    params,
  });
  const modern = async (name: string, params: { name?: string; [key: string]: unknown }, own: object = {}) =>
    lastMessage(await postModern(`${gateway.url}/mcp`, 'tools/call', params, {}, { ...keyOf(name), ...own }));
  const raw = async (body: string, headers: object = {}) => {
    const response = await fetch(`${gateway.url}/mcp`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        ...keyOf('raw'),
        ...headers,
      },
      body,
    });
    return lastMessage(response);
  };

  it('finds each call of a batch decided by itself', async () => {
    const session = await beginSession(`${gateway.url}/mcp`, { revision: '2025-03-26', own: keyOf('raw') });
    const calls = ['plain__echo', 'plain__hidden', 'plain__echo'].map((name, index) =>
      message('tools/call', { name, arguments: { text: 'hi' } }, index + 10),
    );
    const answers = (await (await session.post(calls as never)).json()) as { id: number; error?: object }[];
    expect(answers.map(({ id, error }) => [id, error === undefined]).sort()).toEqual([
      [10, true],
      [11, false],
      [12, true],
    ]);
    expect(answers.find(({ id }) => id === 11)?.error).toMatchObject({ data: { rule: 'never' } });
    await session.end();
  });

  it('by a key that stands twice is refused', async () => {
    const { _meta } = modernParams();
    const params = `"_meta":${JSON.stringify(_meta)}`;
    for (const inner of [
      `"name":"plain__echo","arguments":{"text":"/tmp","text":"/etc/x"}`,
      `"name":"plain__echo","arguments":{"text":"/etc/x","te\\u0078t":"/tmp"}`,
      `"name":"plain__echo","name":"plain__hidden","arguments":{}`,
    ]) {
      const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{${inner},${params}}}`;
      const { error } = await raw(body, { 'mcp-name': 'plain__echo' });
      expect(error?.message).toContain('stands twice');
    }
  });

  it('by a Mcp-Name that is not the name is refused', async () => {
    const params = { name: 'plain__hidden', arguments: {}, _meta: modernParams()._meta };
    const { error } = await raw(JSON.stringify(message('tools/call', params, 1)), {
      'mcp-name': 'plain__echo',
    });
    expect(error).toBeDefined();
    expect(error?.code).not.toBe(-31007);
    const same = await raw(JSON.stringify(message('tools/call', params, 1)), { 'mcp-name': 'plain__hidden' });
    expect(same.error).toMatchObject({ code: -31007, data: { rule: 'never' } });
  });

  it('by __proto__ has no argument by that', async () => {
    const args = JSON.parse('{"__proto__": {"mode": "safe"}}');
    const { error } = await modern('raw', { name: 'plain__write', arguments: args });
    expect(error).toMatchObject({ code: -31007, data: { rule: 'no-other-writes' } });
  });

  it('by completion is refused like a use', async () => {
    const complete = async (name: string) =>
      lastMessage(
        await postModern(
          `${gateway.url}/mcp`,
          'completion/complete',
          { ref: { type: 'ref/prompt', name }, argument: { name: 'a', value: '' } },
          {},
          keyOf('raw'),
        ),
      );
    expect((await complete('fixture__test_prompt_with_image')).error).toMatchObject({ code: -31007 });
    expect((await complete('fixture__test_prompt_with_arguments')).error?.code).toBe(-31007);
    expect((await complete('fixture__test_simple_prompt')).error?.code).not.toBe(-31007);
  });

  it('by another endpoint or another spelling finds the same decision', async () => {
    for (const [path, name] of [
      ['/mcp/plain', 'hidden'],
      ['/mcp/plain', 'hid%64en'],
      ['/mcp/plain', '\uff48idden'],
      ['/mcp/plain', 'hid\u200bden'],
      ['/mcp', 'plain__hidden'],
    ] as const) {
      const params = { name, arguments: {}, _meta: modernParams()._meta };
      const header = /^[\x21-\x7e]+$/.test(name)
        ? name
        : `=?base64?${Buffer.from(name).toString('base64')}?=`;
      const response = await fetch(gateway.url + path, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': header,
          ...keyOf('raw'),
        },
        body: JSON.stringify(message('tools/call', params, 1)),
      });
      expect([name, (await lastMessage(response)).error?.code]).toEqual([name, -31007]);
    }
  });

  it('by many requests at once gets no more than the rules allow', async () => {
    const all = await Promise.all(
      Array.from({ length: 16 }, () => modern('racer', { name: 'plain__count', arguments: { to: 1 } })),
    );
    expect(all.filter(({ error }) => error === undefined).length).toBeLessThanOrEqual(3);
    const both = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        modern('sender', { name: index % 2 === 0 ? 'plain__send' : 'plain__secret', arguments: {} }),
      ),
    );
    const passed = both.flatMap(({ error }, index) => (error === undefined ? [index % 2] : []));
    expect(new Set(passed).size).toBeLessThanOrEqual(1);
  });
});

it('other rules are in force in the middle of a session, and what was counted goes on', async () => {
  const client = await connect('SDK v1', `${gateway.url}/mcp`, { headers: keyOf('stayer') });
  for (let index = 0; index < 2; index++) await client.call('plain__count', { to: 1 });
  const rules = RULES.map((rule) =>
    rule.id === 'enough' ? { ...rule, when: 'session.rules.counts >= 2' } : rule,
  );
  const file = `${gateway.configFile}.new`;
  await writeFile(
    file,
    JSON.stringify(configuration([{ ...RULES[1], when: 'true', reason: 'new' }, ...rules.slice(2)])),
  );
  await rename(file, gateway.configFile);
  const said = () => client.say('plain__echo', { text: 'a' }).catch(String);
  await expect.poll(said, { timeout: 20_000 }).toContain('new');
  await expect(client.call('plain__count', { to: 1 })).rejects.toThrow('does not allow');
});
