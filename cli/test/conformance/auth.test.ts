import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, type OfficialClient } from '../stories/official-client.js';
import { OAuthKeeper } from '../stories/plugins/oauth-keeper.js';
import { freePort, startFixtureOn } from '../stories/upstreams.js';
import { complaints, runClientScenario } from './run.mjs';

/*
 * The scenarios that the suite has for clients that log in, with a gateway in the place of the suite's server: the
 * suite plays the authorization server and looks at what reaches it, the official client talks to a gateway that says
 * of itself what the suite's server would have said.
 *
 * Left out are those in which a client is lied to (by an issuer, or by a resource about itself): a gateway tells the
 * truth, and whether the client believes a liar has nothing to do with it.
 */
const SCENARIOS = [
  'metadata-default',
  'metadata-var1',
  'metadata-var2',
  'metadata-var3',
  'basic-cimd',
  'scope-from-www-authenticate',
  'scope-from-scopes-supported',
  'scope-omitted-when-undefined',
  'scope-step-up',
  'scope-retry-limit',
  'token-endpoint-auth-basic',
  'token-endpoint-auth-post',
  'token-endpoint-auth-none',
  'pre-registration',
  'iss-supported',
  'iss-not-advertised',
];
const REVISION = '2026-07-28';
const TOOL = 'test_simple_text';
/** What a tool needs beyond what opens the door. */
const TOOL_SCOPES: Readonly<Record<string, readonly string[]>> = { 'scope-step-up': ['mcp:write'] };
/** Whatever a client asks for, it is not given more. */
const NEVER_ENOUGH = 'scope-retry-limit';
/** The suite compares with what its own server says; a client of a gateway has to send what the gateway says. */
const RESOURCE_CHECK = 'resource-parameter-matches-prm';
/** The suite knows this client by it (basic-cimd). */
const CLIENT_METADATA_URL = 'https://conformance-test.local/client-metadata.json';

/** What the suite's server says of itself to somebody without a token. */
interface Described {
  issuer: string;
  required: string[];
  supported: string[];
}

/** A client whose user agrees at once, as the suite's authorization server does. */
class AgreeingKeeper extends OAuthKeeper {
  readonly clientMetadataUrl = CLIENT_METADATA_URL;
  came: URLSearchParams | undefined;

  override async redirectToAuthorization(url: URL) {
    const { headers } = await fetch(url, { redirect: 'manual' });
    this.came = new URL(headers.get('location') ?? '').searchParams;
  }
}

describe('with a gateway in the place of the server', () => {
  let fixture: Awaited<ReturnType<typeof startFixtureOn>>;
  const open: { stop(): unknown }[] = [];

  beforeAll(async () => {
    fixture = await startFixtureOn(0, 'both');
  });
  afterEach(async () => {
    await closeClients();
    for (const each of open.splice(0)) await each.stop();
  });
  afterAll(() => fixture?.kill());

  it.each(SCENARIOS)('auth/%s', async (scenario) => {
    const keeper = new AgreeingKeeper();
    let endpoint = '';
    const asked = await listen(async (request, answer) => {
      const { url, context } = JSON.parse(await textOf(request));
      if (context.client_id !== undefined)
        keeper.saveClientInformation({ client_id: context.client_id, client_secret: context.client_secret });
      const gateway = await startResourceServer(scenario, await describedBy(url), keeper);
      endpoint = `${gateway.url}/mcp/fixture`;
      const said = await use(endpoint, scenario, keeper).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      answer.end();
      if (scenario === NEVER_ENOUGH) expect(String(said)).toMatch(/scope|Unauthorized|403/i);
      else if (said !== undefined) throw said;
    });
    const handOver = fileURLToPath(new URL('./hand-over.mjs', import.meta.url));
    const command = `${process.execPath} ${handOver} ${asked.url}`;
    const result = await runClientScenario(`auth/${scenario}`, { command, revision: REVISION });
    await asked.done;
    const sent = result.checks.find(({ id }) => id === RESOURCE_CHECK);
    if (sent !== undefined)
      expect(sent.details).toMatchObject({ authorizationResource: endpoint, tokenResource: endpoint });
    const checks = result.checks.filter((each) => each !== sent);
    expect(complaints([{ ...result, checks }])).toEqual([]);
  });

  /** A gateway that says what the suite's server says. Its authorization server knows the token that the client got. */
  async function startResourceServer(
    scenario: string,
    { issuer, required, supported }: Described,
    keeper: AgreeingKeeper,
  ): Promise<RunningGateway> {
    const port = await freePort();
    const resource = `http://127.0.0.1:${port}`;
    const introspection = await listen(async (request, answer) => {
      const token = new URLSearchParams(await textOf(request)).get('token');
      const { access_token, scope = '' } = keeper.tokens() ?? {};
      const granted = scenario === NEVER_ENOUGH ? '' : scope;
      const claims = { sub: 'ada', aud: `${resource}/mcp/fixture`, scope: granted };
      answer.end(JSON.stringify(token === access_token ? { active: true, ...claims } : { active: false }));
    });
    const gateway = await startGateway({
      args: ['--port', String(port)],
      config: {
        upstreams: [{ name: 'fixture', url: fixture.url }],
        plugins: [
          {
            plugin: 'auth-oauth',
            config: {
              resource,
              required_scopes: required,
              scopes_supported: supported,
              authorization_servers: [
                {
                  issuer,
                  introspection: {
                    client_id: 'gateway',
                    client_secret: 'of the gateway',
                    endpoint: introspection.url,
                    cache_ttl: '0s',
                  },
                },
              ],
            },
          },
          {
            plugin: 'authorize',
            config: { permissions: { '*:*': [], [`fixture:${TOOL}`]: TOOL_SCOPES[scenario] ?? [] } },
          },
        ],
      },
    });
    open.push(gateway);
    return gateway;
  }

  async function listen(
    serve: (request: IncomingMessage, answer: ServerResponse) => Promise<void>,
  ): Promise<{ url: string; done: Promise<void> }> {
    let finish: (value: void | Promise<void>) => void = () => {};
    const done = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const server = createServer((request, answer) => {
      const served = serve(request, answer);
      served.catch(() => answer.writeHead(500).end());
      finish(served);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push({
      stop() {
        server.closeAllConnections();
        server.close();
      },
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, done };
  }
});

/** What a client does: it lists and calls, and logs in whenever it has to. */
async function use(endpoint: string, scenario: string, keeper: AgreeingKeeper): Promise<void> {
  const transportOf = () => new StreamableHTTPClientTransport(new URL(endpoint), { authProvider: keeper });
  let transport = transportOf();
  const loggedIn = async <T>(work: () => Promise<T>): Promise<T> => {
    keeper.came = undefined;
    try {
      return await work();
    } catch (thrown) {
      const { came } = keeper as { came: URLSearchParams | undefined };
      if (came === undefined) throw thrown;
      await transport.finishAuth(came);
      return work();
    }
  };
  const client: OfficialClient = await loggedIn(() => {
    transport = transportOf();
    return connect('SDK v2 2026-07-28', endpoint, { transport });
  });
  const names = await loggedIn(() => client.toolNames());
  expect(names.includes(TOOL)).toBe(TOOL_SCOPES[scenario] === undefined);
  expect(await loggedIn(() => client.say(TOOL))).not.toBe('');
}

/** Asks the suite's server as a client would that has nothing. */
async function describedBy(url: string): Promise<Described> {
  const refused = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
  });
  const challenge = refused.headers.get('www-authenticate') ?? '';
  const { origin, pathname } = new URL(url);
  const places = [
    /resource_metadata="([^"]+)"/.exec(challenge)?.[1] ??
      `${origin}/.well-known/oauth-protected-resource${pathname}`,
    `${origin}/.well-known/oauth-protected-resource`,
  ];
  for (const place of places) {
    const answer = await fetch(place);
    if (!answer.ok) continue;
    const metadata = (await answer.json()) as {
      authorization_servers: string[];
      scopes_supported?: string[];
    };
    return {
      issuer: metadata.authorization_servers[0] as string,
      required: / scope="([^"]+)"/.exec(challenge)?.[1]?.split(' ') ?? [],
      supported: metadata.scopes_supported ?? [],
    };
  }
  throw new Error(`the suite's server at ${url} says nothing of itself`);
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
