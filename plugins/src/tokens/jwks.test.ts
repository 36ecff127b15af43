import { definePlugin, type FetchAnswer, type PluginHost, Type } from '@sluice/sdk';
import { type TestGateway, testPlugin } from '@sluice/sdk/testing';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { RemoteKeys } from './jwks.js';

const URL = 'https://issuer.example.com/keys';
let first: JWK;
let second: JWK;

beforeAll(async () => {
  const make = async (kid: string) => ({
    ...(await exportJWK((await generateKeyPair('ES256')).publicKey)),
    kid,
  });
  first = await make('first');
  second = await make('second');
});

/** An issuer, and what a plugin has of it. */
function issuer(answer: () => FetchAnswer | Promise<FetchAnswer>) {
  let host: PluginHost | undefined;
  let askedCount = 0;
  const plugin = definePlugin({
    name: 'holder',
    version: '1.0.0',
    description: 'Holds its host for the test.',
    phase: 'identity',
    config: Type.Object({}),
    reads: [],
    changes: [],
    hooks: (_, own) => {
      host = own;
      return {};
    },
  });
  const gateway: TestGateway = testPlugin(plugin, {
    fetch: () => {
      askedCount += 1;
      return answer();
    },
  });
  const keys = new RemoteKeys('https://issuer.example.com', host as unknown as PluginHost, () => URL);
  const kids = async (kid?: string) => (await keys.keysFor('ES256', kid)).map((key) => key.kid);
  return { keys, kids, clock: gateway.clock, logged: gateway.logged, asked: () => askedCount };
}

const set = (...keys: JWK[]): FetchAnswer => ({ status: 200, headers: {}, text: JSON.stringify({ keys }) });
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

describe('the keys of an issuer', () => {
  it('are fetched once for all that wait, and then kept', async () => {
    const { kids, asked } = issuer(async () => set(first));
    expect(await Promise.all([kids('first'), kids(), kids('first')])).toEqual([
      ['first'],
      ['first'],
      ['first'],
    ]);
    expect(await kids('first')).toEqual(['first']);
    expect(asked()).toBe(1);
  });

  it('are fetched again for a key that is not known, not more often than every ten seconds', async () => {
    let now = set(first);
    const { kids, asked, clock } = issuer(() => now);
    await kids('first');
    now = set(first, second);
    clock.advance(10_000);
    expect(await kids('second')).toEqual(['second']);
    expect(asked()).toBe(2);
    for (let index = 0; index < 50; index += 1) expect(await kids(`invented ${index}`)).toEqual([]);
    expect(asked()).toBe(2);
  });

  it('are renewed beside the calls, and a key that is gone is marked so', async () => {
    let now = set(first);
    const { keys, clock } = issuer(() => now);
    const [key] = await keys.keysFor('ES256', 'first');
    now = set(second);
    clock.advance(10 * MINUTE_MS);
    keys.keepFresh();
    await expect.poll(() => key?.isWithdrawn).toBe(true);
    expect(await keys.keysFor('ES256', 'first')).toEqual([]);
  });

  it('stay the last good ones while the issuer is away, for a day', async () => {
    let now: () => FetchAnswer = () => set(first);
    const { kids, clock, logged } = issuer(() => now());
    await kids();
    now = () => {
      throw new Error('connection refused');
    };
    for (const answer of [
      now,
      () => ({ ...set(), status: 500 }),
      () => set(),
      () => ({ ...set(), text: '<html>' }),
    ]) {
      now = answer;
      clock.advance(HOUR_MS);
      expect(await kids('first')).toEqual(['first']);
    }
    await expect
      .poll(() => logged.map(({ message }) => message))
      .toContain(
        'the keys of https://issuer.example.com could not be fetched; the last good one stays in use',
      );
    clock.advance(24 * HOUR_MS);
    await expect(kids('first')).rejects.toThrow('cannot be had at this moment');
  });

  it('are asked for less and less often while there are none', async () => {
    let now: () => FetchAnswer = () => ({ ...set(), status: 503 });
    const { kids, asked, clock } = issuer(() => now());
    for (let index = 0; index < 20; index += 1) await expect(kids()).rejects.toThrow('cannot be had');
    expect(asked()).toBe(1);
    for (let second = 0; second < 60; second += 1) {
      clock.advance(1_000);
      await kids().catch(() => undefined);
    }
    // After 1, 2, 4, 8, 16 and 32 seconds, but the last of these lies after the minute.
    expect(asked()).toBe(6);
    now = () => set(first);
    clock.advance(MINUTE_MS);
    expect(await kids()).toEqual(['first']);
  });

  it('are none that are secret, too short, for encryption or of another kind', async () => {
    const rsa = await generateKeyPair('RS256', { extractable: true });
    const odd: JWK[] = [
      { kty: 'oct', k: Buffer.alloc(64).toString('base64url'), kid: 'secret' },
      { ...first, use: 'enc', kid: 'encryption' },
      { ...first, key_ops: ['sign'], kid: 'signing' },
      { ...first, alg: 'ES384', kid: 'lies' },
      { ...(await exportJWK(rsa.publicKey)), kid: 'rsa' },
      { kty: 'AKP', kid: 'unheard of' },
      { kty: 'RSA', n: Buffer.alloc(64, 255).toString('base64url'), e: 'AQAB', kid: 'short' },
    ];
    const { keys, kids } = issuer(() => set(...odd, second));
    expect(await kids()).toEqual(['second']);
    expect((await keys.keysFor('RS256', undefined)).map(({ kid }) => kid)).toEqual(['rsa']);
    expect(await keys.keysFor('HS256', undefined)).toEqual([]);
  });
});
