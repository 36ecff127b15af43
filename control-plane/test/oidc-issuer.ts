/** An OpenID Connect issuer for tests: its discovery document, its keys, and the tokens that it signs. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

export interface OidcIssuer {
  readonly url: string;
  /** What it answers with instead of its documents; undefined: its documents. */
  failing: number | undefined;
  /** How often its discovery document and its keys were asked for. */
  readonly asked: { discovery: number; keys: number };
  /** Signed with the newest key. */
  token(claims: JWTPayload, header?: { alg?: string; kid?: string; expires?: string }): Promise<string>;
  /** From now on it signs with another key; the ones before stay known. */
  rotate(): Promise<void>;
  close(): Promise<void>;
}

export async function startOidcIssuer(): Promise<OidcIssuer> {
  const keys = [await makeKey('first')];
  const asked = { discovery: 0, keys: 0 };
  const server = createServer((request, response) => {
    const isDiscovery = request.url === '/realms/main/.well-known/openid-configuration';
    asked[isDiscovery ? 'discovery' : 'keys'] += 1;
    response.writeHead(issuer.failing ?? 200, { 'content-type': 'application/json' });
    const document = isDiscovery
      ? { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }
      : { keys: keys.map(({ jwk }) => jwk) };
    response.end(issuer.failing === undefined ? JSON.stringify(document) : 'no');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer: OidcIssuer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/realms/main`,
    failing: undefined,
    asked,
    async token(claims, { alg = 'ES256', kid, expires = '5m' } = {}) {
      const key = keys.at(-1) as (typeof keys)[number];
      return new SignJWT({ iss: issuer.url, aud: 'sluice', sub: 'alice', ...claims })
        .setProtectedHeader({ alg, kid: kid ?? key.kid })
        .setIssuedAt()
        .setExpirationTime(expires)
        .sign(key.privateKey);
    },
    async rotate() {
      keys.push(await makeKey(`key-${keys.length}`));
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return issuer;
}

async function makeKey(kid: string) {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } };
}
