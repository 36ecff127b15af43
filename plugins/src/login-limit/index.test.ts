import { definePlugin, Refusal, Type } from '@sluice/sdk';
import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import loginLimit from './index.js';

/** Knows `Bearer right`, in its own time. */
const slowLogin = definePlugin({
  name: 'slow-login',
  version: '1.0.0',
  description: 'Knows one token.',
  phase: 'identity',
  config: Type.Object({ status: Type.Optional(Type.String()) }),
  reads: ['headers.authorization'],
  changes: [],
  hooks: ({ status }) => ({
    identify: async ({ headers: { authorization } }) => {
      await new Promise((resolve) => setImmediate(resolve));
      if (status === 'broken') throw new Error('the directory is away');
      if (authorization === undefined) return undefined;
      if (authorization === 'Bearer right') return { id: 'ada', scopes: [], claims: {} };
      return new Refusal('unauthenticated', 'this is not known here');
    },
  }),
});

function gatewayWith(config: object, identity: object = {}) {
  return testPlugin(loginLimit, { config, beside: [{ plugin: slowLogin, config: identity }] });
}

const wrong = { headers: { Authorization: 'Bearer wrong' } };
const right = { headers: { Authorization: 'Bearer right' } };

describe('login-limit', () => {
  it('refuses unseen after too many wrong credentials, and says when to come again', async () => {
    const gateway = gatewayWith({ rate: 6, burst: 3 });
    for (let i = 0; i < 3; i++) expect((await gateway.call(wrong)).status).toBe(401);
    const { status, headers, outcome } = await gateway.call(wrong);
    expect([status, headers['retry-after']]).toEqual([429, '10']);
    expect(outcome.error).toEqual({
      code: -31010,
      message: 'too many wrong credentials from this address; try again in 10 s',
      data: { retry_after_ms: 10_000 },
    });
    expect((await gateway.call(right)).status).toBe(429);
    gateway.clock.advance(10_000);
    expect((await gateway.call(right)).status).toBe(200);
    expect(gateway.counted.get('failed_total')).toBe(3);
    expect(gateway.counted.get('refused_total')).toBe(2);
  });

  it('looks at no more guesses when they come at once', async () => {
    const gateway = gatewayWith({ burst: 3 });
    const all = await Promise.all(Array.from({ length: 50 }, () => gateway.call(wrong)));
    expect(all.filter(({ status }) => status === 401)).toHaveLength(3);
    expect(all.filter(({ status }) => status === 429)).toHaveLength(47);
  });

  it('costs those nothing who have the right credential, or none', async () => {
    const gateway = gatewayWith({ burst: 1 });
    for (let i = 0; i < 20; i++) expect((await gateway.call(right)).status).toBe(200);
    for (let i = 0; i < 20; i++) expect((await gateway.call({})).status).toBe(401);
    expect((await gateway.call(right)).status).toBe(200);
  });

  it('costs nothing when nobody could look at the credential', async () => {
    const gateway = gatewayWith({ burst: 1 }, { status: 'broken' });
    for (let i = 0; i < 4; i++) expect((await gateway.call(right)).status).not.toBe(429);
  });

  it('tells addresses apart, those of one IPv6 network not', async () => {
    const gateway = gatewayWith({ burst: 1 });
    const from = async (address: string) => (await gateway.call({ ...wrong, address })).status;
    expect(await from('192.0.2.1')).toBe(401);
    expect(await from('::ffff:192.0.2.1')).toBe(429);
    expect(await from('192.0.2.2')).toBe(401);
    expect(await from('2001:db8::1')).toBe(401);
    expect(await from('2001:db8::2')).toBe(429);
    expect(await from('2001:db8:0:1::1')).toBe(401);
  });

  it('counts the credentials of the fields that it is told of', async () => {
    const gateway = gatewayWith({ burst: 1, credential_headers: ['x-key'] });
    expect((await gateway.call({ headers: { 'X-Key': 'a' } })).status).toBe(401);
    expect((await gateway.call({ headers: { 'X-Key': 'b' } })).status).toBe(429);
    expect((await gateway.call(wrong)).status).toBe(401);
  });

  it.each<[object, string]>([
    [{ rate: 0 }, 'rate'],
    [{ burst: 0 }, 'burst'],
    [{ per: 'week' }, 'per'],
    [{ rate: 1, per: 'day', burst: 1_000 }, 'burst'],
    [{ credential_headers: [] }, 'credential_headers'],
    [{ credential_headers: ['X-Api-Key'] }, 'credential_headers[0]'],
    [{ window: 5 }, 'window'],
  ])('refuses the configuration %j', (config, path) => {
    expect(configProblems(loginLimit, config).map((problem) => problem.path)).toContain(path);
  });
});
