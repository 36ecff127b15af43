import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectSocket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUDIENCE, forged, ISSUER, ScriptedIssuer } from '../../../../plugins/src/tokens/scripted-issuer.js';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { MODERN, modernParams } from '../raw-http.js';
import { type HttpServer, startFixtureOn } from '../upstreams.js';

/* "Our people have tokens of the company's issuer, and the gateway knows them by these, also while it is away." */

const NOW_S = Math.floor(Date.now() / 1_000);
const LIFE = { iat: NOW_S, exp: NOW_S + 600 };

describe.each([
  ['uws', 2],
  ['node', 1],
] as const)('behind the listener %s, with %d workers', (listener, workers) => {
  const issuer = new ScriptedIssuer('one');
  let published: Server;
  let fixture: HttpServer;
  let gateway: RunningGateway;
  const sent: string[] = [];

  async function token(claims: object = {}): Promise<string> {
    const made = await issuer.token('one', { ...LIFE, ...claims });
    sent.push(made);
    return made;
  }

  beforeAll(async () => {
    published = createServer((request, response) => {
      issuer.fetch(String(request.url), {}).then(({ text }) => response.end(text));
    }).listen(0, '127.0.0.1');
    await once(published, 'listening');
    fixture = await startFixtureOn(0, 'both');
    gateway = await startGateway({
      workers,
      config: {
        gateway: { listen: { listener } },
        upstreams: [{ name: 'fixture', url: fixture.url }],
        plugins: [
          {
            plugin: 'auth-jwt',
            config: {
              issuer: ISSUER,
              audience: AUDIENCE,
              jwks_uri: `http://127.0.0.1:${(published.address() as AddressInfo).port}/jwks`,
              required_claims: [{ claim: 'groups', values: ['staff'] }],
            },
          },
          {
            plugin: 'authorize',
            config: { permissions: { 'fixture:test_simple_text': ['tools:read'] } },
          },
        ],
      },
    });
  });

  afterAll(async () => {
    await closeClients();
    await gateway?.stop();
    published?.closeAllConnections();
    published?.close();
    await fixture?.kill();
  });

  const staff = { groups: ['staff'], scope: 'tools:read' };

  it.each(KINDS)('lets %s in with a token, for what its scopes allow', async (kind) => {
    const headers = { Authorization: `Bearer ${await token(staff)}` };
    const client = await connect(kind, `${gateway.url}/mcp/fixture`, { headers });
    expect(await client.toolNames()).toEqual(['test_simple_text']);
    expect(await client.say('test_simple_text')).toMatch(/simple text/);
  });

  it.each(KINDS)('lets %s not in without one', async (kind) => {
    await expect(connect(kind, `${gateway.url}/mcp`)).rejects.toThrow();
  });

  async function answerTo(authorization: string, name = 'authorization') {
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: modernParams() };
    const response = await fetch(`${gateway.url}/mcp`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': MODERN,
        'mcp-method': 'tools/list',
        [name]: authorization,
      },
      body: JSON.stringify(body),
    });
    const { error } = (await response.json()) as { error?: { code: number; message: string } };
    return { status: response.status, challenge: response.headers.get('www-authenticate'), error };
  }

  it('takes the scheme and the name of the field in any case', async () => {
    expect(await answerTo(`bEARER ${await token(staff)}`, 'AUTHORIZATION')).toMatchObject({ status: 200 });
  });

  it.each<[string, object, string]>([
    ['has expired', { ...staff, iat: NOW_S - 900, exp: NOW_S - 300 }, 'the token has expired'],
    ['is from the future', { ...staff, nbf: NOW_S + 300 }, 'the token does not count yet'],
    [
      'was made for somebody else',
      { ...staff, aud: 'https://other.example.com' },
      'the token is for another audience',
    ],
    [
      'lacks a claim',
      { groups: ['guests'] },
      'the claim groups of the token is missing, or is not what it has to be',
    ],
  ])('refuses a token that %s, and says so', async (_, claims, description) => {
    expect(await answerTo(`Bearer ${await token(claims)}`)).toEqual({
      status: 401,
      challenge: `Bearer realm="sluice", error="invalid_token", error_description="${description}"`,
      error: { code: -31009, message: description },
    });
  });

  it('refuses a token that nobody signed', async () => {
    const none = forged({ alg: 'none' }, { ...LIFE, ...staff });
    sent.push(none);
    expect(await answerTo(`Bearer ${none}`)).toMatchObject({ status: 401 });
  });

  it('refuses a token of somebody whom it does not know, as it refuses no token at all', async () => {
    const { status, challenge, error } = await answerTo(
      `Bearer ${await token({ iss: 'https://x.example' })}`,
    );
    expect([status, challenge]).toEqual([
      401,
      'Bearer realm="sluice", error="invalid_token", error_description="this is no token of an issuer that is known here"',
    ]);
    expect(error?.message).toMatch(/wants to know who calls/);
  });

  it('refuses two tokens, whichever would count', async () => {
    const good = await token(staff);
    const bad = forged({ alg: 'none' }, LIFE);
    for (const [first, second] of [
      [good, bad],
      [bad, good],
      [good, good],
    ]) {
      const { port, hostname } = new URL(gateway.url);
      const socket = connectSocket(Number(port), hostname);
      const fields = [`Authorization: Bearer ${first}`, `authorization: Bearer ${second}`];
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: modernParams() });
      const head = [
        'POST /mcp HTTP/1.1',
        `Host: ${hostname}:${port}`,
        'Connection: close',
        'Content-Type: application/json',
        'Accept: application/json, text/event-stream',
        `Mcp-Protocol-Version: ${MODERN}`,
        'Mcp-Method: tools/list',
        ...fields,
        `Content-Length: ${Buffer.byteLength(body)}`,
      ];
      socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
      let answer = '';
      for await (const chunk of socket) answer += chunk;
      expect(answer).toMatch(/^HTTP\/1\.1 401 /);
      expect(answer).toContain(
        'error="invalid_request", error_description="the credential was sent more than once"',
      );
    }
  });

  it('goes on with the keys that it has while the issuer is away', async () => {
    published.closeAllConnections();
    published.close();
    for (const sub of ['ben', 'eve', 'ben'])
      expect(await answerTo(`Bearer ${await token({ ...staff, sub })}`)).toMatchObject({ status: 200 });
  });

  it('never writes a token into its log', () => {
    expect(sent.length).toBeGreaterThan(10);
    for (const part of sent.flatMap((each) => each.split('.')).filter((each) => each.length > 16))
      expect(gateway.logs()).not.toContain(part);
  });
});
