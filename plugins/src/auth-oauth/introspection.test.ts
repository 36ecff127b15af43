import type { FetchAnswer, FetchOptions } from '@sluice/sdk';
import { testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import authOauth from './index.js';

const ISSUER = 'https://issuer.example.com';
const RESOURCE = 'https://gateway.example.com';
const ACTIVE = { active: true, sub: 'ada', aud: RESOURCE, scope: 'tools:read', client_id: 'desktop' };
const INTROSPECTION = {
  client_id: 'slu:ice',
  client_secret: 'very secret +',
  endpoint: `${ISSUER}/introspect`,
};

const json = (body: unknown, status = 200): FetchAnswer => ({
  status,
  headers: {},
  text: JSON.stringify(body),
});
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

type Answer = (options: FetchOptions, url: string) => FetchAnswer | Promise<FetchAnswer>;

function gatewayWith(answer: Answer, introspection: object = INTROSPECTION, more: object[] = []) {
  const asked: { url: string; options: FetchOptions }[] = [];
  const gateway = testPlugin(authOauth, {
    config: { resource: RESOURCE, authorization_servers: [{ issuer: ISSUER, introspection }, ...more] },
    fetch: (url, options) => {
      asked.push({ url, options });
      return answer(options, url);
    },
  });
  return Object.assign(gateway, { asked });
}

describe('an opaque token', () => {
  it('is asked about once for all that wait, and then for a short time not again', async () => {
    const gateway = gatewayWith(async () => json(ACTIVE));
    const calls = await Promise.all([1, 2, 3].map(() => gateway.call(bearer('opaque'))));
    expect(calls.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(calls[0]?.identity).toMatchObject({
      id: 'auth-oauth:https://issuer.example.com#ada',
      consumer: 'desktop',
      scopes: ['tools:read'],
    });
    expect(calls[0]?.identity?.credential).not.toContain('opaque');
    gateway.clock.advance(29_999);
    await gateway.call(bearer('opaque'));
    expect(gateway.asked).toHaveLength(1);
    gateway.clock.advance(1);
    await gateway.call(bearer('opaque'));
    expect(gateway.asked).toHaveLength(2);
  });

  it('is sent in a form, with who asks in front of it', async () => {
    const gateway = gatewayWith(() => json(ACTIVE));
    await gateway.call(bearer('opaque'));
    const { url, options } = gateway.asked[0] ?? {};
    expect(url).toBe(`${ISSUER}/introspect`);
    expect(options).toMatchObject({ method: 'POST', body: 'token=opaque&token_type_hint=access_token' });
    const sent = Buffer.from(
      options?.headers?.authorization?.slice('Basic '.length) ?? '',
      'base64',
    ).toString();
    expect(sent).toBe('slu%3Aice:very+secret+%2B');
  });

  it('is sent with who asks in the form where the server wants that', async () => {
    const gateway = gatewayWith(() => json(ACTIVE), { ...INTROSPECTION, client_auth: 'post' });
    await gateway.call(bearer('opaque'));
    const { headers, body } = gateway.asked[0]?.options ?? {};
    expect(Object.keys(headers ?? {})).not.toContain('authorization');
    expect(Object.fromEntries(new URLSearchParams(body))).toMatchObject({ client_secret: 'very secret +' });
  });

  it('is asked about where the metadata says', async () => {
    const metadata = { issuer: ISSUER, introspection_endpoint: 'https://ask.example.com/' };
    const gateway = gatewayWith((_, url) => json(url.includes('.well-known') ? metadata : ACTIVE), {
      ...INTROSPECTION,
      endpoint: undefined,
    });
    expect((await gateway.call(bearer('opaque'))).status).toBe(200);
    expect(gateway.asked.at(-1)?.url).toBe('https://ask.example.com/');
  });

  it.each([
    ['is not active', { active: false }, /wants to know who calls/],
    ['is for others', { ...ACTIVE, aud: 'https://other.example.com' }, /another audience/],
    ['is for nobody', { ...ACTIVE, aud: undefined }, /another audience/],
    ['is of another issuer', { ...ACTIVE, iss: 'https://other.example.com' }, /another issuer/],
    ['has ended', { ...ACTIVE, exp: 1_699_999_970 }, /expired/],
    ['begins later', { ...ACTIVE, nbf: 1_700_000_031 }, /not count yet/],
    ['is bound to a key', { ...ACTIVE, cnf: { jkt: 'x' } }, /proof of possession/],
    ['wants a proof', { ...ACTIVE, token_type: 'DPoP' }, /no bearer token/],
    ['is of nobody', { ...ACTIVE, sub: undefined, client_id: undefined }, /names nobody/],
  ])('that %s is refused', async (_, answer, message) => {
    const { status, outcome, headers } = await gatewayWith(() => json(answer)).call(bearer('opaque'));
    expect(status).toBe(401);
    expect(outcome.error?.message).toMatch(message);
    expect(headers['www-authenticate']).toContain('error="invalid_token"');
  });

  it('stops to count at its end, whatever is remembered', async () => {
    const gateway = gatewayWith(() => json({ ...ACTIVE, exp: 1_700_000_000 }), {
      ...INTROSPECTION,
      cache_ttl: '5m',
    });
    expect((await gateway.call(bearer('opaque'))).status).toBe(200);
    gateway.clock.advance(30_000);
    expect((await gateway.call(bearer('opaque'))).status).toBe(401);
    expect(gateway.asked).toHaveLength(1);
  });

  it.each<[string, Answer]>([
    ['is away', () => Promise.reject(new Error('connection refused'))],
    ['does not know us', () => json({ error: 'invalid_client' }, 401)],
    ['says something else', () => ({ status: 200, headers: {}, text: 'the token opaque is fine' })],
    ['says active without meaning it', () => json({ active: 'true' })],
  ])('opens nothing while the server %s', async (_, answer) => {
    const gateway = gatewayWith(answer);
    for (let index = 0; index < 3; index += 1) {
      const { status, outcome, headers } = await gateway.call(bearer('opaque'));
      expect(status).toBe(503);
      expect(outcome.error?.message).toBe(
        'https://issuer.example.com cannot be asked about tokens at this moment',
      );
      expect(headers['retry-after']).toBe('1');
    }
    expect(gateway.asked).toHaveLength(1);
    const logged = JSON.stringify(
      gateway.logged.map(({ fields }) => String((fields as { err?: unknown }).err)),
    );
    expect(logged).not.toMatch(/opaque|very secret/);
    gateway.clock.advance(1_000);
    await gateway.call(bearer('opaque'));
    expect(gateway.asked).toHaveLength(2);
  });

  it('is not asked about when very many are asked about already', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const gateway = gatewayWith(async () => {
      await held;
      return json({ active: false });
    });
    const calls = Array.from({ length: 80 }, (_, index) => gateway.call(bearer(`invented-${index}`)));
    await expect.poll(() => gateway.asked.length).toBe(64);
    release();
    const statuses = (await Promise.all(calls)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 503)).toHaveLength(16);
    expect(statuses.filter((status) => status === 401)).toHaveLength(64);
  });

  it('is shown to no server when it is a JWT of another issuer', async () => {
    const gateway = gatewayWith(() => json(ACTIVE));
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const jwt = (claims: object) => `${part({ alg: 'RS256' })}.${part(claims)}.c2ln`;
    expect((await gateway.call(bearer(jwt({ iss: 'https://other.example.com' })))).status).toBe(401);
    expect(gateway.asked).toEqual([]);
    expect((await gateway.call(bearer(jwt({ sub: 'ada' })))).status).toBe(200);
  });

  it('is asked about at each server until one knows it', async () => {
    const other = 'https://other.example.com';
    const gateway = gatewayWith(
      (_, url) => json(url.startsWith(other) ? ACTIVE : { active: false }),
      INTROSPECTION,
      [
        { issuer: 'https://third.example.com' },
        { issuer: other, introspection: { ...INTROSPECTION, endpoint: `${other}/introspect` } },
      ],
    );
    expect((await gateway.call(bearer('opaque'))).identity?.id).toBe(
      'auth-oauth:https://other.example.com#ada',
    );
    // What is remembered is found without waiting, and is the same.
    expect((await gateway.call(bearer('opaque'))).identity?.id).toBe(
      'auth-oauth:https://other.example.com#ada',
    );
    expect(gateway.asked.filter(({ options }) => options.method === 'POST')).toHaveLength(2);
  });
});
