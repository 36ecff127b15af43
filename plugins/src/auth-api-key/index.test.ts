import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import authApiKey, { createApiKey } from './index.js';

const HASH_KEY = 'a secret of at least thirty-two characters';

function keyed(more: object = {}) {
  const { key, prefix, hash } = createApiKey(HASH_KEY);
  return { key, entry: { prefix, hash, consumer: 'ada', scopes: ['tools:read'], ...more } };
}

function gatewayWith(...entries: object[]) {
  return testPlugin(authApiKey, { config: { hash_key: HASH_KEY, keys: entries } });
}

describe('auth-api-key', () => {
  it('knows a caller by X-API-Key and by a bearer token', async () => {
    const { key, entry } = keyed();
    const gateway = gatewayWith(entry);
    const ways: Record<string, string>[] = [{ 'X-API-Key': key }, { Authorization: `Bearer ${key}` }];
    for (const headers of ways) {
      const { identity, status } = await gateway.call({ tool: 'files:read', headers });
      expect(status).toBe(200);
      expect(identity).toMatchObject({
        id: 'auth-api-key:ada',
        scopes: ['tools:read'],
        credential: entry.prefix,
      });
    }
  });

  it('does not take consumers of two tenants for one', async () => {
    const all = [keyed(), keyed({ tenant: 'acme' }), keyed({ tenant: 'other' })];
    const gateway = gatewayWith(...all.map(({ entry }) => entry));
    const ids = await Promise.all(
      all.map(async ({ key }) => (await gateway.call({ headers: { 'x-api-key': key } })).identity?.id),
    );
    expect(ids).toEqual(['auth-api-key:ada', 'auth-api-key:"acme"/ada', 'auth-api-key:"other"/ada']);
  });

  it('knows a key where it counts, and nowhere else', async () => {
    const { key, entry } = keyed();
    const gateway = gatewayWith(
      { ...entry, consumer: 'ada', tenant: 'acme', endpoints_below: '/mcp/acme/' },
      { ...entry, consumer: 'ben', endpoints_below: '/mcp/acme/inner/' },
    );
    const at = async (endpoint: string) => {
      const { identity, outcome } = await gateway.call({ endpoint, headers: { 'x-api-key': key } });
      return identity?.consumer ?? outcome.error?.message;
    };
    const unknown = `API key ${entry.prefix} is not known here`;
    // Twice: what was right is remembered.
    for (const _ of [1, 2]) {
      expect(await at('/mcp/acme/files')).toBe('ada');
      expect(await at('/mcp/acme/inner/files')).toBe('ben');
      for (const other of ['/mcp', '/mcp/acme', '/mcp/acmes/files', '/mcp/files'])
        expect(await at(other)).toBe(unknown);
    }
  });

  it('lets both keys of a consumer in while one takes over from the other', async () => {
    const [before, next] = [keyed({ expires_at: '2023-11-14T22:13:21Z' }), keyed()];
    const gateway = gatewayWith(before.entry, next.entry);
    const with_ = (key: string) => gateway.call({ headers: { 'x-api-key': key } });
    expect((await with_(before.key)).identity?.id).toBe((await with_(next.key)).identity?.id);
    gateway.clock.advance(1_000);
    expect((await with_(before.key)).outcome.error?.message).toBe(
      `API key ${before.entry.prefix} has expired`,
    );
    expect((await with_(next.key)).status).toBe(200);
  });

  it('says what would do to a caller who has nothing', async () => {
    const { status, headers } = await gatewayWith().call({});
    expect(status).toBe(401);
    expect(headers['www-authenticate']).toBe('Bearer realm="sluice"');
  });

  it.each([
    ['an unknown key', () => ({ 'x-api-key': createApiKey(HASH_KEY).key }), /is not known here/],
    [
      'a key hashed with another secret',
      () => ({ 'x-api-key': createApiKey('another secret, just as long as it').key }),
      /not known/,
    ],
    ['no key at all', () => ({ 'x-api-key': 'secret' }), /holds no API key/],
    ['an empty key', () => ({ 'x-api-key': '' }), /holds no API key/],
  ])('refuses %s, and says no secret', async (_, headers, message) => {
    const sent = headers();
    const { status, outcome } = await gatewayWith(keyed().entry).call({ headers: sent });
    expect(status).toBe(401);
    expect(outcome.error?.message).toMatch(message);
    expect(outcome.error?.message).not.toContain(sent['x-api-key'].slice(13) || 'never');
  });

  it('refuses a credential that was sent twice', async () => {
    const { key, entry } = keyed();
    const headers = { 'x-api-key': key };
    const { status } = await gatewayWith(entry).call({ headers, repeatedHeaders: ['x-api-key'] });
    expect(status).toBe(401);
  });

  it('leaves a bearer token of another kind to others', async () => {
    const { outcome } = await gatewayWith(keyed().entry).call({
      headers: { authorization: 'Bearer eyJhbGciOi' },
    });
    expect(outcome.error?.message).toMatch(/wants to know who calls/);
  });

  it.each([
    [{}, 'hash_key'],
    [{ hash_key: 'short' }, 'hash_key'],
    [{ hash_key: HASH_KEY, keys: [{ ...keyed().entry, hash: 'x' }] }, 'keys[0].hash'],
    [{ hash_key: HASH_KEY, keys: [{ ...keyed().entry, expires_at: 'soon' }] }, 'keys[0].expires_at'],
    [{ hash_key: HASH_KEY, kyes: [] }, 'kyes'],
  ])('refuses the configuration %j', (config, path) => {
    expect(configProblems(authApiKey, config).map((problem) => problem.path)).toContain(path);
  });

  it('refuses one key for two entries', () => {
    const { entry } = keyed();
    const problems = configProblems(authApiKey, { hash_key: HASH_KEY, keys: [entry, entry] });
    expect(problems).toEqual([expect.objectContaining({ path: 'keys[1].hash' })]);
  });
});
