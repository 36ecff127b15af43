import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { type ConnectOptions, closeClients, connect, KINDS, type Kind } from '../official-client.js';
import { overWebSocket } from '../over-websocket.js';
import { beginSession, lastMessage, postModern } from '../raw-http.js';
import { type HttpServer, plain, startFixtureOn } from '../upstreams.js';
import { sseWire, stdioWire } from '../wires.js';
import { packAskingPlugin } from './asking-plugin.js';

/* "Nothing runs that I have not approved, whichever client I sit in front of." */

const PATIENCE = { timeout: 10_000 };
const MULTI_ROUND = 'test_input_required_result_multi_round';
const SECRET = 'a secret of at least thirty-two characters';
const [ADA, EVE] = [createApiKey(SECRET), createApiKey(SECRET)];

let folder: string;
let hash: string;
let servers: HttpServer[];
let gateway: RunningGateway;
let guarded: RunningGateway;

const configuration = (plugins: object[]) => ({
  upstreams: [
    plain('plain'),
    { name: 'modern', url: servers[0]?.url },
    { name: 'legacy', url: servers[1]?.url },
  ],
  plugins,
});
const asking = (name: string, config: object = {}) => ({
  plugin: join(folder, 'asking'),
  name,
  hash,
  isolation: 'inline',
  config: { who: name, ...config },
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-asking-'));
  hash = await packAskingPlugin(join(folder, 'asking'));
  servers = await Promise.all([startFixtureOn(0, 'modern'), startFixtureOn(0, 'legacy')]);
  const keys = [
    { ...ADA, consumer: 'ada' },
    { ...EVE, consumer: 'eve' },
  ].map(({ key: _, ...entry }) => entry);
  [gateway, guarded] = await Promise.all([
    startGateway({ workers: 2, config: configuration([asking('ben'), asking('cleo')]) }),
    startGateway({
      config: configuration([
        { plugin: 'auth-api-key', config: { hash_key: SECRET, keys } },
        asking('ben', { url: 'https://example.com/consent' }),
      ]),
    }),
  ]);
});
afterEach(closeClients);
afterAll(async () => {
  await Promise.all([gateway?.stop(), guarded?.stop()]);
  await Promise.all(servers.map((server) => server.kill()));
  await rm(folder, { recursive: true, force: true });
});

/** What a person says who reads each question. */
function person(says: (message: string) => string = () => 'accept') {
  const asked: string[] = [];
  const onElicit: ConnectOptions['onElicit'] = ({ message }) => {
    asked.push(message);
    return {
      action: says(message),
      ...(says(message) === 'accept' && { content: { name: 'Ada', color: 'red' } }),
    };
  };
  return { asked, onElicit };
}

const WIRES = {
  'streamable HTTP': async (kind: Kind, own: ConnectOptions) => connect(kind, `${gateway.url}/mcp`, own),
  'HTTP+SSE': async (kind: Kind, own: ConnectOptions) =>
    connect(kind, '', { ...own, transport: sseWire(`${gateway.url}/sse`)(kind) }),
  stdio: async (kind: Kind, own: ConnectOptions) => {
    const file = join(folder, 'stdio.json');
    await writeFile(file, JSON.stringify(configuration([asking('ben'), asking('cleo')])));
    return connect(kind, '', { ...own, transport: stdioWire('--config', file)(kind) });
  },
  WebSocket: async (kind: Kind, own: ConnectOptions) =>
    connect(kind, '', { ...own, transport: overWebSocket(`${gateway.url}/mcp`) }),
};
const WAYS = [
  ...KINDS.map((kind) => ['streamable HTTP', kind] as const),
  ...KINDS.map((kind) => ['stdio', kind] as const),
  ['HTTP+SSE', 'SDK v1'],
  ['HTTP+SSE', 'SDK v2 legacy'],
  ['WebSocket', 'SDK v1'],
] as const;

describe.each(WAYS)('over %s, %s', (wire, kind) => {
  it('is asked by each plugin, and the call runs or does not', async () => {
    const { asked, onElicit } = person();
    const client = await WIRES[wire](kind, { onElicit });
    expect(await client.say('plain__echo', { text: 'hi' })).toBe('hi');
    expect(asked).toEqual(['May ben run {"text":"hi"}?', 'May cleo run {"text":"hi"}?']);
    const no = person((message) => (message.includes('cleo') ? 'decline' : 'accept'));
    const other = await WIRES[wire](kind, { onElicit: no.onElicit });
    await expect(other.say('plain__echo', { text: 'hi' })).rejects.toThrow('cleo said decline');
    expect(no.asked).toHaveLength(2);
  });

  it('is refused when it cannot be asked', async () => {
    const client = await WIRES[wire](kind, {});
    await expect(client.say('plain__echo', { text: 'hi' })).rejects.toThrow('did not declare `elicitation`');
    expect(await client.toolNames()).toContain('plain__echo');
  });
});

describe.each(KINDS)('%s', (kind) => {
  it.each(['modern', 'legacy'])('is asked by plugins first, and then by a %s server', async (upstream) => {
    for (const [path, name] of [
      ['/mcp', `${upstream}__${MULTI_ROUND}`],
      [`/mcp/${upstream}`, MULTI_ROUND],
    ] as const) {
      const { asked, onElicit } = person();
      const client = await connect(kind, gateway.url + path, { onElicit });
      expect(await client.say(name)).toBe('Ada likes red');
      // Where the client comes again it is the same call, and nobody is asked twice.
      expect(asked).toEqual([
        'May ben run {}?',
        'May cleo run {}?',
        'Step 1: What is your name?',
        'Step 2: What is your favorite color?',
      ]);
    }
  });

  it('is sent to a page', async () => {
    const urls: unknown[] = [];
    const onElicit: ConnectOptions['onElicit'] = ({ mode, url }) => {
      urls.push([mode, url]);
      return { action: 'accept' };
    };
    const client = await connect(kind, `${guarded.url}/mcp`, { onElicit, headers: { 'x-api-key': ADA.key } });
    expect(await client.say('plain__echo', { text: 'hi' })).toBe('hi');
    expect(urls).toEqual([['url', 'https://example.com/consent']]);
  });
});

describe('a modern client', () => {
  const PAGES = { elicitation: { url: {} } };
  const call = { name: 'echo', arguments: { text: 'hi' } };
  const send = async (
    params: { name?: string; [key: string]: unknown },
    key = ADA.key,
    path = '/mcp/plain',
  ) =>
    lastMessage(await postModern(`${guarded.url}${path}`, 'tools/call', params, PAGES, { 'x-api-key': key }));

  it('cannot use its approval for anything else, and nobody else can', async () => {
    const { inputRequests, requestState } = (await send(call)).result;
    expect(inputRequests).toEqual({
      'sluice/ben/sure': {
        method: 'elicitation/create',
        params: {
          mode: 'url',
          message: 'May ben run {"text":"hi"}?',
          url: 'https://example.com/consent',
        },
      },
    });
    const retry = { ...call, requestState, inputResponses: { 'sluice/ben/sure': { action: 'accept' } } };
    const altered =
      requestState.slice(0, -9) + (requestState.at(-9) === 'A' ? 'B' : 'A') + requestState.slice(-8);
    for (const answer of [
      await send({ ...retry, arguments: { text: 'other' } }),
      await send({ ...retry, name: 'slow' }),
      await send({ ...retry, requestState: altered }),
      await send(retry, EVE.key),
      await send({ ...retry, name: 'plain__echo' }, ADA.key, '/mcp'),
    ])
      expect(answer.error).toMatchObject({
        code: -32602,
        message: expect.stringContaining('Invalid `requestState`'),
      });
    const { requestState: _, ...withoutState } = retry;
    expect((await send(withoutState)).result.resultType).toBe('input_required');
    expect((await send(retry)).result.content[0].text).toBe('hi');
  });
});

it('a legacy client that cancels its call is not asked any more', async () => {
  const { id, headers, post, ask } = await beginSession(`${gateway.url}/mcp/plain`, {
    capabilities: { elicitation: {} },
  });
  expect(id).toBeDefined();
  const listening = new AbortController();
  const stream = await fetch(`${gateway.url}/mcp/plain`, {
    headers: { ...headers, accept: 'text/event-stream' },
    signal: listening.signal,
  });
  expect(stream.status).toBe(200);
  const answer = await post({
    jsonrpc: '2.0',
    id: 'asked',
    method: 'tools/call',
    params: { name: 'echo', arguments: { text: 'hi' } },
  });
  let heard = '';
  const reading = (async () => {
    for await (const chunk of answer.body ?? []) heard += Buffer.from(chunk).toString();
  })();
  await expect.poll(() => heard, PATIENCE).toContain('elicitation/create');
  await post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'asked' } });
  await reading;
  const [, question] = /"id":"(sluice-question-[^"]*)"/.exec(heard) as RegExpExecArray;
  expect(heard).toContain('notifications/cancelled');
  const late = { jsonrpc: '2.0', id: question, result: { action: 'accept' } };
  expect((await post(late)).status).toBe(202);
  expect(heard).not.toContain('"text":"hi"');
  expect((await ask('ping')).result).toEqual({});
  listening.abort();
});
