import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, SluiceProcess } from '../../cli/sluice-process.js';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { type HttpServer, startFixtureOn } from '../upstreams.js';

/* "My old client knows user and password and nothing else; and whoever has no account may look at what is public." */

const PASSWORD = 'grün ☃ und lang';

describe.each(['uws', 'node'])('behind the listener %s', (listener) => {
  let fixture: HttpServer;
  let gateway: RunningGateway;
  let keyFor: { key: string; entry: object };

  beforeAll(async () => {
    fixture = await startFixtureOn(0, 'both');
    const env = { KEY_SECRET: 'a secret of at least thirty-two characters' };
    const hashing = new SluiceProcess(['keys', 'hash-password']);
    hashing.child.stdin?.end(`${PASSWORD}\n`);
    await hashing.ended;
    const created = await run(
      [
        'keys',
        'create',
        '--consumer',
        'ci',
        '--scopes',
        'everything',
        '--secret-env',
        'KEY_SECRET',
        '-o',
        'json',
      ],
      env,
    );
    keyFor = JSON.parse(created.stdout);
    gateway = await startGateway({
      env,
      config: {
        gateway: { listen: { listener } },
        upstreams: [{ name: 'fixture', url: fixture.url }],
        plugins: [
          { plugin: 'auth-api-key', config: { hash_key: '${KEY_SECRET}', keys: [keyFor.entry] } },
          {
            plugin: 'auth-basic',
            config: {
              users: [{ user: 'jürgen', password_hash: hashing.stdout.trim(), scopes: ['everything'] }],
            },
          },
          { plugin: 'anonymous', config: { scopes: ['public'] } },
          {
            plugin: 'authorize',
            config: {
              permissions: { 'fixture:test_simple_text': ['public', 'everything'], '*:*': ['everything'] },
            },
          },
        ],
      },
    });
  });

  afterAll(async () => {
    await closeClients();
    await gateway?.stop();
    await fixture?.kill();
  });

  const basic = (user: string, password: string) =>
    `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

  it.each(KINDS)('lets %s in with user and password', async (kind) => {
    const headers = { Authorization: basic('jürgen', PASSWORD) };
    const client = await connect(kind, `${gateway.url}/mcp`, { headers });
    expect((await client.toolNames()).length).toBeGreaterThan(3);
  });

  it.each(KINDS)('lets %s in with a key that the command made', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp`, { headers: { 'X-API-Key': keyFor.key } });
    expect((await client.toolNames()).length).toBeGreaterThan(3);
  });

  it.each(KINDS)('shows %s without a credential what is public', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp/fixture`);
    expect(await client.toolNames()).toEqual(['test_simple_text']);
    expect(await client.say('test_simple_text')).toMatch(/simple text/);
    await expect(client.call('test_image_content')).rejects.toThrow();
  });

  it.each([
    ['a wrong password', { authorization: basic('jürgen', 'wrong') }, 'user or password is wrong'],
    ['an unknown user', { authorization: basic('ben', PASSWORD) }, 'user or password is wrong'],
    ['a token', { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' }, /wants to know who calls/],
    ['an unknown key', { 'x-api-key': 'slk_00000000_' }, 'X-API-Key holds no API key'],
  ])('takes nobody with %s for somebody without a credential', async (_, headers, message) => {
    const response = await fetch(`${gateway.url}/mcp`, {
      method: 'POST',
      headers: {
        ...headers,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
    });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(/^(Bearer|Basic) realm="sluice"/);
    const { error } = (await response.json()) as { error: { code: number; message: string } };
    expect(error).toEqual({ code: -31009, message: expect.stringMatching(message) });
  });

  it('never writes a password, its hash or a key into its log', () => {
    const secrets = [PASSWORD, 'scrypt', keyFor.key, Buffer.from(`jürgen:${PASSWORD}`).toString('base64')];
    for (const secret of secrets) expect(gateway.logs()).not.toContain(secret);
  });
});
