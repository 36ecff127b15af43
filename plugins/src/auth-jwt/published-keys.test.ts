import type { FetchAnswer } from '@sluice/sdk';
import { testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import {
  AUDIENCE,
  ISSUER,
  JWKS_URL,
  jwkOf,
  NOW_S,
  rsaKeys,
  ScriptedIssuer,
  signed,
} from '../tokens/scripted-issuer.js';
import authJwt from './index.js';

const HOUR_MS = 3_600_000;
const DAY = { exp: NOW_S + 10 * 86_400 };

function gatewayOf(fetch: ScriptedIssuer['fetch']) {
  const config = { issuer: ISSUER, audience: AUDIENCE, jwks_uri: JWKS_URL };
  const gateway = testPlugin(authJwt, { config, fetch });
  return {
    ...gateway,
    with: (token: string) => gateway.call({ headers: { authorization: `Bearer ${token}` } }),
  };
}

describe('published keys', () => {
  it('are fetched once for all who wait', async () => {
    const issuer = new ScriptedIssuer('one');
    issuer.hold();
    const gateway = gatewayOf(issuer.fetch);
    const tokens = await Promise.all(['ada', 'bob', 'eve'].map((sub) => issuer.token('one', { sub })));
    const calls = [...tokens, ...tokens].map((token) => gateway.with(token));
    issuer.release();
    const ids = (await Promise.all(calls)).map(({ identity }) => identity?.id.split('|')[1]);
    expect(ids).toEqual(['ada', 'bob', 'eve', 'ada', 'bob', 'eve']);
    expect(issuer.asked).toEqual([JWKS_URL]);
  });

  it('are fetched again when a token names a new one, but not at the pleasure of tokens', async () => {
    const issuer = new ScriptedIssuer('one');
    const gateway = gatewayOf(issuer.fetch);
    expect((await gateway.with(await issuer.token('one'))).status).toBe(200);
    issuer.publish('two');
    const rotated = await issuer.token('two');
    // Too soon after the last time.
    expect((await gateway.with(rotated)).status).toBe(401);
    expect(issuer.asked).toHaveLength(1);
    gateway.clock.advance(10_000);
    expect((await gateway.with(rotated)).status).toBe(200);
    expect(issuer.asked).toHaveLength(2);

    const mallory = rsaKeys();
    for (let each = 0; each < 20; each++) {
      const token = await signed(mallory.privateKey, 'RS256', {}, { kid: `kid-${each}` });
      expect((await gateway.with(token)).status).toBe(401);
    }
    gateway.clock.advance(10_000);
    const together = Array.from({ length: 20 }, async (_, each) =>
      gateway.with(await signed(mallory.privateKey, 'RS256', {}, { kid: `kid-${each}` })),
    );
    expect((await Promise.all(together)).every(({ status }) => status === 401)).toBe(true);
    expect(issuer.asked).toHaveLength(3);
  });

  it('that were withdrawn do not count any more, not even for tokens that were verified', async () => {
    const issuer = new ScriptedIssuer('one', 'two');
    const gateway = gatewayOf(issuer.fetch);
    const token = await issuer.token('one', DAY);
    expect((await gateway.with(token)).status).toBe(200);
    issuer.withdraw('one');
    gateway.clock.advance(10 * 60_000);
    // This one still gets what is remembered, and has the keys fetched.
    expect((await gateway.with(token)).status).toBe(200);
    await expect.poll(async () => (await gateway.with(token)).status).toBe(401);
  });

  it('that are long overdue are waited for', async () => {
    const issuer = new ScriptedIssuer('one', 'two');
    const gateway = gatewayOf(issuer.fetch);
    const token = await issuer.token('one', DAY);
    expect((await gateway.with(token)).status).toBe(200);
    issuer.withdraw('one');
    gateway.clock.advance(20 * 60_000);
    expect((await gateway.with(token)).status).toBe(401);
  });

  it('go on to vouch for what was verified when nothing has changed', async () => {
    const issuer = new ScriptedIssuer('one');
    const gateway = gatewayOf(issuer.fetch);
    const token = await issuer.token('one', DAY);
    const { identity } = await gateway.with(token);
    gateway.clock.advance(20 * 60_000);
    expect((await gateway.with(token)).identity).toEqual(identity);
    expect(issuer.asked).toHaveLength(2);
  });
});

describe('an issuer that is out of reach', () => {
  it('has its last good keys counted, for a limited time', async () => {
    const issuer = new ScriptedIssuer('one');
    const gateway = gatewayOf(issuer.fetch);
    const token = await issuer.token('one', DAY);
    expect((await gateway.with(token)).status).toBe(200);
    issuer.isOut = true;
    gateway.clock.advance(HOUR_MS);
    expect((await gateway.with(token)).status).toBe(200);
    expect((await gateway.with(await issuer.token('one', { ...DAY, sub: 'bob' }))).status).toBe(200);
    expect(gateway.logged.map(({ message }) => message)).toContain(
      `the keys of ${ISSUER} could not be fetched; the last good one stays in use`,
    );
    gateway.clock.advance(23 * HOUR_MS);
    const { status, outcome, headers } = await gateway.with(token);
    expect([status, outcome.error?.message]).toEqual([
      503,
      expect.stringMatching(/cannot be had at this moment/),
    ]);
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);

    issuer.isOut = false;
    gateway.clock.advance(60_000);
    expect((await gateway.with(token)).status).toBe(200);
  });

  it('is asked more and more seldom, whatever comes', async () => {
    const issuer = new ScriptedIssuer('one');
    issuer.isOut = true;
    const gateway = gatewayOf(issuer.fetch);
    const token = await issuer.token('one', DAY);
    const askedAtS: number[] = [];
    for (let second = 0; second < 300; second++) {
      const before = issuer.asked.length;
      expect((await gateway.with(token)).status).toBe(503);
      if (issuer.asked.length > before) askedAtS.push(second);
      gateway.clock.advance(1_000);
    }
    // Beside the one at the start: after 1, 2, 4 … seconds, and then every minute.
    expect(askedAtS).toEqual([1, 3, 7, 15, 31, 63, 123, 183, 243]);
    // A plugin whose issuer fails has not failed itself: it is not switched off.
    expect(gateway.logged.some(({ message }) => message === 'switched off')).toBe(false);
  });

  it('does not make an unknown key a wrong one', async () => {
    const issuer = new ScriptedIssuer('one');
    const gateway = gatewayOf(issuer.fetch);
    expect((await gateway.with(await issuer.token('one'))).status).toBe(200);
    issuer.publish('two');
    issuer.isOut = true;
    gateway.clock.advance(10_000);
    expect((await gateway.with(await issuer.token('two'))).status).toBe(503);
    expect((await gateway.with(await issuer.token('one'))).status).toBe(200);
  });

  const answers: [string, Partial<FetchAnswer>][] = [
    ['an error', { status: 500, text: 'oops' }],
    ['a redirect', { status: 302, headers: { location: 'https://mallory.example/jwks' } }],
    ['a page', { text: '<html>' }],
    ['no key set', { text: '[]' }],
    ['null', { text: 'null' }],
    ['no keys', { text: '{"keys":[]}' }],
    ['things that are no keys', { text: '{"keys":[null,1,"a",[],{}]}' }],
    ['keys for something else', { text: JSON.stringify({ keys: [jwkOf(rsaKeys(), { use: 'enc' })] }) }],
    [
      'a shared secret',
      { text: JSON.stringify({ keys: [{ kty: 'oct', k: Buffer.alloc(32, 'a').toString('base64url') }] }) },
    ],
  ];
  it.each(answers)('is one that answers with %s', async (_, answer) => {
    const issuer = new ScriptedIssuer('one');
    let isOdd = false;
    const gateway = gatewayOf(async (url, options) =>
      isOdd ? { status: 200, headers: {}, text: '', ...answer } : issuer.fetch(url, options),
    );
    expect((await gateway.with(await issuer.token('one', DAY))).status).toBe(200);
    isOdd = true;
    gateway.clock.advance(HOUR_MS);
    expect((await gateway.with(await issuer.token('one', { ...DAY, sub: 'bob' }))).status).toBe(200);
    expect(gateway.counted.get('issuer_failures_total')).toBe(1);
    const symmetric = await signed(Buffer.alloc(32, 'a'), 'HS256', DAY);
    expect((await gateway.with(symmetric)).identity).toBeUndefined();
  });
});
