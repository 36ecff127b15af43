import { generateKeyPairSync } from 'node:crypto';
import { type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { ALGORITHMS, type Algorithm, GivenKeys, publicKey, secretKey } from './keys.js';
import { claimedIssuer, InvalidToken, looksLikeJwt, verifyToken } from './verify.js';

const NOW_MS = 1_700_000_000_000;
const NOW = NOW_MS / 1_000;
const RULES = {
  algorithms: ALGORITHMS,
  issuers: ['https://issuer.example.com'],
  audiences: ['https://gateway.example.com/mcp', 'sluice'],
  clockSkewMs: 30_000,
  requiredClaims: ['exp'],
};
const CLAIMS = {
  iss: 'https://issuer.example.com',
  aud: 'sluice',
  sub: 'ada',
  iat: NOW - 10,
  exp: NOW + 60,
};
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const SECRET = Buffer.alloc(64, 's');

function pairOf(alg: Algorithm) {
  if (alg.startsWith('HS')) return { sign: SECRET, key: secretKey(SECRET, alg as 'HS256', 'k') };
  const pair = alg.startsWith('ES')
    ? generateKeyPairSync('ec', {
        namedCurve: { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg as 'ES256' | 'ES384' | 'ES512'],
      })
    : alg.startsWith('Ed')
      ? generateKeyPairSync('ed25519')
      : rsa;
  const pem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return { sign: pair.privateKey, key: publicKey(pem, 'k') };
}

const signed = (claims: JWTPayload, header: object = {}, alg: Algorithm = 'RS256') =>
  new SignJWT(claims).setProtectedHeader({ alg, kid: 'k', ...header }).sign(pairOf(alg).sign);
const keys = new GivenKeys([publicKey(PEM, 'k')]);
const verify = (token: string, rules: object = {}) =>
  verifyToken(token, keys, { ...RULES, ...rules }, NOW_MS);
const whyNot = async (token: string | Promise<string>, rules?: object) => {
  const answer = await verify(await token, rules);
  return answer instanceof InvalidToken ? answer.message : 'it counts';
};

describe('the verification of tokens', () => {
  it.each(ALGORITHMS)('knows %s', async (alg) => {
    const { sign, key } = pairOf(alg);
    const token = await new SignJWT(CLAIMS).setProtectedHeader({ alg, kid: 'k' }).sign(sign);
    const verified = await verifyToken(token, new GivenKeys([key]), RULES, NOW_MS);
    expect(verified).toEqual({ claims: CLAIMS, key });
    const other = await verifyToken(token, new GivenKeys([key]), { ...RULES, algorithms: [] }, NOW_MS);
    expect(other).toEqual(new InvalidToken('the token is signed with an algorithm that does not count here'));
  });

  it.each<[string, () => string | Promise<string>, RegExp]>([
    ['alg none', () => new UnsecuredJWT(CLAIMS).encode(), /algorithm/],
    ['an invented algorithm', () => forged({ alg: 'nOnE' }), /algorithm/],
    ['a public key for a secret', () => confused(), /not known/],
    [
      'a key in its own header',
      () => signed(CLAIMS, { kid: 'x', jwk: rsa.publicKey.export({ format: 'jwk' }) }),
      /not known/,
    ],
    ['a changed body', async () => tampered(await signed(CLAIMS)), /signature/],
    [
      'no signature',
      async () => `${(await signed(CLAIMS)).split('.').slice(0, 2).join('.')}.`,
      /signature|no signed/,
    ],
    [
      'an unknown critical extension',
      () => forged({ alg: 'RS256', kid: 'k', crit: ['invented'], invented: 1 }),
      /no signed/,
    ],
    ['an expired one', () => signed({ ...CLAIMS, exp: NOW - 31 }), /has expired/],
    ['one without an end', () => signed({ iss: CLAIMS.iss, aud: 'sluice' }), /no claim exp/],
    ['an end that is text', () => signed({ ...CLAIMS, exp: 'never' as unknown as number }), /form/],
    ['one of tomorrow', () => signed({ ...CLAIMS, nbf: NOW + 31 }), /not count yet/],
    ['one from the future', () => signed({ ...CLAIMS, iat: NOW + 31 }), /in the future/],
    ['one for others', () => signed({ ...CLAIMS, aud: ['https://other.example.com'] }), /audience/],
    ['one that begins as ours', () => signed({ ...CLAIMS, aud: 'sluice2' }), /audience/],
    ['one for nobody', () => signed({ iss: CLAIMS.iss, exp: CLAIMS.exp }), /no claim aud/],
    ['one of another issuer', () => signed({ ...CLAIMS, iss: 'https://issuer.example.com/' }), /issuer/],
    ['a logout token', () => signed(CLAIMS, { typ: 'logout+jwt' }), /other uses/],
    ['an encrypted one', () => 'a.b.c.d.e', /no signed/],
    ['text', () => 'secret', /no signed/],
    ['a long one', () => `${'a'.repeat(16_385)}.b.c`, /longer/],
  ])('refuses %s', async (_, token, why) => {
    expect(await whyNot(token())).toMatch(why);
  });

  it('allows clocks to differ a little', async () => {
    expect(await whyNot(signed({ ...CLAIMS, exp: NOW - 29, nbf: NOW - 40 }))).toBe('it counts');
    expect(await whyNot(signed({ ...CLAIMS, iat: NOW + 29, nbf: NOW + 29 }))).toBe('it counts');
  });

  it('takes one of several audiences, and the types of access tokens', async () => {
    const aud = ['https://api.example.com', 'https://gateway.example.com/mcp'];
    expect(await whyNot(signed({ ...CLAIMS, aud }, { typ: 'at+jwt' }))).toBe('it counts');
    expect(await whyNot(signed(CLAIMS, { typ: 'application/at+JWT' }))).toBe('it counts');
  });

  it('tries the keys that a token without a key id may mean', async () => {
    const other = publicKey(
      generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }),
    );
    const both = new GivenKeys([other, publicKey(PEM)]);
    const token = await signed(CLAIMS, { kid: undefined });
    expect(await verifyToken(token, both, RULES, NOW_MS)).toMatchObject({ claims: CLAIMS });
  });

  it('refuses secrets that are shorter than their hash, and keys that are none', () => {
    expect(() => secretKey(Buffer.alloc(63), 'HS512')).toThrow('at least 64 bytes');
    expect(() => publicKey('a secret')).toThrow(/^is no public key$/);
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    expect(() => publicKey(short.export({ format: 'jwk' }))).toThrow('is no key that can verify a token');
  });

  it('reads what an unverified token says of itself', async () => {
    const token = await signed(CLAIMS);
    expect(claimedIssuer(token)).toBe(CLAIMS.iss);
    expect(claimedIssuer('a.b.c')).toBeUndefined();
    expect([token, 'slk_1.2.3', 'opaque'].map(looksLikeJwt)).toEqual([true, false, false]);
  });
});

function forged(header: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(CLAIMS)}.${part({})}`;
}

/** HS256 under the public key, which everybody knows. */
function confused(): Promise<string> {
  return new SignJWT(CLAIMS).setProtectedHeader({ alg: 'HS256', kid: 'k' }).sign(Buffer.from(PEM));
}

function tampered(token: string): string {
  const [header, , signature] = token.split('.');
  const body = Buffer.from(JSON.stringify({ ...CLAIMS, sub: 'root' })).toString('base64url');
  return `${header}.${body}.${signature}`;
}
