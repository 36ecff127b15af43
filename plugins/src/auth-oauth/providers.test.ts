import type { FetchOptions } from '@sluice/sdk';
import { testPlugin } from '@sluice/sdk/testing';
import { OAuth2Server } from 'oauth2-mock-server';
import { afterEach, describe, expect, it } from 'vitest';
import { GATEWAY, ROBOT, startAuthorizationServer } from '../../test/authorization-server.mjs';
import authOauth from './index.js';

/* Tokens of authorization servers that others have written, over real connections. */

const RESOURCE = 'https://gateway.example.com';

const open: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.stop()));
});

function gatewayOf(server: object, more: object = {}) {
  return testPlugin(authOauth, {
    config: { resource: RESOURCE, authorization_servers: [server], ...more },
    nowMs: Date.now(),
    fetch: async (url, { timeoutMs: _, maxBytes: __, ...options }: FetchOptions) => {
      const answer = await fetch(url, { ...options, redirect: 'manual' });
      return {
        status: answer.status,
        headers: Object.fromEntries(answer.headers),
        text: await answer.text(),
      };
    },
  });
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe('oidc-provider', () => {
  async function start(options?: Parameters<typeof startAuthorizationServer>[0]) {
    const server = await startAuthorizationServer(options);
    open.push(server);
    return server;
  }

  it.each(['RS256', 'PS256', 'ES256'])('its tokens in %s are known', async (alg) => {
    const { issuer, tokenFor } = await start({ alg });
    const gateway = gatewayOf({ issuer });
    const { status, identity } = await gateway.call(bearer(await tokenFor(`${RESOURCE}/mcp`)));
    expect(status).toBe(200);
    expect(identity).toMatchObject({ consumer: ROBOT.client_id, scopes: ['tools:read', 'tools:call'] });
    const foreign = await gateway.call(bearer(await tokenFor('https://other.example.com/mcp')));
    expect([foreign.status, foreign.outcome.error?.message]).toEqual([
      401,
      'the token is for another audience',
    ]);
  });

  it('its opaque tokens are asked about, until they are revoked', async () => {
    const { issuer, tokenFor, revoke } = await start({ format: 'opaque' });
    const gateway = gatewayOf({ issuer, introspection: GATEWAY });
    const token = await tokenFor(`${RESOURCE}/mcp`);
    const { status, identity } = await gateway.call(bearer(token));
    expect(status).toBe(200);
    expect(identity).toMatchObject({ consumer: ROBOT.client_id, scopes: ['tools:read', 'tools:call'] });
    await revoke(token);
    expect((await gateway.call(bearer(token))).status).toBe(200);
    gateway.clock.advance(30_000);
    expect((await gateway.call(bearer(token))).status).toBe(401);
    expect((await gateway.call(bearer(await tokenFor('https://other.example.com')))).status).toBe(401);
  });

  it('its opaque tokens open nothing when it does not know the gateway', async () => {
    const { issuer, tokenFor } = await start({ format: 'opaque' });
    const gateway = gatewayOf({ issuer, introspection: { ...GATEWAY, client_secret: 'wrong' } });
    expect((await gateway.call(bearer(await tokenFor(RESOURCE)))).status).toBe(503);
  });
});

describe('oauth2-mock-server', () => {
  /** It has claims of all shapes: those that Okta, Keycloak, Entra and Auth0 make, as their manuals show them. */
  async function start() {
    const server = new OAuth2Server();
    await server.issuer.keys.generate('RS256', { kid: 'first' });
    await server.start(0, '127.0.0.1');
    open.push(server);
    const token = (claims: object, kid?: string) =>
      server.issuer.buildToken({
        kid,
        scopesOrTransform: (_, payload) => void Object.assign(payload, claims),
      });
    return { server, issuer: server.issuer.url as string, token };
  }

  it.each([
    [
      'Okta',
      {
        aud: 'api://default',
        cid: 'desktop',
        uid: '00u1',
        sub: 'ada@example.com',
        scp: ['tools:read', 'openid'],
      },
      { subject: ['uid'] },
      { caller: '00u1', consumer: 'desktop', scopes: ['tools:read', 'openid'] },
    ],
    [
      'Keycloak',
      {
        aud: ['https://gateway.example.com', 'account'],
        azp: 'desktop',
        sub: 'f:1:ada',
        scope: 'openid tools:read',
        realm_access: { roles: ['admin'] },
        resource_access: { 'my.gateway': { roles: ['tools:call'] } },
      },
      { scopes: ['scope', 'realm_access.roles', 'resource_access.my.gateway.roles'] },
      { caller: 'f:1:ada', consumer: 'desktop', scopes: ['openid', 'tools:read', 'admin', 'tools:call'] },
    ],
    [
      'Entra',
      {
        aud: '11111111-2222-3333-4444-555555555555',
        azp: 'client',
        oid: 'object',
        sub: 'pairwise',
        tid: 'tenant',
        scp: 'Tools.Read Tools.Call',
      },
      { subject: ['oid'], scope_prefix: 'https://gateway.example.com/mcp/' },
      {
        caller: 'object',
        consumer: 'client',
        tenant: 'tenant',
        scopes: ['https://gateway.example.com/mcp/Tools.Read', 'https://gateway.example.com/mcp/Tools.Call'],
      },
    ],
    [
      'Auth0',
      {
        aud: ['https://gateway.example.com/', 'https://acme.eu.auth0.com/userinfo'],
        azp: 'client',
        sub: 'auth0|ada',
        org_id: 'org_1',
        scope: 'openid tools:read',
        permissions: ['tools:call'],
        'https://example.com/roles': ['admin'],
      },
      { scopes: ['scope', 'permissions', 'https://example.com/roles'] },
      {
        caller: 'auth0|ada',
        consumer: 'client',
        tenant: 'org_1',
        scopes: ['openid', 'tools:read', 'tools:call', 'admin'],
      },
    ],
  ])('claims as %s makes them are mapped by the configuration', async (_, claims, mapping, expected) => {
    const { issuer, token } = await start();
    const audiences = ['api://default', '11111111-2222-3333-4444-555555555555'];
    const gateway = gatewayOf({ issuer, claims: mapping }, { audiences });
    const { identity, status } = await gateway.call(bearer(await token(claims)));
    expect(status).toBe(200);
    const { caller, ...rest } = expected;
    expect(identity).toMatchObject({ id: `auth-oauth:${issuer}#${caller}`, ...rest });
  });

  it('its keys may change while the gateway runs', async () => {
    const { server, issuer, token } = await start();
    const gateway = gatewayOf({ issuer });
    const claims = { aud: RESOURCE, sub: 'ada' };
    expect((await gateway.call(bearer(await token(claims, 'first')))).status).toBe(200);
    await server.issuer.keys.generate('ES256', { kid: 'second' });
    gateway.clock.advance(10_000);
    expect((await gateway.call(bearer(await token(claims, 'second')))).status).toBe(200);
  });

  it('its last keys count while it is away', async () => {
    const { server, issuer, token } = await start();
    const gateway = gatewayOf({ issuer });
    const [one, two] = await Promise.all(['ada', 'bob'].map((sub) => token({ aud: RESOURCE, sub })));
    expect((await gateway.call(bearer(one as string))).status).toBe(200);
    open.splice(0);
    await server.stop();
    gateway.clock.advance(1_200_000);
    expect((await gateway.call(bearer(two as string))).status).toBe(200);
  });
});
