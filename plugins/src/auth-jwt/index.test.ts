import { generateKeyPairSync } from 'node:crypto';
import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import type { Algorithm } from '../tokens/keys.js';
import {
  AUDIENCE,
  ISSUER,
  JWKS_URL,
  jwkOf,
  type KeyPair,
  NOW_S,
  pemOf,
  rsaKeys,
  signed,
} from '../tokens/scripted-issuer.js';
import authJwt from './index.js';

const SECRET = 'a shared secret of sixty-four bytes, which is enough for HS512 too';
const RSA = rsaKeys();
const curve = (namedCurve: string): KeyPair => generateKeyPairSync('ec', { namedCurve });
const BASE = { issuer: ISSUER, audience: AUDIENCE };

function gatewayWith(config: object) {
  return testPlugin(authJwt, { config: { ...BASE, ...config } });
}

function bearing(token: string) {
  return { tool: 'files:read', headers: { authorization: `Bearer ${token}` } };
}

describe('a good token', () => {
  const ed25519: KeyPair = generateKeyPairSync('ed25519');
  it.each<[Algorithm, KeyPair]>([
    ['RS256', RSA],
    ['RS384', RSA],
    ['RS512', RSA],
    ['PS256', RSA],
    ['PS384', RSA],
    ['PS512', RSA],
    ['ES256', curve('P-256')],
    ['ES384', curve('P-384')],
    ['ES512', curve('P-521')],
    ['EdDSA', ed25519],
    ['Ed25519', ed25519],
  ])('of %s is known by PEM and by JWK', async (algorithm, pair) => {
    const token = await signed(pair.privateKey, algorithm);
    for (const key of [{ pem: pemOf(pair) }, { jwk: jwkOf(pair) }]) {
      const { identity } = await gatewayWith({ keys: [key] }).call(bearing(token));
      expect(identity?.id).toBe(`auth-jwt:${ISSUER}|ada`);
    }
  });

  it.each<Algorithm>(['HS256', 'HS384', 'HS512'])('of %s is known by its secret', async (algorithm) => {
    const token = await signed(Buffer.from(SECRET), algorithm);
    const base64 = Buffer.from(SECRET).toString('base64');
    for (const key of [{ secret: SECRET }, { secret: base64, secret_encoding: 'base64' }])
      expect(
        (await gatewayWith({ keys: [{ ...key, algorithm }] }).call(bearing(token))).identity?.id,
      ).toMatch(/\|ada$/);
  });

  it('gives the identity what the configuration takes from its claims', async () => {
    const gateway = gatewayWith({
      keys: [{ secret: SECRET }],
      claims: { consumer: ['azp'], tenant: ['https://example.com/org.id'], scopes: ['scope', 'realm.roles'] },
    });
    const token = await signed(Buffer.from(SECRET), 'HS256', {
      azp: 'desktop',
      jti: 'token-1',
      'https://example.com/org': { id: '7' },
      scope: 'tools:read  tools:call',
      realm: { roles: ['admin of all', 'tools:read', 3] },
    });
    const { identity } = await gateway.call(bearing(token));
    expect(identity).toMatchObject({
      consumer: 'desktop',
      tenant: '7',
      scopes: ['tools:read', 'tools:call', 'admin of all'],
      credential: 'token-1',
      claims: { azp: 'desktop', realm: { roles: ['admin of all', 'tools:read', 3] } },
      expiresAtMs: (NOW_S + 600 + 30) * 1_000,
    });
  });

  it('is verified once, and then known without waiting until it expires', async () => {
    const gateway = gatewayWith({ keys: [{ secret: SECRET }], clock_skew: '0s' });
    const token = await signed(Buffer.from(SECRET), 'HS256');
    const { identity } = await gateway.call(bearing(token));
    const arrival = {
      transport: 'http' as const,
      endpoint: '/mcp',
      httpMethod: 'POST',
      headers: { authorization: `Bearer ${token}` },
      repeatedHeaders: [],
      address: '192.0.2.1',
      origin: 'https://gateway.example.com',
    };
    const again = gateway.route.admit(arrival);
    expect(again).not.toBeInstanceOf(Promise);
    expect(again).toHaveProperty('identity', identity);
    gateway.clock.advance(600_000);
    const { status, headers } = await gateway.call(bearing(token));
    expect([status, headers['www-authenticate']]).toEqual([
      401,
      'Bearer realm="sluice", error="invalid_token", error_description="the token has expired"',
    ]);
  });

  it('counts for its audience among others, for one of several issuers, and in a scheme of any case', async () => {
    const gateway = gatewayWith({
      issuer: ['https://other.example', ISSUER],
      audience: ['other', AUDIENCE],
      keys: [{ pem: pemOf(RSA) }],
    });
    const token = await signed(
      RSA.privateKey,
      'RS256',
      { aud: ['a', AUDIENCE] },
      { typ: 'application/AT+JWT' },
    );
    const { status } = await gateway.call({ headers: { AUTHORIZATION: `BEARER  ${token}` } });
    expect(status).toBe(200);
  });

  it('needs the claims that the configuration requires', async () => {
    const required_claims = [
      { claim: 'email_verified', values: [true] },
      { claim: 'groups', values: ['staff', 'admins'] },
    ];
    const gateway = gatewayWith({ keys: [{ secret: SECRET }], required_claims });
    const statusOf = async (claims: object) => {
      const { status } = await gateway.call(
        bearing(await signed(Buffer.from(SECRET), 'HS256', { ...claims })),
      );
      return status;
    };
    expect(await statusOf({ email_verified: true, groups: ['guests', 'admins'] })).toBe(200);
    expect(await statusOf({ email_verified: true, groups: 'staff' })).toBe(200);
    expect(await statusOf({ email_verified: true, groups: ['guests'] })).toBe(401);
    expect(await statusOf({ email_verified: 'true', groups: ['staff'] })).toBe(401);
    expect(await statusOf({ groups: ['staff'] })).toBe(401);
  });
});

describe('what is no token of this issuer', () => {
  it('is left to other plugins, and challenged where nobody knows it', async () => {
    const gateway = gatewayWith({ keys: [{ pem: pemOf(RSA) }] });
    const foreign = await signed(RSA.privateKey, 'RS256', { iss: 'https://elsewhere.example' });
    for (const token of [foreign, 'opaque', 'not.a.jwt', 'slk_12345678_key']) {
      const { status, outcome, headers } = await gateway.call(bearing(token));
      expect(status).toBe(401);
      expect(outcome.error?.message).toMatch(/wants to know who calls/);
      expect(headers['www-authenticate']).toMatch(
        /error="invalid_token", error_description="this is no token/,
      );
    }
  });

  it('gets a plain challenge where there is no credential', async () => {
    const { status, headers } = await gatewayWith({ keys: [{ secret: SECRET }] }).call({});
    expect([status, headers['www-authenticate']]).toEqual([401, 'Bearer realm="sluice"']);
  });

  it('can be known by another binding of this plugin', async () => {
    const other = { issuer: 'https://other.example', any_audience: true, keys: [{ secret: SECRET }] };
    const gateway = testPlugin(authJwt, {
      config: { ...BASE, keys: [{ pem: pemOf(RSA) }] },
      beside: [{ plugin: authJwt, config: other }],
      first: true,
    });
    const token = await signed(Buffer.from(SECRET), 'HS256', {
      iss: 'https://other.example',
      aud: 'anybody',
    });
    expect((await gateway.call(bearing(token))).identity?.id).toBe('auth-jwt:https://other.example|ada');
  });
});

describe('configuration', () => {
  const good = { ...BASE, keys: [{ secret: SECRET }] };
  const jwks = (jwks_uri: string, more: object = {}) => ({ ...BASE, jwks_uri, ...more });
  const small = rsaKeys(1_024);
  const secretPem = RSA.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

  it.each([
    [{}, 'issuer'],
    [{ ...good, issuer: 'a|b' }, 'issuer'],
    [{ ...good, issuer: [] }, 'issuer'],
    [{ issuer: ISSUER, keys: good.keys }, 'audience'],
    [{ ...good, any_audience: true }, 'any_audience'],
    [BASE, 'keys'],
    [{ ...good, keys: [{}] }, 'keys[0]'],
    [{ ...good, keys: [{ secret: SECRET, pem: pemOf(RSA) }] }, 'keys[0]'],
    [{ ...good, keys: [{ secret: 'short' }] }, 'keys[0].secret'],
    [{ ...good, keys: [{ secret: 'no base64!', secret_encoding: 'base64' }] }, 'keys[0].secret'],
    [{ ...good, keys: [{ secret: SECRET, secret_encoding: 'hex' }] }, 'keys[0].secret_encoding'],
    [{ ...good, keys: [{ pem: 'nothing' }] }, 'keys[0].pem'],
    [{ ...good, keys: [{ pem: secretPem }] }, 'keys[0].pem'],
    [{ ...good, keys: [{ pem: pemOf(small) }] }, 'keys[0].pem'],
    [{ ...good, keys: [{ pem: pemOf(curve('secp256k1')) }] }, 'keys[0].pem'],
    [{ ...good, keys: [{ jwk: { kty: 'oct', k: 'AAAA' } }] }, 'keys[0].jwk'],
    [{ ...good, keys: [{ jwk: RSA.privateKey.export({ format: 'jwk' }) }] }, 'keys[0].jwk'],
    [{ ...good, keys: [{ jwk: jwkOf(RSA, { use: 'enc' }) }] }, 'keys[0].jwk'],
    [{ ...good, keys: [{ jwk: jwkOf(RSA, { alg: 'ES256' }) }] }, 'keys[0].jwk'],
    [{ ...good, algorithms: ['RS256'] }, 'keys[0]'],
    [{ ...good, algorithms: ['none'] }, 'algorithms[0]'],
    [{ ...good, clock_skew: '1h' }, 'clock_skew'],
    [{ ...good, clock_skew: 60 }, 'clock_skew'],
    [{ ...good, required_claims: ['sub'] }, 'required_claims[0]'],
    [{ ...good, claims: { user: ['sub'] } }, 'claims.user'],
    [{ ...good, keys: [{ secret: SECRET, algorithm: 'RS256' }] }, 'keys[0].secret'],
    [{ ...good, keys: [{ secret: 'k'.repeat(63), algorithm: 'HS512' }] }, 'keys[0].secret'],
    [{ ...good, keys: [{ pem: pemOf(RSA), algorithm: 'HS256' }] }, 'keys[0].pem'],
    [{ ...good, secret: SECRET }, 'secret'],
    [jwks('http://issuer.example.com/jwks'), 'jwks_uri'],
    [jwks('file:///etc/passwd'), 'jwks_uri'],
    [jwks('https://ada:pw@issuer.example.com/jwks'), 'jwks_uri'],
    [jwks('issuer.example.com/jwks'), 'jwks_uri'],
    [jwks(JWKS_URL, { keys: good.keys }), 'jwks_uri'],
  ])('%# is refused at %s', (config, path) => {
    const problems = configProblems(authJwt, config);
    expect(problems.map((problem) => problem.path)).toContain(path);
    expect(JSON.stringify(problems)).not.toContain(SECRET);
  });

  it('takes keys of the configuration, or a place where they are published', () => {
    expect(configProblems(authJwt, good)).toEqual([]);
    expect(configProblems(authJwt, jwks('http://127.0.0.1:8000/jwks'))).toEqual([]);
    expect(configProblems(authJwt, jwks('http://issuer.local/jwks', { allow_http: true }))).toEqual([]);
  });
});
