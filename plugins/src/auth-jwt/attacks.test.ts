import { createHmac, sign } from 'node:crypto';
import { testPlugin } from '@sluice/sdk/testing';
import { CompactSign } from 'jose';
import { describe, expect, it } from 'vitest';
import {
  AUDIENCE,
  forged,
  ISSUER,
  JWKS_URL,
  jwkOf,
  NOW_S,
  pemOf,
  rsaKeys,
  ScriptedIssuer,
  signed,
} from '../tokens/scripted-issuer.js';
import authJwt from './index.js';

const RSA = rsaKeys();
const MALLORY = rsaKeys();
const SECRET = 'a shared secret that is long enough';

function gateway(config: object = {}, fetch?: ScriptedIssuer['fetch']) {
  const keys = [{ kid: 'one', pem: pemOf(RSA) }];
  return testPlugin(authJwt, { config: { issuer: ISSUER, audience: AUDIENCE, keys, ...config }, fetch });
}

/** Refused with 401 and this description, whatever else is said, and without a word of the token. */
async function expectRefusal(tested: ReturnType<typeof gateway>, token: string, description: RegExp) {
  const { status, headers, outcome, identity } = await tested.call({
    headers: { authorization: `Bearer ${token}` },
  });
  expect([status, identity]).toEqual([401, undefined]);
  expect(headers['www-authenticate']).toMatch(
    /^Bearer realm="sluice", error="invalid_token", error_description=/,
  );
  expect(headers['www-authenticate']).toMatch(description);
  const told = JSON.stringify([headers, outcome.error, tested.logged, [...tested.counted]]);
  for (const part of token.split('.').filter((each) => each.length > 8)) expect(told).not.toContain(part);
}

const hmac = (token: string, secret: string) =>
  token + createHmac('sha256', secret).update(token.slice(0, -1)).digest('base64url');

describe('algorithms', () => {
  it.each([
    'none',
    'None',
    'NONE',
    'nOnE',
    '',
    null,
    undefined,
    ['RS256'],
    { alg: 'RS256' },
    'RS1',
    '__proto__',
  ])('alg %j is none', async (alg) => {
    for (const signature of ['', 'AAAA'])
      await expectRefusal(
        gateway(),
        forged({ alg, kid: 'one' }, {}, signature),
        /an algorithm that does not count here/,
      );
  });

  it.each([
    ['as PEM', pemOf(RSA)],
    ['as PEM without its last line end', pemOf(RSA).trim()],
    ['as DER', RSA.publicKey.export({ type: 'spki', format: 'der' }).toString('latin1')],
    ['as JWK', JSON.stringify(jwkOf(RSA))],
    ['that is empty', ''],
  ])('a public key %s is no shared secret', async (_, secret) => {
    const token = hmac(forged({ alg: 'HS256', kid: 'one' }), secret);
    await expectRefusal(gateway(), token, /a key that is not known here/);
    // Nor where shared secrets are taken, too.
    const keys = [{ kid: 'one', pem: pemOf(RSA) }, { secret: SECRET }];
    await expectRefusal(gateway({ keys }), token, /signature of the token is wrong/);
  });

  it('a shared secret stands for no public key', async () => {
    const token = await signed(MALLORY.privateKey, 'RS256');
    await expectRefusal(gateway({ keys: [{ secret: SECRET }] }), token, /a key that is not known here/);
  });

  it('what the configuration does not take is not taken, though the key could', async () => {
    const token = await signed(RSA.privateKey, 'RS256', {}, { kid: 'one' });
    await expectRefusal(gateway({ algorithms: ['PS256'] }), token, /an algorithm that does not count here/);
  });

  it('the `alg` of a JWK binds it', async () => {
    const keys = [{ jwk: jwkOf(RSA, { alg: 'PS256', kid: 'one' }) }];
    const token = await signed(RSA.privateKey, 'RS256', {}, { kid: 'one' });
    await expectRefusal(gateway({ keys }), token, /a key that is not known here/);
  });
});

describe('keys', () => {
  it('that a token brings along or points to are not looked at', async () => {
    const issuer = new ScriptedIssuer('one');
    const tested = gateway({ keys: [], jwks_uri: JWKS_URL }, issuer.fetch);
    const jwk = jwkOf(MALLORY, { kid: 'one' });
    const header = {
      jwk,
      jku: 'https://mallory.example/jwks',
      x5u: 'https://mallory.example/cert',
      x5c: ['AAAA'],
    };
    const token = await signed(MALLORY.privateKey, 'RS256', {}, { ...header, kid: 'one' });
    await expectRefusal(tested, token, /a key that is not known here/);
    const nameless = await signed(MALLORY.privateKey, 'RS256', {}, header);
    await expectRefusal(gateway(), nameless, /signature of the token is wrong/);
    expect(new Set(issuer.asked)).toEqual(new Set([JWKS_URL]));
  });

  it.each([
    '../../dev/null',
    "x' UNION SELECT 'secret",
    '__proto__',
    'constructor',
    'one\u0000',
    '',
    ' one',
    'ONE',
  ])('the kid %j names none', async (kid) => {
    const token = await signed(MALLORY.privateKey, 'RS256', {}, { kid });
    await expectRefusal(gateway(), token, /a key that is not known here/);
  });

  it.each([[['one']], [{ kid: 'one' }], [1], [null], ['k'.repeat(600)]])(
    'the kid %# is none',
    async (kid) => {
      await expectRefusal(
        gateway(),
        forged({ alg: 'RS256', kid }, {}, 'AAAA'),
        /a key that is not known here/,
      );
    },
  );

  it('of somebody else do not sign for this issuer', async () => {
    const token = await signed(MALLORY.privateKey, 'RS256', {}, { kid: 'one' });
    await expectRefusal(gateway(), token, /signature of the token is wrong/);
  });
});

describe('claims', () => {
  const token = (claims: object) => signed(RSA.privateKey, 'RS256', { ...claims }, { kid: 'one' });

  it.each([
    ['expired', { exp: NOW_S - 31 }, /has expired/],
    ['expired long ago', { exp: 0 }, /has expired/],
    ['not to be used yet', { nbf: NOW_S + 31 }, /does not count yet/],
    ['issued in the future', { iat: NOW_S + 31 }, /issued in the future/],
    ['for another audience', { aud: 'https://elsewhere.example' }, /for another audience/],
    ['for a prefix of the audience', { aud: 'https://gateway.example.com' }, /for another audience/],
    ['for no audience', { aud: [] }, /for another audience/],
    ['without an audience', { aud: undefined }, /no claim aud/],
    ['without an expiry', { exp: undefined }, /no claim exp/],
    ['with an expiry that is a text', { exp: '9999999999' }, /claim exp/],
    ['without a subject', { sub: undefined }, /claim sub/],
    ['with an empty subject', { sub: '' }, /claim sub/],
    ['with a subject that is a list', { sub: ['ada'] }, /claim sub/],
    ['with a subject that forges log lines', { sub: 'ada\nlevel=info' }, /claim sub/],
    ['bound to a proof of possession', { cnf: { jkt: 'digest' } }, /proof of possession/],
    ['with a subject without end', { sub: 'a'.repeat(300) }, /claim sub/],
  ])('%s', async (_, claims, description) => {
    await expectRefusal(gateway(), await token(claims), description);
  });

  it.each([
    ['just expired', { exp: NOW_S - 29 }],
    ['nearly to be used', { nbf: NOW_S + 29 }],
    ['just issued', { iat: NOW_S + 29 }],
  ])('%s, within the skew of clocks, counts', async (_, claims) => {
    const authorization = `Bearer ${await token(claims)}`;
    expect((await gateway().call({ headers: { authorization } })).status).toBe(200);
  });

  it('do not reach what every object inherits', async () => {
    const tested = gateway({
      claims: { tenant: ['__proto__.name', 'constructor'], scopes: ['constructor.name', 'toString'] },
    });
    const { identity } = await tested.call({ headers: { authorization: `Bearer ${await token({})}` } });
    expect(identity).toMatchObject({ tenant: undefined, scopes: [] });
  });

  it('cannot be changed by a plugin for the next request', async () => {
    const tested = gateway();
    const call = { headers: { authorization: `Bearer ${await token({ groups: ['guests'] })}` } };
    const { identity } = await tested.call(call);
    const groups = identity?.claims.groups as string[];
    expect(() => groups.push('admins')).toThrow(TypeError);
  });

  it('that are no object are refused', async () => {
    const body = Buffer.from('{"iss":"https://issuer.example.com"');
    const broken = await new CompactSign(body).setProtectedHeader({ alg: 'RS256' }).sign(RSA.privateKey);
    const { status } = await gateway().call({ headers: { authorization: `Bearer ${broken}` } });
    expect(status).toBe(401);
  });
});

describe('the form of a token', () => {
  it.each([['exp'], ['invented'], [], 'exp', null])('may not demand extensions: crit %j', async (crit) => {
    const token = forged({ alg: 'RS256', kid: 'one', crit, invented: 1, exp: 1 }, {}, 'AAAA');
    await expectRefusal(gateway(), token, /no signed JSON Web Token/);
  });

  it('may not leave its claims unencoded, though its signature says so', async () => {
    const header = { alg: 'RS256', kid: 'one', crit: ['b64'], b64: false };
    const [head] = forged(header).split('.') as [string];
    const [, body] = forged(header).split('.') as [string, string];
    const signature = sign('sha256', Buffer.from(`${head}.${body}`), RSA.privateKey).toString('base64url');
    const raw = sign('sha256', Buffer.from(`${head}.${Buffer.from(body, 'base64url')}`), RSA.privateKey);
    await expectRefusal(gateway(), `${head}.${body}.${signature}`, /signature|no signed/);
    await expectRefusal(gateway(), `${head}.${body}.${raw.toString('base64url')}`, /signature|no signed/);
  });

  it.each(['logout+jwt', 'secevent+jwt', 'dpop+jwt'])('typ %s is no access token', async (typ) => {
    const token = await signed(RSA.privateKey, 'RS256', {}, { kid: 'one', typ });
    await expectRefusal(gateway(), token, /for other uses than access/);
  });

  it('may not be longer than allowed, and is not looked at then', async () => {
    const token = await signed(RSA.privateKey, 'RS256', { filler: 'x'.repeat(13_000) }, { kid: 'one' });
    await expectRefusal(gateway(), token, /longer than 16384 characters/);
  });

  it('may not be altered after it was verified', async () => {
    const tested = gateway();
    const token = await signed(RSA.privateKey, 'RS256', {}, { kid: 'one' });
    expect((await tested.call({ headers: { authorization: `Bearer ${token}` } })).status).toBe(200);
    const [head, , signature] = token.split('.');
    const [, body] = forged({}, { sub: 'root' }).split('.');
    await expectRefusal(tested, `${head}.${body}.${signature}`, /signature of the token is wrong/);
  });

  it.each(['Bearer', 'BEARER'])('may not come twice (%s)', async (scheme) => {
    const token = await signed(RSA.privateKey, 'RS256', {}, { kid: 'one' });
    const { status, headers } = await gateway().call({
      headers: { authorization: `${scheme} ${token}, Bearer ${token}` },
      repeatedHeaders: ['authorization'],
    });
    expect(status).toBe(401);
    expect(headers['www-authenticate']).toMatch(/error="invalid_request".*more than once/);
  });

  it('may not be two tokens in one field', async () => {
    const token = await signed(RSA.privateKey, 'RS256', {}, { kid: 'one' });
    for (const value of [
      `Bearer ${token}, Bearer ${token}`,
      `Bearer ${token} ${token}`,
      `Basic x, Bearer ${token}`,
    ])
      expect((await gateway().call({ headers: { authorization: value } })).status).toBe(401);
  });

  it('is refused, and fails nothing, whatever it is', async () => {
    const tested = gateway();
    const odd: unknown[] = [0, -1, 1e308, true, [], {}, 'x', '\u0000', { toString: 1 }, [[[]]]];
    for (const value of odd) {
      for (const name of ['iss', 'aud', 'exp', 'nbf', 'iat', 'sub', 'jti'])
        expect(
          (await tested.call(asBearer(forged({ alg: 'RS256' }, { [name]: value }, 'AAAA')))).status,
        ).toBe(401);
      for (const name of ['alg', 'typ', 'kid', 'crit', 'b64', 'zip', 'cty'])
        expect(
          (await tested.call(asBearer(forged({ alg: 'RS256', [name]: value }, {}, 'AAAA')))).status,
        ).toBe(401);
    }
    expect(tested.logged.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

function asBearer(token: string) {
  return { headers: { authorization: `Bearer ${token}` } };
}
