import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { everything, plain } from './upstreams.js';

/* "Each team gets a server of its own: the few tools that it needs, under names that it understands." */

const SECRET = 'a secret of at least thirty-two characters';
const KEYS = { ada: createApiKey(SECRET), bob: createApiKey(SECRET) };
const as = (who: keyof typeof KEYS) => ({ headers: { authorization: `Bearer ${KEYS[who].key}` } });

const UPSTREAMS = [plain('left'), { ...plain('right'), hidden: true }, everything()];
const TEAM = {
  name: 'team',
  title: 'Tools of the team',
  instructions: 'Ask for what you need.',
  tools: [
    { upstream: 'left', name: 'whoami', rename: 'left_name', description: 'Says who the left one is.' },
    { upstream: 'right', name: 'who*' },
    { upstream: 'everything', name: 'echo' },
  ],
  prompts: [{ upstream: 'everything', name: 'simple-prompt' }],
  resources: [{ upstream: 'everything', uri: 'demo://resource/static/*' }],
};

let gateway: RunningGateway;

const serve = (config: object) => async () => {
  gateway = await startGateway({ config: { upstreams: UPSTREAMS, ...config } });
};
const stop = () => gateway?.stop();

afterEach(closeClients);

describe('a virtual server', () => {
  beforeAll(serve({ virtual_servers: [TEAM] }));
  afterAll(stop);

  it.each(KINDS)('%s sees what was picked, and calls it by its name', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp/team`);
    expect((await client.toolNames()).sort()).toEqual(['echo', 'left_name', 'whoami']);
    const described = (await client.tools()).find(({ name }) => name === 'left_name');
    expect(described?.description).toBe('Says who the left one is.');
    expect(JSON.parse(await client.say('left_name'))).toMatchObject({ name: 'left' });
    expect(JSON.parse(await client.say('whoami'))).toMatchObject({ name: 'right' });
    expect(await client.say('echo', { message: 'hello' })).toContain('hello');
    expect(await client.promptNames()).toEqual(['simple-prompt']);
    expect(JSON.stringify(await client.prompt('simple-prompt'))).toContain('prompt');
    const uris = await client.resourceUris();
    expect(uris.length).toBeGreaterThan(0);
    expect(uris.every((uri) => uri.startsWith('everything+demo://resource/static/'))).toBe(true);
    expect(await client.read(uris[0] as string)).toHaveLength(1);
    expect(await client.templates()).toEqual([]);
  });

  it.each(KINDS)('%s reaches nothing else, however it asks', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp/team`);
    for (const name of ['count', 'left__whoami', 'left__count', 'everything__get-sum', 'get-sum'])
      await expect(client.say(name, { a: 1, b: 1 }), name).rejects.toThrow(/Unknown tool/);
    for (const uri of ['everything+demo://resource/dynamic/text/1', 'demo://resource/dynamic/text/1'])
      await expect(client.read(uri), uri).rejects.toThrow(/not found/i);
    await expect(client.prompt('everything__args-prompt', { city: 'Oslo' })).rejects.toThrow(
      /Unknown prompt/,
    );
  });

  it('says what it is', async () => {
    const client = await connect('SDK v2 legacy', `${gateway.url}/mcp/team`);
    expect(client.serverInfo()).toMatchObject({ title: 'Tools of the team' });
    expect(client.v2?.getInstructions()).toBe('Ask for what you need.');
  });

  it('leaves /mcp as it is', async () => {
    const names = await (await connect('SDK v1', `${gateway.url}/mcp`)).toolNames();
    expect(names).toEqual(expect.arrayContaining(['left__whoami', 'left__count', 'everything__echo']));
    expect(names.some((name) => name.startsWith('right'))).toBe(false);
  });
});

describe('an endpoint', () => {
  beforeAll(serve({ endpoints: [{ name: 'both', path: '/mcp/both', upstreams: ['left', 'right'] }] }));
  afterAll(stop);

  it.each(KINDS)('is some of the upstreams as one server, for %s', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp/both`);
    const names = await client.toolNames();
    expect(names).toEqual(expect.arrayContaining(['left__whoami', 'right__whoami']));
    expect(names.some((name) => name.startsWith('everything'))).toBe(false);
    expect(JSON.parse(await client.say('right__whoami'))).toMatchObject({ name: 'right' });
  });
});

describe('consumers, credentials, policies and limits', () => {
  beforeAll(
    serve({
      virtual_servers: [TEAM],
      plugins: [{ plugin: 'auth-api-key', config: { hash_key: SECRET } }],
      consumers: [{ name: 'ada', scopes: ['left'] }, { name: 'bob' }],
      credentials: Object.entries(KEYS).map(([consumer, { prefix, hash }]) => ({
        name: `key-of-${consumer}`,
        consumer,
        api_key: { prefix, hash },
      })),
      policies: [
        { name: 'everybody', permissions: [{ pattern: 'right:*' }, { pattern: 'everything:*' }] },
        { name: 'left', permissions: [{ pattern: 'left:*', scopes: ['left'] }] },
      ],
      limits: [{ name: 'burst', requests: 2, per: 'hour', endpoints: ['/mcp/everything'] }],
    }),
  );
  afterAll(stop);

  it('decide who sees and calls what at a virtual server', async () => {
    const ada = await connect('SDK v1', `${gateway.url}/mcp/team`, as('ada'));
    expect((await ada.toolNames()).sort()).toEqual(['echo', 'left_name', 'whoami']);
    const bob = await connect('SDK v2 2026-07-28', `${gateway.url}/mcp/team`, as('bob'));
    expect((await bob.toolNames()).sort()).toEqual(['echo', 'whoami']);
    await expect(bob.say('left_name')).rejects.toThrow(/scope|left/);
    await expect(connect('SDK v1', `${gateway.url}/mcp/team`)).rejects.toThrow();
  });

  it('hold where they are said to hold', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) {
      const { status, body } = await fetch(`${gateway.url}/mcp/everything`, {
        method: 'POST',
        headers: {
          ...as('ada').headers,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: i,
          method: 'initialize',
          params: {
            protocolVersion: '2025-06-18',
            capabilities: {},
            clientInfo: { name: 'x', version: '1' },
          },
        }),
      });
      await body?.cancel();
      statuses.push(status);
    }
    expect(statuses).toEqual([200, 200, 429, 429]);
  });
});
