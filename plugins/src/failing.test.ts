import { randomBytes } from 'node:crypto';
import type { Plugin } from '@sluice/sdk';
import { type TestRequest, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import authApiKey, { createApiKey } from './auth-api-key/index.js';
import authBasic from './auth-basic/index.js';
import authJwt from './auth-jwt/index.js';
import authOauth from './auth-oauth/index.js';
import cache from './cache/index.js';
import loginLimit from './login-limit/index.js';
import rateLimit from './ratelimit/index.js';
import { AUDIENCE, ISSUER, JWKS_URL, ScriptedIssuer } from './tokens/scripted-issuer.js';

/* What built-in plugins do that cannot do their duty: nothing passes, and nobody is taken for somebody. */

const HASH_KEY = randomBytes(24).toString('hex');
const { key, prefix, hash } = createApiKey(HASH_KEY);
const SECRET = '$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$1RL+Xg0R5UtrsEx1/34MJGhCuDjQdo5E2HyYnASS5FE';
const KEYED = {
  hash_key: HASH_KEY,
  keys: [{ prefix, hash, consumer: 'ada', expires_at: '2099-01-01T00:00:00Z' }],
};
const issuer = new ScriptedIssuer('one');
const token = await issuer.token('one', {});

interface Case {
  readonly name: string;
  readonly plugin: Plugin;
  readonly config: object;
  readonly headers?: Record<string, string>;
  /** Beside it, where it does not know callers by itself. */
  readonly beside?: { readonly plugin: Plugin; readonly config: object };
  readonly knowsCallers: boolean;
}

const CALLERS = { plugin: authApiKey, config: { ...KEYED, keys: [{ prefix, hash, consumer: 'ada' }] } };
const CASES: readonly Case[] = [
  {
    name: 'auth-api-key',
    plugin: authApiKey,
    config: KEYED,
    headers: { 'x-api-key': key },
    knowsCallers: true,
  },
  {
    name: 'auth-basic',
    plugin: authBasic,
    config: { users: [{ user: 'ada', password_hash: SECRET }] },
    headers: { authorization: `Basic ${Buffer.from('ada:secret').toString('base64')}` },
    knowsCallers: true,
  },
  {
    name: 'auth-jwt',
    plugin: authJwt,
    config: { issuer: ISSUER, audience: AUDIENCE, jwks_uri: JWKS_URL },
    headers: { authorization: `Bearer ${token}` },
    knowsCallers: true,
  },
  {
    name: 'auth-oauth',
    plugin: authOauth,
    config: { resource: 'https://gateway.example.com', authorization_servers: [{ issuer: ISSUER }] },
    headers: { authorization: `Bearer ${token}` },
    knowsCallers: true,
  },
  {
    name: 'ratelimit',
    plugin: rateLimit,
    config: { limits: [{ name: 'calls', rate: 1, per: 'day' }] },
    headers: { 'x-api-key': key },
    beside: CALLERS,
    knowsCallers: false,
  },
  {
    name: 'login-limit',
    plugin: loginLimit,
    config: { rate: 1, per: 'day' },
    headers: { 'x-api-key': key },
    beside: CALLERS,
    knowsCallers: false,
  },
  {
    name: 'cache',
    plugin: cache,
    config: { lists: [{ ttl: '1m' }] },
    headers: { 'x-api-key': key },
    beside: CALLERS,
    knowsCallers: false,
  },
];

async function withoutTime({ plugin, config, headers = {}, beside }: Case, onFailure: 'deny' | 'allow') {
  const gateway = testPlugin(plugin, {
    config,
    onFailure,
    first: true,
    beside: beside === undefined ? [] : [beside],
    upstream: () => ({ tools: [] }),
    fetch: issuer.fetch,
  });
  // What it fetches at first is there.
  await new Promise((resolve) => setImmediate(resolve));
  gateway.clock.now = () => {
    throw new Error('there is no time');
  };
  const request: TestRequest = { method: 'tools/list', headers };
  return { ...(await gateway.call(request)), reached: gateway.reached };
}

describe.each(CASES)('$name that cannot do its duty', (one) => {
  it('lets nothing pass', async () => {
    const { status, identity, reached } = await withoutTime(one, 'deny');
    expect(status).toBe(503);
    expect(reached).toEqual([]);
    if (one.knowsCallers) expect(identity).toBeUndefined();
  });

  it('lets in nobody as somebody, whatever its binding says', async () => {
    const { status, identity, reached } = await withoutTime(one, 'allow');
    if (one.knowsCallers) expect([identity, reached, status >= 400]).toEqual([undefined, [], true]);
    else expect([identity?.id, reached.length, status]).toEqual(['auth-api-key:ada', 1, 200]);
  });
});

it.each(['deny', 'allow'] as const)(
  'a token whose keys are nowhere to be had opens nothing (%s)',
  async (onFailure) => {
    for (const { plugin, config, headers = {} } of CASES.filter(({ name }) => /jwt|oauth/.test(name))) {
      const fetch = () => Promise.reject(new Error('the issuer is away'));
      const gateway = testPlugin(plugin, { config, onFailure, fetch });
      const { status, identity } = await gateway.call({ headers });
      expect([status, identity, gateway.reached]).toEqual([503, undefined, []]);
    }
  },
);

it.each([
  ['ratelimit', rateLimit, { limits: [{ name: 'calls', rate: 1, per: 'day' }] }],
  ['login-limit', loginLimit, { rate: 1, per: 'day' }],
] as const)('%s is not made where there is no memory to count in', (_, plugin, config) => {
  const checked = plugin.checked(config);
  if (!checked.ok) throw new Error('the configuration is right');
  const clock = { now: () => 0, after: () => () => undefined };
  const host = { shared: new SharedArrayBuffer(0), clock } as never;
  expect(() => plugin.hooks(checked.config, host)).toThrow(RangeError);
});
