import { readFile, writeFile } from 'node:fs/promises';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS, type OfficialClient } from '../official-client.js';
import { RawSocketClient } from '../over-websocket.js';
import { lastMessage, MODERN, modernParams } from '../raw-http.js';
import { DEAD_URL, type HttpServer, plain, startFixtureOn } from '../upstreams.js';

/* "My developers use what is for developers, see nothing else, and no spelling of a name gets around that." */

const SECRET = 'a secret of at least thirty-two characters';
const CLAIMS = { developer: { groups: ['Staff', 'Developers'] }, admin: { roles: 'Admin' }, nobody: {} };
type Who = keyof typeof CLAIMS;
const PRINCIPALS: readonly [who: Who, scopes: readonly string[]][] = [
  ['nobody', []],
  ['developer', ['dev']],
  ['admin', ['dev', 'admin']],
];
const KEYS = { developer: createApiKey(SECRET), admin: createApiKey(SECRET), nobody: createApiKey(SECRET) };

const AUTHORIZE = {
  claims: ['groups', 'roles'],
  mappings: { 'groups:Developers': ['dev'], 'roles:Admin': ['dev', 'admin'] },
  permissions: { 'fixture:test_simple_*': ['dev'] },
  tools: {
    'fixture:test_image_content': [],
    'plain:echo': ['admin'],
    'plain:fixture__*': ['admin'],
    'plain:__proto__': ['dev'],
    'away:find': ['dev'],
  },
  resources: {
    'fixture:test://static-text': [],
    'fixture:test://static-binary': ['dev'],
    'fixture:test://template/*': ['admin'],
    'plain:note://*': ['admin'],
  },
};

/** What there is, and the scope that it needs; undefined where nothing permits it. Nothing else is permitted. */
const TOOLS: readonly [upstream: string, name: string, needs: string | undefined][] = [
  ['fixture', 'test_simple_text', 'dev'],
  ['fixture', 'test_image_content', ''],
  ['fixture', 'test_audio_content', undefined],
  ['plain', 'echo', 'admin'],
  ['plain', 'count', undefined],
  ['plain', 'fixture__test_image_content', 'admin'],
  ['plain', 'test_simple_text', undefined],
  ['plain', '__proto__', 'dev'],
];
const PROMPTS: typeof TOOLS = [
  ['fixture', 'test_simple_prompt', 'dev'],
  ['fixture', 'test_prompt_with_image', undefined],
];
const RESOURCES: typeof TOOLS = [
  ['fixture', 'test://static-text', ''],
  ['fixture', 'test://static-binary', 'dev'],
  ['fixture', 'test://watched-resource', undefined],
  ['plain', 'note://plain', 'admin'],
  ['plain', 'note://host/a%20b%2Fc?q=1&r=%C3%A4#part', 'admin'],
  ['plain', 'note://host/a+b+c', 'admin'],
  ['plain', 'NOTE://Upper/Case', undefined],
  ['plain', 'urn:isbn:0451450523', undefined],
];

let fixture: HttpServer;
let gateway: RunningGateway;

beforeAll(async () => {
  fixture = await startFixtureOn(0, 'both');
  const keys = PRINCIPALS.map(([who]) => {
    const { key: _, ...entry } = KEYS[who];
    return { ...entry, consumer: who, claims: CLAIMS[who] };
  });
  const tools = 'fixture__test_image_content,test_simple_text,__proto__';
  gateway = await startGateway({
    config: {
      upstreams: [
        { name: 'fixture', url: fixture.url },
        plain('plain', ['--tools', tools]),
        { name: 'away', url: DEAD_URL },
      ],
      plugins: [
        { plugin: 'authorize', config: AUTHORIZE },
        { plugin: 'auth-api-key', config: { hash_key: SECRET, keys } },
      ],
    },
  });
});

afterAll(async () => {
  await closeClients();
  await gateway?.stop();
  await fixture?.kill();
});

describe.each(['/mcp', '/mcp/fixture', '/mcp/plain'])('at %s', (path) => {
  const isMerged = path === '/mcp';
  const here = (entries: typeof TOOLS) =>
    entries.filter(([upstream]) => isMerged || path === `/mcp/${upstream}`);
  const nameHere = (upstream: string, name: string) => (isMerged ? `${upstream}__${name}` : name);
  const uriHere = (upstream: string, uri: string) => (isMerged ? `${upstream}+${uri}` : uri);
  const isOpen = (needs: string | undefined, scopes: readonly string[]) =>
    needs !== undefined && (needs === '' || scopes.includes(needs));

  describe.each(KINDS)('%s', (kind) => {
    it.each(PRINCIPALS)('as %s sees and uses what the table says, and nothing else', async (who, scopes) => {
      const client = await connect(kind, `${gateway.url}${path}`, {
        headers: { 'X-API-Key': KEYS[who].key },
      });
      const open = (entries: typeof TOOLS, exposed: typeof nameHere) =>
        here(entries)
          .filter(([, , needs]) => isOpen(needs, scopes))
          .map(([upstream, name]) => exposed(upstream, name))
          .sort();
      expect((await client.toolNames()).sort()).toEqual(open(TOOLS, nameHere));
      if (path !== '/mcp/plain') {
        expect((await client.promptNames()).sort()).toEqual(open(PROMPTS, nameHere));
        const template = uriHere('fixture', 'test://template/{id}/data');
        expect(await client.templates()).toEqual(scopes.includes('admin') ? [template] : []);
      }
      expect((await client.resourceUris()).sort()).toEqual(open(RESOURCES, uriHere));

      const cells: [name: string, use: () => Promise<unknown>, isPermitted: boolean][] = [
        ...here(TOOLS).map(usedBy((name) => client.call(name, {}), nameHere, scopes)),
        ...here(PROMPTS).map(usedBy((name) => client.prompt(name), nameHere, scopes)),
        ...here(RESOURCES).map(usedBy((uri) => client.read(uri), uriHere, scopes)),
      ];
      for (const [name, use, isPermitted] of cells)
        expect([name, await ends(use)]).toEqual([name, isPermitted]);
    });
  });

  function usedBy(
    use: (name: string) => Promise<unknown>,
    exposed: typeof nameHere,
    scopes: readonly string[],
  ) {
    return ([upstream, name, needs]: (typeof TOOLS)[number]): [string, () => Promise<unknown>, boolean] => [
      name,
      () => use(exposed(upstream, name)),
      isOpen(needs, scopes),
    ];
  }
});

/** True when it was answered; a refusal is told from other errors. */
async function ends(use: () => Promise<unknown>): Promise<boolean> {
  try {
    await use();
    return true;
  } catch (thrown) {
    expect(String(thrown)).toMatch(
      /this (tools\/call|prompts\/get|resources\/read)|Insufficient scope: required/,
    );
    return false;
  }
}

const JSON_TYPES = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

function post(path: string, who: Who, body: string, headers: Record<string, string> = {}) {
  return fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: { ...JSON_TYPES, 'X-API-Key': KEYS[who].key, ...headers },
    body,
  });
}

/** One modern request; header fields repeat the body unless they are given. */
async function ask(
  path: string,
  who: Who,
  method: string,
  params: object,
  headers: Record<string, string> = {},
) {
  const named = params as { name?: string; uri?: string };
  const name = named.name ?? named.uri;
  const response = await post(
    path,
    who,
    JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: modernParams(params) }),
    {
      'mcp-protocol-version': MODERN,
      'mcp-method': method,
      ...(name === undefined ? {} : { 'mcp-name': asHeader(name) }),
      ...headers,
    },
  );
  const challenge = response.headers.get('www-authenticate');
  return { status: response.status, challenge, message: await lastMessage(response) };
}

/** As 2026-07-28 wants names beyond ASCII in a field (streamable HTTP, "Value Encoding"). */
function asHeader(value: string): string {
  const isPlain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value);
  return isPlain ? value : `=?base64?${Buffer.from(value).toString('base64')}?=`;
}

async function begin(path: string, who: Who, revision: string) {
  const params = {
    protocolVersion: revision,
    capabilities: {},
    clientInfo: { name: 'story', version: '1.0.0' },
  };
  const begun = await post(
    path,
    who,
    JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
  );
  await begun.text();
  return { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' };
}

const IMAGE = 'fixture__test_image_content';
const AUDIO = 'fixture__test_audio_content';
const SIMPLE = 'fixture__test_simple_text';

describe('a refusal', () => {
  it('says to clients of either era which scopes would do', async () => {
    const expected = {
      error: {
        code: -31007,
        message: 'this tools/call needs dev',
        data: { error: 'insufficient_scope', scope: 'dev', scope_mode: 'any' },
      },
    };
    const challenge = 'Bearer error="insufficient_scope", scope="dev"';
    const modern = await ask('/mcp', 'nobody', 'tools/call', { name: SIMPLE });
    expect(modern).toMatchObject({ status: 403, challenge, message: { id: 1, ...expected } });
    const session = await begin('/mcp', 'nobody', '2025-11-25');
    const call = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: SIMPLE } };
    const legacy = await post('/mcp', 'nobody', JSON.stringify(call), session);
    expect([legacy.status, legacy.headers.get('www-authenticate')]).toEqual([403, challenge]);
    expect(await legacy.json()).toMatchObject({ id: 7, ...expected });
  });

  it('is the same for what nobody has and for what nothing permits', async () => {
    const names = [AUDIO, 'fixture__no_such_tool', 'no_such_upstream__x'];
    const said = await Promise.all(names.map((name) => ask('/mcp', 'admin', 'tools/call', { name })));
    expect(said[1]).toEqual(said[0]);
    expect(said[2]).toEqual(said[0]);
    expect(said[0]).toMatchObject({ status: 403, challenge: null });
  });
});

describe('a server that has never answered', () => {
  it('is known to be away by those alone who may use what they ask it for', async () => {
    const away = (who: Who, name: string) => ask('/mcp', who, 'tools/call', { name });
    expect((await away('developer', 'away__find')).message.error?.code).toBe(-31001);
    expect((await away('nobody', 'away__find')).message.error?.message).toBe('this tools/call needs dev');
    const nobodys = await away('developer', 'no_such_upstream__x');
    expect(nobodys.status).toBe(403);
    expect(await away('developer', 'away__other')).toEqual(nobodys);
  });
});

describe('a name that is not permitted', () => {
  it.each([
    ['without its upstream', 'test_audio_content'],
    ['in another case', 'fixture__Test_image_content'],
    ['with another upstream in front', 'plain__test_image_content'],
    ['as a pattern', 'fixture:test_image_content'],
    ['as a wildcard', 'fixture__*'],
    ['in full-width letters', 'fixture__\uff54est_image_content'],
    ['with a Cyrillic letter', 'fixture__t\u0435st_image_content'],
    ['percent-encoded', 'fixture__test%5fimage_content'],
    ['with a space behind', `${IMAGE} `],
    ['with a dot behind', `${IMAGE}.`],
    ['with NUL behind', `${IMAGE}\0`],
    ['as the prototype', '__proto__'],
    ['as nothing', ''],
  ])('is refused %s', async (_, name) => {
    expect((await ask('/mcp', 'nobody', 'tools/call', { name: IMAGE })).status).toBe(200);
    const { status, message } = await ask('/mcp', 'nobody', 'tools/call', { name });
    expect([status, message.result]).toEqual([403, undefined]);
  });

  it('is not reached behind header fields that name another', async () => {
    const mismatch = { status: 400, message: { error: { code: -32020 } } };
    const named = { 'mcp-name': IMAGE };
    expect(await ask('/mcp', 'nobody', 'tools/call', { name: AUDIO }, named)).toMatchObject(mismatch);
    const listed = { 'mcp-method': 'tools/list' };
    expect(await ask('/mcp', 'nobody', 'tools/call', { name: AUDIO }, listed)).toMatchObject(mismatch);
  });

  it('is not reached through a key that stands twice', async () => {
    const session = await begin('/mcp', 'nobody', '2025-11-25');
    for (const params of [`"name":"${IMAGE}","name":"${AUDIO}"`, `"name":"${AUDIO}","name":"${IMAGE}"`]) {
      const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{${params}}}`;
      const response = await post('/mcp', 'nobody', body, session);
      expect([response.status, (await lastMessage(response)).result]).toEqual([400, undefined]);
    }
  });

  it('is not reached in a batch', async () => {
    const session = await begin('/mcp', 'nobody', '2025-03-26');
    const call = (id: number, name: string) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name },
    });
    const response = await post('/mcp', 'nobody', JSON.stringify([call(1, IMAGE), call(2, AUDIO)]), session);
    const text = await response.text();
    expect(text).toContain('"type":"image"');
    expect(text).toContain('nothing permits this tools/call');
    expect(text).not.toContain('"type":"audio"');
  });

  it.each([
    ['resources/subscribe', { uri: 'fixture+test://watched-resource' }],
    ['resources/unsubscribe', { uri: 'fixture+test://watched-resource' }],
    [
      'completion/complete',
      {
        ref: { type: 'ref/prompt', name: 'fixture__test_prompt_with_image' },
        argument: { name: 'a', value: '' },
      },
    ],
    [
      'completion/complete',
      {
        ref: { type: 'ref/resource', uri: 'fixture+test://template/{id}/data' },
        argument: { name: 'id', value: '' },
      },
    ],
    ['completion/complete', { ref: { type: 'ref/tool', name: IMAGE }, argument: { name: 'a', value: '' } }],
  ])('is not reached by %s %#', async (method, params) => {
    const session = await begin('/mcp', 'developer', '2025-11-25');
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const response = await post('/mcp', 'developer', body, session);
    expect([response.status, (await lastMessage(response)).error?.code]).toEqual([403, -31007]);
  });

  it('is not watched by a subscription', async () => {
    const notifications = {
      resourceSubscriptions: ['fixture+test://static-text', 'fixture+test://watched-resource'],
    };
    const said = await ask('/mcp', 'admin', 'subscriptions/listen', { notifications });
    expect(said).toMatchObject({ status: 403, message: { error: { code: -31007 } } });
  });

  it('is not read under another spelling of a URI', async () => {
    for (const uri of ['note://plain/../x', 'note://%2e%2e/x', 'NOTE://plain', 'note://plain\\..\\..'])
      for (const path of ['/mcp', '/mcp/plain']) {
        const exposed = path === '/mcp' ? `plain+${uri}` : uri;
        const { status } = await ask(path, 'developer', 'resources/read', { uri: exposed });
        expect([uri, path, status]).toEqual([uri, path, 403]);
      }
  });

  it('is not reached by a method that no plugin knows', async () => {
    const session = await begin('/mcp/plain', 'admin', '2025-11-25');
    for (const method of ['tasks/list', 'tools/Call', 'vendor/delete']) {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { name: 'count' } });
      const response = await post('/mcp/plain', 'admin', body, session);
      expect([method, response.status]).toEqual([method, 403]);
    }
  });
});

it.each(['legacy', 'modern'])('is decided in the same way over a WebSocket (%s)', async (era) => {
  const socket = await RawSocketClient.open(`${gateway.url}/mcp`, {
    headers: { 'X-API-Key': KEYS.developer.key },
  });
  const params = (own: object = {}) => (era === 'modern' ? modernParams(own) : own);
  if (era === 'legacy') await socket.initialize();
  const listed = await socket.ask(1, 'tools/list', params());
  expect(listed.result.tools.map(({ name }: { name: string }) => name).sort()).toEqual([
    IMAGE,
    SIMPLE,
    'plain____proto__',
  ]);
  expect((await socket.ask(2, 'tools/call', params({ name: SIMPLE }))).result.content).toHaveLength(1);
  expect((await socket.ask(3, 'tools/call', params({ name: AUDIO }))).error?.code).toBe(-31007);
  expect((await socket.ask(4, 'tools/call', params({ name: 'plain__echo' }))).error).toMatchObject({
    code: -31007,
    data: { error: 'insufficient_scope', scope: 'admin', scope_mode: 'any' },
  });
  socket.ws.close();
});

it('holds what it is told when the configuration changes under a session', async () => {
  const client: OfficialClient = await connect('SDK v1', `${gateway.url}/mcp`, {
    headers: { 'X-API-Key': KEYS.nobody.key },
  });
  expect(await client.toolNames()).toEqual([IMAGE]);
  const written = await readFile(gateway.configFile, 'utf8');
  const config = JSON.parse(written);
  config.plugins[0].config.tools['fixture:test_image_content'] = ['admin'];
  await writeFile(gateway.configFile, JSON.stringify(config));
  await expect.poll(() => client.toolNames(), { timeout: 10_000 }).toEqual([]);
  await expect(client.call(IMAGE)).rejects.toThrow(/needs admin/);
});
