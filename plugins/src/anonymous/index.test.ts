import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { expect, it } from 'vitest';
import authApiKey, { createApiKey } from '../auth-api-key/index.js';
import anonymous from './index.js';

const HASH_KEY = 'a secret of at least thirty-two characters';
const GUEST = { consumer: 'guests', tenant: 'public', scopes: ['tools:read'], claims: { team: 'none' } };

function behindKeys() {
  const { key, prefix, hash } = createApiKey(HASH_KEY);
  const keys = [{ prefix, hash, consumer: 'ada' }];
  const beside = [{ plugin: authApiKey, config: { hash_key: HASH_KEY, keys } }];
  return { key, gateway: testPlugin(anonymous, { config: GUEST, beside }) };
}

it('knows whoever sends no credential', async () => {
  const { identity, status } = await testPlugin(anonymous, { config: GUEST }).call({ tool: 'files:read' });
  expect(status).toBe(200);
  expect(identity).toEqual({ id: 'anonymous', ...GUEST });
});

it('gives nothing that is not configured', async () => {
  const { identity } = await testPlugin(anonymous).call({});
  expect(identity).toEqual({ id: 'anonymous', scopes: [], claims: {} });
});

it('stands behind those who know more', async () => {
  const { key, gateway } = behindKeys();
  expect((await gateway.call({ headers: { 'x-api-key': key } })).identity?.id).toBe('auth-api-key:ada');
  expect((await gateway.call({})).identity?.id).toBe('anonymous');
});

it.each([
  ['a wrong key', { 'x-api-key': createApiKey(HASH_KEY).key }],
  ['something in X-API-Key', { 'X-API-Key': '' }],
  ['a token that nobody knows', { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' }],
  ['a password that nobody asked for', { AUTHORIZATION: 'Basic YWRhOnNlY3JldA==' }],
  ['a scheme that nobody knows', { authorization: 'Negotiate YII=' }],
])('does not take the sender of %s for anonymous', async (_, headers) => {
  const { identity, status } = await behindKeys().gateway.call({ headers: { ...headers } });
  expect([status, identity]).toEqual([401, undefined]);
});

it.each([
  [{ id: 'root' }, 'id'],
  [{ scopes: 'tools:read' }, 'scopes'],
  [{ scopes: [''] }, 'scopes[0]'],
  [{ consumer: '' }, 'consumer'],
  [{ claims: 'none' }, 'claims'],
])('refuses the configuration %j', (config, path) => {
  expect(configProblems(anonymous, config).map((problem) => problem.path)).toContain(path);
});
