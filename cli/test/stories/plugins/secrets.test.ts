import { createHmac } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createApiKey, hashPassword } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../cli/sluice-process.js';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect } from '../official-client.js';
import { MODERN, modernParams } from '../raw-http.js';
import { DEAD_URL, freePort, plain } from '../upstreams.js';

/* "Whoever reads my logs, watches my gateway or calls it learns nothing that opens a door." */

const PATIENCE = { timeout: 15_000 };
/** Stands in every secret of the configuration, and in nothing else. */
const KEPT = 'kEpTzQ9';
/** Stands in every credential that is sent. */
const SENT = 'sEnTzQ9';
const kept = (name: string) => `${KEPT}-${name}-of-at-least-32-characters`;

const ENV = {
  STORY_HASH_KEY: kept('hash-key'),
  STORY_JWT_SECRET: kept('jwt-secret'),
  STORY_CLIENT_SECRET: kept('client-secret'),
  STORY_REDIS: `redis://:${KEPT}@${new URL(DEAD_URL).host}`,
  STORY_CACHE_KEY: kept('cache-key'),
  STORY_UPSTREAM_TOKEN: kept('upstream-token'),
  STORY_ADMIN_TOKEN: kept('admin-token'),
};

const { key, prefix, hash } = createApiKey(ENV.STORY_HASH_KEY);
const UNKNOWN_KEY = `slk_00000000_${SENT}${'x'.repeat(43 - SENT.length)}`;

let gateway: RunningGateway;
let adminPort: number;
let passwordHash: string;
let settings: { upstreams: object[]; gateway: object; plugins: object[] };

function token(claims: object, secret: string): string {
  const parts = [{ alg: 'HS256' }, { iss: 'https://issuer.example', aud: 'story', sub: SENT, ...claims }];
  const text = parts.map((each) => Buffer.from(JSON.stringify(each)).toString('base64url')).join('.');
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

beforeAll(async () => {
  adminPort = await freePort();
  passwordHash = await hashPassword(kept('password'));
  settings = {
    gateway: { admin: { port: adminPort, token: '${STORY_ADMIN_TOKEN}' } },
    upstreams: [plain('a', [], { env: { TOKEN: '${STORY_UPSTREAM_TOKEN}' } })],
    plugins: [
      { plugin: 'security-headers' },
      { plugin: 'cors', config: { allowed_origins: ['https://app.example'] } },
      { plugin: 'request-limit', config: { max_arguments_bytes: '1KiB', max_header_value_bytes: '4KiB' } },
      { plugin: 'login-limit', config: { rate: 1_000, per: 'second' } },
      {
        plugin: 'auth-api-key',
        config: { hash_key: '${STORY_HASH_KEY}', keys: [{ prefix, hash, consumer: 'ada' }] },
      },
      { plugin: 'auth-basic', config: { users: [{ user: 'ada', password_hash: passwordHash }] } },
      {
        plugin: 'auth-jwt',
        config: {
          issuer: 'https://issuer.example',
          audience: 'story',
          keys: [{ secret: '${STORY_JWT_SECRET}' }],
        },
      },
      {
        plugin: 'auth-oauth',
        config: {
          resource: 'https://gateway.example',
          authorization_servers: [
            {
              issuer: 'https://login.example',
              metadata_url: `${new URL('/metadata', DEAD_URL)}`,
              introspection: {
                client_id: 'story',
                client_secret: '${STORY_CLIENT_SECRET}',
                endpoint: `${new URL('/introspect', DEAD_URL)}`,
              },
            },
          ],
        },
      },
      { plugin: 'anonymous' },
      { plugin: 'authorize', config: { permissions: { 'a:echo': [] }, methods: { '*': [] } } },
      { plugin: 'ratelimit', config: { limits: [{ name: 'calls', rate: 1_000, per: 'second' }] } },
      {
        plugin: 'transform',
        config: {
          rules: [
            {
              name: 'credential',
              headers: { set: { authorization: 'Bearer ${STORY_UPSTREAM_TOKEN}' } },
            },
            {
              name: 'failing',
              match: { methods: ['tools/call'] },
              when: 'has(arguments.number)',
              arguments: { compute: { '/number': 'arguments.number + 1' } },
            },
          ],
        },
      },
      {
        plugin: 'cache',
        config: {
          tools: [{ targets: ['a:echo'], ttl: '1m' }],
          redis: { url: '${STORY_REDIS}', key: '${STORY_CACHE_KEY}' },
        },
      },
    ],
  };
  gateway = await startGateway({
    workers: 2,
    args: ['--log-level', 'debug'],
    env: ENV,
    config: settings,
  });
});

afterAll(async () => {
  await closeClients();
  await gateway?.stop();
});

/** All answers that anybody got. */
const told: string[] = [];

async function ask(
  headers: Record<string, string>,
  args: object = { text: 'hello' },
  name = 'echo',
): Promise<number> {
  const response = await fetch(`${gateway.url}/mcp/a`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': MODERN,
      'mcp-method': 'tools/call',
      'mcp-name': name,
      ...headers,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: modernParams({ name, arguments: args }),
    }),
  });
  told.push(JSON.stringify([...response.headers]), await response.text());
  return response.status;
}

function expectNothingOf(text: string): void {
  const basic = Buffer.from(`ada:${kept('password')}`).toString('base64');
  for (const secret of [KEPT, SENT, key, hash, passwordHash, passwordHash.split('$').at(-1) as string, basic])
    expect(text).not.toContain(secret);
}

const basic = (password: string) => ({
  authorization: `Basic ${Buffer.from(`ada:${password}`).toString('base64')}`,
});

describe('a gateway that has every plugin, and secrets in all that have any', () => {
  it('works for those who may', async () => {
    const client = await connect('SDK v1', `${gateway.url}/mcp/a`, { headers: { 'X-API-Key': key } });
    expect(await client.say('echo', { text: 'hello' })).toBe('hello');
    const exp = Math.floor(Date.now() / 1_000) + 600;
    const bearer = `Bearer ${token({ exp }, ENV.STORY_JWT_SECRET)}`;
    const all: Record<string, string>[] = [
      {},
      { 'x-api-key': key },
      basic(kept('password')),
      { authorization: bearer },
    ];
    for (const headers of all) expect(await ask(headers)).toBe(200);
  });

  it.each<[string, Record<string, string>, number]>([
    ['an unknown key', { 'x-api-key': UNKNOWN_KEY }, 401],
    ['what is no key', { 'x-api-key': SENT }, 401],
    ['an unknown key as a token', { authorization: `Bearer ${UNKNOWN_KEY}` }, 401],
    ['a wrong password', basic(SENT), 401],
    ['a password without end', basic(SENT.repeat(200)), 401],
    ['a token with a wrong signature', { authorization: `Bearer ${token({ exp: 2 ** 33 }, SENT)}` }, 401],
    ['an expired token', { authorization: `Bearer ${token({ exp: 1 }, ENV.STORY_JWT_SECRET)}` }, 401],
    ['an opaque token that nobody can be asked about', { authorization: `Bearer ${SENT}` }, 503],
    ['a scheme that nobody knows', { authorization: `Digest ${SENT}` }, 401],
    ['a header field without end', { 'x-secret': SENT.repeat(1_000) }, 413],
    ['a page of another origin', { origin: `https://${SENT}.example`.toLowerCase() }, 403],
  ])('says no word of %s', async (_, headers, status) => {
    expect(await ask(headers)).toBe(status);
  });

  it('says no word of arguments that were refused', async () => {
    const bearing = { 'x-api-key': key };
    expect(await ask(bearing, { text: SENT.repeat(1_000) })).toBe(413);
    expect(await ask(bearing, { text: 'x', number: SENT })).toBe(400);
    expect(await ask(bearing, { password: SENT }, 'other')).toBe(403);
  });

  it('refuses changes that put secrets where none belong, and repeats none', async () => {
    const wrong = (plugin: string, config: object, index = 0) => ({
      plugin,
      name: `${plugin}-${index}`,
      config,
    });
    const oauth = (more: object) => ({
      resource: 'https://gateway.example',
      authorization_servers: [{ issuer: 'https://login.example', ...more }],
    });
    const jwt = (...keys: object[]) => ({ issuer: 'https://issuer.example', audience: 'story', keys });
    const secret = '${STORY_JWT_SECRET}';
    const plugins = [
      wrong('auth-api-key', { hash_key: [secret] }),
      wrong('auth-api-key', { hash_key: secret, keys: secret }, 1),
      wrong('auth-api-key', { hash_key: secret, keys: [{ prefix, hash: secret, consumer: 'x' }] }, 2),
      wrong(
        'auth-api-key',
        { hash_key: secret, keys: [{ prefix, hash, consumer: 'x', expires_at: secret }] },
        3,
      ),
      wrong('auth-basic', { users: [{ user: 'ada', password_hash: secret }] }),
      wrong('auth-basic', { users: { ada: secret } }, 1),
      wrong('auth-jwt', jwt({ secret, algorithm: 'RS256' })),
      wrong('auth-jwt', jwt({ pem: secret }), 1),
      wrong('auth-jwt', jwt({ jwk: { kty: 'oct', k: secret } }), 2),
      wrong('auth-jwt', jwt({ secret: `${secret}!`, secret_encoding: 'base64' }), 3),
      wrong('auth-jwt', { ...jwt(), jwks_uri: `https://ada:${secret}@issuer.example/jwks` }, 4),
      wrong('auth-oauth', oauth({ introspection: { client_id: 'x', client_secret: [secret] } })),
      wrong('auth-oauth', oauth({ metadata_url: `https://ada:${secret}@login.example` }), 1),
      wrong('authorize', { permissions: { 'a:*': secret } }),
      wrong('cache', { redis: { url: `http://:${secret}@redis.example`, key: secret } }),
      wrong('cache', { redis: { url: secret, key: KEPT } }, 1),
      wrong('cors', { allowed_origins: [secret] }),
      wrong('login-limit', { rate: 1, per: secret }),
      wrong('ratelimit', { limits: [{ name: secret, rate: 1, per: 'day' }] }),
      wrong('request-limit', { max_body_bytes: secret }),
      wrong('security-headers', { frame_options: `${secret}\n` }),
      wrong('transform', { rules: [{ name: 'x', headers: { set: { authorization: `{{ ${secret} +` } } }] }),
      wrong('transform', { rules: [{ name: 'x', when: `"${secret}" ==` }] }, 1),
    ];
    const before = await readFile(gateway.configFile, 'utf8');
    await write(JSON.stringify({ ...settings, plugins }));
    await expect.poll(() => gateway.logs(), PATIENCE).toContain('configuration refused');
    const validated = await run(['validate', gateway.configFile], ENV);
    const said = validated.stdout + validated.stderr;
    for (const index of plugins.keys()) expect(said).toContain(`plugins[${index}].config`);
    expectNothingOf(said);
    await write(before);
    expect(await ask({ 'x-api-key': key })).toBe(200);
  });

  it('changes secrets without a word of them', async () => {
    const other = createApiKey(kept('another-hash-key'));
    const plugins = settings.plugins.map((each: any) =>
      each.plugin === 'auth-api-key'
        ? {
            ...each,
            config: {
              hash_key: kept('another-hash-key'),
              keys: [{ prefix: other.prefix, hash: other.hash, consumer: 'ada' }],
            },
          }
        : each,
    );
    await write(JSON.stringify({ ...settings, plugins }));
    await expect.poll(() => ask({ 'x-api-key': other.key }), PATIENCE).toBe(200);
    expect(await ask({ 'x-api-key': key })).toBe(401);
    expectNothingOf(told.join('\n'));
  });

  it('told none of them to those who called', () => {
    expect(told.length).toBeGreaterThan(30);
    expectNothingOf(told.join('\n'));
  });

  it('shows none of them in metrics, health and the admin API', async () => {
    const pages = [`${gateway.url}/metrics`, `${gateway.url}/health`, `${gateway.url}/ready`];
    const admin = `http://127.0.0.1:${adminPort}/api/v1`;
    for (const path of ['status', 'upstreams', 'upstreams/a', 'upstreams/a/status', 'connections', 'nothing'])
      pages.push(`${admin}/${path}`);
    for (const page of pages) {
      for (const authorization of [`Bearer ${ENV.STORY_ADMIN_TOKEN}`, `Bearer ${SENT}`]) {
        const answer = await fetch(page, { headers: { authorization } });
        const text = await answer.text();
        expect(text).not.toBe('');
        expectNothingOf(JSON.stringify([...answer.headers]) + text);
      }
    }
  });

  it('wrote none of them into its log', () => {
    expect(gateway.logs().length).toBeGreaterThan(1_000);
    expectNothingOf(gateway.logs());
  });
});

async function write(text: string): Promise<void> {
  await writeFile(`${gateway.configFile}.new`, text);
  await rename(`${gateway.configFile}.new`, gateway.configFile);
}
