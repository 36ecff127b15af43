import { definePlugin, type FetchAnswer, Refusal, Type } from '@sluice/sdk';
import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import authOauth from './index.js';
import { metadataUrls } from './metadata.js';

const ISSUER = 'https://issuer.example.com';
const RESOURCE = 'https://gateway.example.com';
const NOW = 1_700_000_000;
const CLAIMS = {
  iss: ISSUER,
  sub: 'ada',
  aud: `${RESOURCE}/mcp`,
  exp: NOW + 60,
  iat: NOW,
  scope: 'tools:read',
};

let key: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
let jwks: object;
beforeAll(async () => {
  const pair = await generateKeyPair('ES256');
  key = pair.privateKey;
  jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k' }] };
});

const signed = (claims: JWTPayload, header: object = {}) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k', ...header }).sign(key);
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const json = (body: unknown, status = 200): FetchAnswer => ({
  status,
  headers: {},
  text: JSON.stringify(body),
});

/** What an issuer answers, by URL. */
const wellKnown = (issuer = ISSUER) => ({
  [`${issuer}/.well-known/oauth-authorization-server`]: json({ issuer, jwks_uri: `${issuer}/keys` }),
  [`${issuer}/keys`]: json(jwks),
});

function gatewayWith(config: object = {}, answers: Record<string, FetchAnswer> = wellKnown(), beside = {}) {
  const asked: string[] = [];
  const gateway = testPlugin(authOauth, {
    config: { resource: RESOURCE, authorization_servers: [{ issuer: ISSUER }], ...config },
    fetch: (url) => {
      asked.push(url);
      return answers[url] ?? json({}, 404);
    },
    ...beside,
  });
  const page = (path: string, more: object = {}) => {
    const request = {
      query: '',
      headers: {},
      origin: 'http://10.0.0.1:8080',
      endpoints: ['/mcp', '/mcp/files'],
    };
    return gateway.route.bindings[0]?.hooks.page?.({ ...request, path, ...more }) as
      | { body: string; headers: unknown }
      | undefined;
  };
  return Object.assign(gateway, { asked, page });
}

describe('auth-oauth', () => {
  it('knows a caller by the token of an issuer, and remembers it', async () => {
    const gateway = gatewayWith();
    const token = await signed({ ...CLAIMS, azp: 'desktop', tid: 'acme', jti: 't1' });
    for (let index = 0; index < 3; index += 1) {
      const { identity, status } = await gateway.call({ tool: 'files:read', ...bearer(token) });
      expect(status).toBe(200);
      expect(identity).toMatchObject({
        id: 'auth-oauth:https://issuer.example.com#ada',
        consumer: 'desktop',
        tenant: 'acme',
        scopes: ['tools:read'],
        credential: 't1',
        expiresAtMs: (NOW + 60) * 1_000 + 30_000,
      });
    }
    expect(gateway.asked).toEqual([`${ISSUER}/.well-known/oauth-authorization-server`, `${ISSUER}/keys`]);
    gateway.clock.advance(90_000);
    expect((await gateway.call(bearer(token))).outcome.error?.message).toBe('the token has expired');
  });

  it('finds what it needs before anybody calls, and says when it does not', async () => {
    const { asked } = gatewayWith();
    await expect
      .poll(() => asked)
      .toEqual([`${ISSUER}/.well-known/oauth-authorization-server`, `${ISSUER}/keys`]);
    const { logged } = gatewayWith({}, {});
    await expect
      .poll(() => logged.map(({ message }) => message))
      .toContain('the metadata of https://issuer.example.com could not be fetched; there is none');
  });

  it('says where to get a token to a caller who has none', async () => {
    const { status, headers } = await gatewayWith({ required_scopes: ['tools:read', 'tools:call'] }).call({
      endpoint: '/mcp/files',
    });
    expect(status).toBe(401);
    expect(headers['www-authenticate']).toBe(
      'Bearer resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp/files", scope="tools:read tools:call"',
    );
  });

  it.each<[string, () => string | Promise<string>, RegExp]>([
    ['alg none', () => new UnsecuredJWT(CLAIMS).encode(), /algorithm/],
    [
      'a foreign audience',
      () => signed({ ...CLAIMS, aud: 'https://other.example.com/mcp' }),
      /another audience/,
    ],
    [
      'the audience of another endpoint',
      () => signed({ ...CLAIMS, aud: `${RESOURCE}/mcp/files` }),
      /audience/,
    ],
    [
      'an audience that begins as ours',
      () => signed({ ...CLAIMS, aud: `${RESOURCE}.evil.example/mcp` }),
      /audience/,
    ],
    ['no audience', () => signed({ iss: ISSUER, sub: 'ada', exp: NOW + 60 }), /no claim aud/],
    ['no end', () => signed({ iss: ISSUER, sub: 'ada', aud: RESOURCE }), /no claim exp/],
    ['an expired token', () => signed({ ...CLAIMS, exp: NOW - 31 }), /expired/],
    ['an ID token', () => signed({ ...CLAIMS, at_hash: 'x' }), /other uses/],
    ['a refresh token', () => signed({ ...CLAIMS, typ: 'Refresh' }), /other uses/],
    ['a token that is bound to a key', () => signed({ ...CLAIMS, cnf: { jkt: 'x' } }), /proof of possession/],
    ['a token of nobody', () => signed({ ...CLAIMS, sub: '' }), /names nobody/],
    ['a name that forges lines of a log', () => signed({ ...CLAIMS, sub: 'ada\nroot' }), /no name/],
    ['an unknown key', () => signed(CLAIMS, { kid: 'other' }), /key that is not known/],
    ['another issuer', () => signed({ ...CLAIMS, iss: `${ISSUER}/` }), /wants to know who calls/],
    ['something else', () => 'slk_01234567_secret', /wants to know who calls/],
  ])('refuses %s', async (_, token, message) => {
    const sent = await token();
    const { status, outcome, headers } = await gatewayWith().call(bearer(sent));
    expect(status).toBe(401);
    expect(outcome.error?.message).toMatch(message);
    expect(headers['www-authenticate']).toMatch(/^Bearer resource_metadata="[^"]+", error="invalid_token"/);
    expect(JSON.stringify([outcome.error, headers])).not.toContain(sent);
  });

  it('refuses a token that was sent twice', async () => {
    const request = { ...bearer(await signed(CLAIMS)), repeatedHeaders: ['authorization'] };
    expect((await gatewayWith().call(request)).status).toBe(401);
  });

  it.each([
    RESOURCE,
    `${RESOURCE}/`,
    `${RESOURCE}/mcp/`,
    'HTTPS://Gateway.Example.com/mcp',
    'api://default',
    ['https://other.example.com', `${RESOURCE}/mcp`],
  ])('takes the audience %s', async (aud) => {
    const gateway = gatewayWith({ audiences: ['api://default'] });
    expect((await gateway.call(bearer(await signed({ ...CLAIMS, aud })))).status).toBe(200);
  });

  it('looks at the audience for each endpoint, also of a token that it remembers', async () => {
    const gateway = gatewayWith();
    const request = bearer(await signed(CLAIMS));
    expect((await gateway.call({ ...request, endpoint: '/mcp' })).status).toBe(200);
    expect((await gateway.call({ ...request, endpoint: '/mcp/files' })).status).toBe(401);
  });

  it('takes no audience from what a caller calls the gateway by', async () => {
    // The harness calls it https://gateway.example.com.
    const gateway = gatewayWith({ resource: undefined, audiences: ['sluice'] });
    expect((await gateway.call(bearer(await signed(CLAIMS)))).status).toBe(401);
    expect((await gateway.call(bearer(await signed({ ...CLAIMS, aud: 'sluice' })))).status).toBe(200);
  });

  it('names all scopes that a token needs', async () => {
    const gateway = gatewayWith({ required_scopes: ['tools:read', 'tools:call'] });
    const { status, headers } = await gateway.call(bearer(await signed(CLAIMS)));
    expect(status).toBe(403);
    expect(headers['www-authenticate']).toBe(
      'Bearer resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp", scope="tools:read tools:call", error="insufficient_scope"',
    );
    const both = await signed({ ...CLAIMS, scope: 'tools:call other tools:read' });
    expect((await gateway.call(bearer(both))).status).toBe(200);
  });

  it('says where tokens come from when another plugin wants more scopes', async () => {
    const decider = definePlugin({
      name: 'decider',
      version: '1.0.0',
      description: 'Wants a scope.',
      phase: 'decision',
      config: Type.Object({}),
      reads: [],
      changes: [],
      hooks: () => ({
        decide: () =>
          new Refusal('forbidden', 'no', {
            headers: [['WWW-Authenticate', 'Bearer error="insufficient_scope", scope="files:write"']],
          }),
      }),
    });
    const gateway = gatewayWith({ required_scopes: ['tools:read'] }, undefined, {
      beside: [{ plugin: decider }],
    });
    const { status, headers } = await gateway.call(bearer(await signed(CLAIMS)));
    expect(status).toBe(403);
    expect(headers['www-authenticate']).toBe(
      'Bearer resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp", error="insufficient_scope", scope="files:write"',
    );
  });

  it('tells callers of several issuers apart', async () => {
    const other = 'https://other.example.com/tenant';
    const gateway = gatewayWith(
      { authorization_servers: [{ issuer: ISSUER }, { issuer: other, jwks_uri: `${other}/keys` }] },
      { ...wellKnown(), [`${other}/keys`]: json(jwks) },
    );
    const of = async (iss: string) =>
      (await gateway.call(bearer(await signed({ ...CLAIMS, iss })))).identity?.id;
    expect([await of(ISSUER), await of(other)]).toEqual([
      'auth-oauth:https://issuer.example.com#ada',
      'auth-oauth:https://other.example.com/tenant#ada',
    ]);
  });

  it('names a client that calls for itself, and no user of that name', async () => {
    const gateway = gatewayWith();
    const of = async (claims: object) =>
      (await gateway.call(bearer(await signed({ ...CLAIMS, sub: undefined, ...claims })))).identity?.id;
    expect(await of({ client_id: 'robot' })).toBe('auth-oauth:https://issuer.example.com?client=robot');
    expect(await of({ sub: '?client=robot' })).toBe('auth-oauth:https://issuer.example.com#?client=robot');
  });

  it('fails closed with 503 while an issuer cannot be reached', async () => {
    const gateway = gatewayWith({}, {});
    const { status, outcome, headers } = await gateway.call(bearer(await signed(CLAIMS)));
    expect(status).toBe(503);
    expect(outcome.error?.message).toBe(
      'the keys of https://issuer.example.com cannot be had at this moment',
    );
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(gateway.logged.map(({ message }) => message)).toContain(
      'the metadata of https://issuer.example.com could not be fetched; there is none',
    );
  });

  it('stops to take tokens whose key the issuer took back', async () => {
    const answers = wellKnown();
    const gateway = gatewayWith({}, answers);
    const request = bearer(await signed({ ...CLAIMS, exp: NOW + 86_400 }));
    expect((await gateway.call(request)).status).toBe(200);
    const pair = await generateKeyPair('ES256');
    answers[`${ISSUER}/keys`] = json({ keys: [await exportJWK(pair.publicKey)] });
    gateway.clock.advance(600_000);
    await expect.poll(async () => (await gateway.call(request)).status).toBe(401);
  });
});

describe('discovery', () => {
  it('looks where the specification says, in its order', () => {
    expect(metadataUrls('https://a.example.com/')).toEqual([
      'https://a.example.com/.well-known/oauth-authorization-server',
      'https://a.example.com/.well-known/openid-configuration',
    ]);
    expect(metadataUrls('https://a.example.com/tenant/v2.0')).toEqual([
      'https://a.example.com/.well-known/oauth-authorization-server/tenant/v2.0',
      'https://a.example.com/.well-known/openid-configuration/tenant/v2.0',
      'https://a.example.com/tenant/v2.0/.well-known/openid-configuration',
    ]);
  });

  const status = async (config: object, answers: Record<string, FetchAnswer>, iss = ISSUER) =>
    (await gatewayWith(config, answers).call(bearer(await signed({ ...CLAIMS, iss })))).status;

  it.each([
    ['/.well-known/oauth-authorization-server/realms/a', `${ISSUER}/realms/a`],
    ['/.well-known/openid-configuration/realms/a', `${ISSUER}/realms/a`],
    ['/realms/a/.well-known/openid-configuration', `${ISSUER}/realms/a`],
    ['/.well-known/openid-configuration', `${ISSUER}/`],
  ])('finds %s of %s', async (path, issuer) => {
    const answers = {
      [`${ISSUER}${path}`]: json({ issuer, jwks_uri: 'https://keys.example.com/' }),
      'https://keys.example.com/': json(jwks),
    };
    expect(await status({ authorization_servers: [{ issuer }] }, answers, issuer)).toBe(200);
  });

  it.each([
    ['of another issuer', { issuer: `${ISSUER}/`, jwks_uri: `${ISSUER}/keys` }],
    ['without keys', { issuer: ISSUER }],
    ['with keys on an open way', { issuer: ISSUER, jwks_uri: 'http://issuer.example.com/keys' }],
    ['with keys on this very machine', { issuer: ISSUER, jwks_uri: 'http://127.0.0.1/keys' }],
    ['with keys in a file', { issuer: ISSUER, jwks_uri: 'file:///etc/keys' }],
  ])('takes no metadata %s', async (_, metadata) => {
    const url = `${ISSUER}/.well-known/oauth-authorization-server`;
    const answers: Record<string, FetchAnswer> = { ...wellKnown(), [url]: json(metadata) };
    for (const url of ['http://issuer.example.com/keys', 'http://127.0.0.1/keys']) answers[url] = json(jwks);
    expect(await status({}, answers)).toBe(503);
  });

  it('goes on to the next place where it finds a page for people', async () => {
    const answers = {
      ...wellKnown(),
      [`${ISSUER}/.well-known/oauth-authorization-server`]: { status: 200, headers: {}, text: '<html>' },
      [`${ISSUER}/.well-known/openid-configuration`]: json({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys` }),
    };
    expect(await status({}, answers)).toBe(200);
  });

  it('takes metadata and keys from where the configuration says', async () => {
    const server = { issuer: ISSUER, metadata_url: 'http://keycloak:8080/metadata', allow_http: true };
    const answers = {
      'http://keycloak:8080/metadata': json({ issuer: ISSUER, jwks_uri: 'http://keycloak:8080/keys' }),
      'http://keycloak:8080/keys': json(jwks),
    };
    expect(await status({ authorization_servers: [server] }, answers)).toBe(200);
  });
});

describe('the metadata of the resource', () => {
  const SERVERS = ['https://issuer.example.com'];

  it('is there for the gateway and for each endpoint', () => {
    const { page } = gatewayWith({
      required_scopes: ['a'],
      scopes_supported: ['a', 'b'],
      resource_name: 'Tools',
    });
    for (const path of ['', '/mcp', '/mcp/files']) {
      expect(JSON.parse(page(`/.well-known/oauth-protected-resource${path}`)?.body ?? '')).toEqual({
        resource: `https://gateway.example.com${path}`,
        authorization_servers: SERVERS,
        bearer_methods_supported: ['header'],
        scopes_supported: ['a', 'b'],
        resource_name: 'Tools',
      });
    }
    expect(page('/.well-known/oauth-protected-resource/mcp/other')).toBeUndefined();
    expect(page('/.well-known/oauth-protected-resource/mcp/files/../..')).toBeUndefined();
  });

  it('knows a gateway that lives below a path of its host', async () => {
    const gateway = gatewayWith({ resource: 'https://example.com/gate/' });
    const path = '/.well-known/oauth-protected-resource/gate/mcp';
    expect((await gateway.call({})).headers['www-authenticate']).toContain(`"https://example.com${path}"`);
    for (const each of [path, '/.well-known/oauth-protected-resource/mcp'])
      expect(JSON.parse(gateway.page(each)?.body ?? '').resource).toBe('https://example.com/gate/mcp');
    const token = await signed({ ...CLAIMS, aud: 'https://example.com/gate/mcp' });
    expect((await gateway.call(bearer(token))).status).toBe(200);
  });

  it('says what the client called the gateway by where nothing was configured, and for nobody else', () => {
    const { page } = gatewayWith({ resource: undefined, audiences: ['sluice'] });
    const answer = page('/.well-known/oauth-protected-resource/mcp');
    expect(JSON.parse(answer?.body ?? '').resource).toBe('http://10.0.0.1:8080/mcp');
    expect(answer?.headers).toContainEqual(['Cache-Control', 'no-store']);
  });
});

describe('the configuration', () => {
  const SERVER = { issuer: ISSUER };
  const INTROSPECTION = { client_id: 'sluice', client_secret: 'very secret' };

  it.each<[object, string]>([
    [{ authorization_servers: [] }, 'authorization_servers'],
    [{ authorization_servers: undefined }, 'authorization_servers'],
    [{ resource: undefined }, 'resource'],
    [{ resource: 'gateway.example.com' }, 'resource'],
    [{ resource: 'http://gateway.example.com' }, 'resource'],
    [{ resource: 'https://gateway.example.com/#top' }, 'resource'],
    [{ resource: 'https://gateway.example.com/?a=b' }, 'resource'],
    [{ resource: 'https://ada:secret@gateway.example.com' }, 'resource'],
    [{ authorization_servers: [{ issuer: 'http://issuer.example.com' }] }, 'authorization_servers[0].issuer'],
    [{ authorization_servers: [{ issuer: 'ftp://127.0.0.1' }] }, 'authorization_servers[0].issuer'],
    [{ authorization_servers: [SERVER, SERVER] }, 'authorization_servers[1].issuer'],
    [
      { authorization_servers: [{ ...SERVER, algorithms: ['HS256'] }] },
      'authorization_servers[0].algorithms[0]',
    ],
    [
      { authorization_servers: [{ ...SERVER, algorithms: ['none'] }] },
      'authorization_servers[0].algorithms[0]',
    ],
    [{ authorization_servers: [{ ...SERVER, jwks_uri: '/keys' }] }, 'authorization_servers[0].jwks_uri'],
    [
      { authorization_servers: [{ ...SERVER, introspection: { client_id: 'sluice' } }] },
      'authorization_servers[0].introspection.client_secret',
    ],
    [
      { authorization_servers: [{ ...SERVER, introspection: { ...INTROSPECTION, cache_ttl: '1h' } }] },
      'authorization_servers[0].introspection.cache_ttl',
    ],
    [{ required_scopes: ['a b'] }, 'required_scopes[0]'],
    [{ required_scopes: ['a"'] }, 'required_scopes[0]'],
    [{ scopes_supported: ['a', 'offline_access'] }, 'scopes_supported[1]'],
    [{ clock_skew: '10m' }, 'clock_skew'],
    [{ clock_skew: 30 }, 'clock_skew'],
    [{ audience: ['sluice'] }, 'audience'],
  ])('%j is refused', (config, path) => {
    const problems = configProblems(authOauth, {
      resource: RESOURCE,
      authorization_servers: [SERVER],
      ...config,
    });
    expect(problems.map((problem) => problem.path)).toContain(path);
    expect(JSON.stringify(problems)).not.toContain('secret@');
  });

  it('takes http on this machine alone, without leave', () => {
    const config = {
      resource: 'http://127.0.0.1:8080',
      authorization_servers: [{ issuer: 'http://[::1]:9000' }],
    };
    expect(configProblems(authOauth, config)).toEqual([]);
  });
});
