import {
  StreamableHTTPClientTransport as HttpV2,
  SSEClientTransport as SseV2,
} from '@modelcontextprotocol/client';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DESKTOP, startAuthorizationServer } from '../../../../plugins/test/authorization-server.mjs';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS, type Kind } from '../official-client.js';
import { freePort, startFixtureOn } from '../upstreams.js';
import { OAuthKeeper } from './oauth-keeper.js';
import { recordHeads } from './recorded-heads.js';

/* "My client finds out by itself where to log in, and nobody's token goes further than the gateway." */

type AuthorizationServer = Awaited<ReturnType<typeof startAuthorizationServer>>;

const REVISION = '2026-07-28';
const META = {
  'io.modelcontextprotocol/protocolVersion': REVISION,
  'io.modelcontextprotocol/clientInfo': { name: 'story', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': {},
};
/** A tool that needs more than what clients ask for at first. */
const GUARDED = 'test_simple_text';

function transportOf(kind: Kind, url: string, authProvider: OAuthKeeper) {
  return kind === 'SDK v1'
    ? new HttpV1(new URL(url), { authProvider })
    : new HttpV2(new URL(url), { authProvider });
}

describe('a gateway that is an OAuth 2.1 resource server', () => {
  const fixtures: Awaited<ReturnType<typeof startFixtureOn>>[] = [];
  const upstreams: Awaited<ReturnType<typeof recordHeads>>[] = [];
  let issuer: AuthorizationServer;
  let gateway: RunningGateway;

  beforeAll(async () => {
    issuer = await startAuthorizationServer({ scope: 'tools:read tools:call' });
    for (const era of ['both', 'legacy'] as const) {
      const fixture = await startFixtureOn(0, era);
      fixtures.push(fixture);
      upstreams.push(await recordHeads(fixture.url));
    }
    const [fixture, old] = upstreams;
    const port = await freePort();
    gateway = await startGateway({
      args: ['--port', String(port)],
      config: {
        upstreams: [
          { name: 'fixture', url: fixture?.url },
          { name: 'old', url: old?.url },
        ],
        plugins: [
          // Used twice: what each says of itself is about its own endpoints.
          ...['/mcp', '/mcp/fixture', '/mcp/old'].map((endpoint, index) => ({
            plugin: 'auth-oauth',
            name: `login-${index}`,
            endpoints: [endpoint],
            config: {
              resource: `http://127.0.0.1:${port}`,
              resource_name: `Tools at ${endpoint}`,
              required_scopes: ['tools:read'],
              authorization_servers: [{ issuer: issuer.issuer }],
            },
          })),
          {
            plugin: 'authorize',
            config: { permissions: { '*:*': [], [`fixture:${GUARDED}`]: ['tools:call'] } },
          },
        ],
      },
    });
  });

  afterAll(async () => {
    await closeClients();
    await gateway?.stop();
    await Promise.all(upstreams.map((each) => each.stop()));
    await Promise.all(fixtures.map((each) => each.kill()));
    await issuer?.stop();
  });

  /** What a person does with a client: it opens a browser, and later it is connected. */
  async function logIn(kind: Kind, url: string, keeper: OAuthKeeper) {
    const transport = transportOf(kind, url, keeper);
    await expect(connect(kind, url, { transport })).rejects.toThrow(/Unauthorized/);
    const came = await issuer.agree(keeper.sentTo as URL, 'ada');
    await (transport as HttpV2).finishAuth(kind === 'SDK v1' ? (came.get('code') as string) : (came as any));
    return connect(kind, url, { transport: transportOf(kind, url, keeper) });
  }

  describe.each(['/mcp', '/mcp/fixture'])('at %s', (path) => {
    it.each(KINDS)('%s finds out where to log in, and is let in afterwards', async (kind) => {
      const keeper = new OAuthKeeper();
      const client = await logIn(kind, gateway.url + path, keeper);
      expect((await client.toolNames()).length).toBeGreaterThan(3);
      expect(keeper.sentTo?.origin).toBe(issuer.issuer);
      expect(Object.fromEntries(keeper.sentTo?.searchParams ?? [])).toMatchObject({
        resource: gateway.url + path,
        scope: expect.stringContaining('tools:read'),
        code_challenge_method: 'S256',
      });
    });
  });

  it('a client of HTTP+SSE finds out too', async () => {
    const url = `${gateway.url}/sse/fixture`;
    const authProvider = new OAuthKeeper();
    const transport = () => new SseV2(new URL(url), { authProvider });
    const first = transport();
    await expect(connect('SDK v2 legacy', url, { transport: first })).rejects.toThrow(/Unauthorized/);
    expect(authProvider.sentTo?.searchParams.get('resource')).toBe(gateway.url);
    await first.finishAuth(await issuer.agree(authProvider.sentTo as URL, 'ada'));
    const client = await connect('SDK v2 legacy', url, { transport: transport() });
    expect((await client.toolNames()).length).toBeGreaterThan(3);
  });

  it('goes back for more when a tool needs more scopes', async () => {
    const url = `${gateway.url}/mcp/fixture`;
    const keeper = new OAuthKeeper(DESKTOP);
    const before = await logIn('SDK v2 2026-07-28', url, keeper);
    expect(await before.toolNames()).not.toContain(GUARDED);
    const transport = transportOf('SDK v2 2026-07-28', url, keeper) as HttpV2;
    const client = await connect('SDK v2 2026-07-28', url, { transport });
    await expect(client.call(GUARDED)).rejects.toThrow();
    expect(keeper.sentTo?.searchParams.get('scope')).toBe('tools:read tools:call');
    await transport.finishAuth(await issuer.agree(keeper.sentTo as URL, 'ada'));
    expect(await client.toolNames()).toContain(GUARDED);
    expect((await client.call(GUARDED)).isError).toBeFalsy();
  });

  it.each(KINDS)('passes no token of %s on to an upstream of either era', async (kind) => {
    for (const path of ['/mcp', '/mcp/fixture', '/mcp/old']) {
      const keeper = new OAuthKeeper();
      const client = await logIn(kind, gateway.url + path, keeper);
      const [name = ''] = (await client.toolNames()).filter((each) => each.endsWith('test_image_content'));
      for (const { heads } of upstreams) heads.length = 0;
      await client.call(name);
      const sent = JSON.stringify(upstreams.map(({ heads }) => heads));
      expect(sent).toContain('"content-type":"application/json"');
      expect(sent).not.toMatch(/authorization|cookie/i);
      expect(sent).not.toContain(keeper.tokens().access_token);
      expect(gateway.logs()).not.toContain(keeper.tokens().access_token);
    }
  });

  const post = (path: string, token: string, method = 'tools/list', params: object = {}) =>
    fetch(gateway.url + path, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': REVISION,
        'mcp-method': method,
        ...('name' in params && { 'mcp-name': String(params.name) }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: META } }),
    });

  it('takes a token for one endpoint there and nowhere else', async () => {
    const token = await issuer.tokenFor(`${gateway.url}/mcp/fixture`);
    const refused = await post('/mcp', token);
    expect(refused.status).toBe(401);
    expect(refused.headers.get('www-authenticate')).toBe(
      `Bearer resource_metadata="${gateway.url}/.well-known/oauth-protected-resource/mcp", scope="tools:read", ` +
        'error="invalid_token", error_description="the token is for another audience"',
    );
    expect((await post('/mcp/fixture', token)).status).toBe(200);
  });

  it('says where more scopes are to be had', async () => {
    const token = await issuer.tokenFor(`${gateway.url}/mcp/fixture`, 'tools:read');
    const refused = await post('/mcp/fixture', token, 'tools/call', { name: GUARDED, arguments: {} });
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      403,
      `Bearer resource_metadata="${gateway.url}/.well-known/oauth-protected-resource/mcp/fixture", ` +
        'error="insufficient_scope", scope="tools:call"',
    ]);
  });

  it('says what it is at each well-known place', async () => {
    const read = async (path: string) => {
      const answer = await fetch(`${gateway.url}/.well-known/oauth-protected-resource${path}`);
      return [answer.status, answer.ok ? await answer.json() : undefined];
    };
    const metadata = {
      authorization_servers: [issuer.issuer],
      bearer_methods_supported: ['header'],
      scopes_supported: ['tools:read'],
    };
    expect(await read('')).toEqual([200, expect.objectContaining({ ...metadata, resource: gateway.url })]);
    for (const path of ['/mcp', '/mcp/fixture']) {
      const resource = { resource: gateway.url + path, resource_name: `Tools at ${path}` };
      expect(await read(path)).toEqual([200, { ...metadata, ...resource }]);
    }
    expect((await read('/mcp/nobody'))[0]).toBe(404);
  });
});
