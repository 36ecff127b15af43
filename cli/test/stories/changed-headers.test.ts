import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS, LEGACY_KINDS } from './official-client.js';
import { overWebSocket } from './over-websocket.js';
import { PLACE_NAMES, PLACES } from './places.js';

/* "The server wants another argument in another header since yesterday, and my old client knows nothing of that." */

/** Longer than the gateway waits between two rounds of lists. */
const SETTLED_MS = 500;

const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';

/**
 * A modern server that tells nobody when its tool changes; which argument goes into a header is `header`.
 *
 * @param isSelective whether it shows the tool only to those who can be asked something
 */
async function startForgetful(isSelective = false) {
  const state = { header: 'Region', calls: [] as string[] };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { id, method, params } = JSON.parse(body);
    const answer = (status: number, members: object) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id, ...members }));
    };
    const cached = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' };
    if (method === 'server/discover')
      answer(200, { result: { ...cached, supportedVersions: ['2026-07-28'], capabilities: { tools: {} } } });
    else if (method === 'tools/list') {
      const properties = { place: { type: 'string', 'x-mcp-header': state.header } };
      const go = { name: 'go', inputSchema: { type: 'object', properties } };
      const isShown = !isSelective || params._meta[CAPABILITIES].elicitation !== undefined;
      answer(200, { result: { ...cached, tools: isShown ? [go] : [] } });
    } else if (method !== 'tools/call') {
      answer(404, { error: { code: -32601, message: `Method not found: ${method}` } });
    } else if (request.headers[`mcp-param-${state.header.toLowerCase()}`] !== params.arguments.place) {
      answer(400, { error: { code: -32020, message: `Header mismatch: no Mcp-Param-${state.header}` } });
    } else {
      state.calls.push(state.header);
      answer(200, { result: { resultType: 'complete', content: [{ type: 'text', text: state.header }] } });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    state,
    url: `http://127.0.0.1:${port}/mcp`,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Whose messages have no header fields: those of older revisions, and those on a connection that carries only messages. */
const CLIENTS = {
  ...Object.fromEntries(LEGACY_KINDS.map((kind) => [kind, { kind, isOnSocket: false }])),
  ...Object.fromEntries(KINDS.map((kind) => [`${kind} over WebSocket`, { kind, isOnSocket: true }])),
};

/** Each case has a server of its own, and all have one gateway. */
const CASES = PLACE_NAMES.flatMap((place) =>
  [false, true].flatMap((isSelective) =>
    Object.entries(CLIENTS).map(([who, client]) => ({ place, isSelective, who, ...client })),
  ),
).map((each, index) => ({ ...each, upstream: `forgetful-${index}` }));

let servers: Map<string, Awaited<ReturnType<typeof startForgetful>>>;
let gateway: RunningGateway;

beforeAll(async () => {
  servers = new Map();
  for (const { upstream, isSelective } of CASES) servers.set(upstream, await startForgetful(isSelective));
  gateway = await startGateway({
    config: {
      gateway: { discovery: { interval: '1h' } },
      upstreams: [...servers].map(([name, { url }]) => ({ name, url })),
    },
  });
});
afterEach(() => closeClients());
afterAll(async () => {
  await gateway?.stop();
  for (const server of servers.values()) server.stop();
});

it.each(CASES)(
  '$who calls a tool whose headers have changed once, on $place, of a server that shows it only to those who can be asked: $isSelective',
  async ({ place, isSelective, kind, isOnSocket, upstream }) => {
    const { state } = servers.get(upstream) as Awaited<ReturnType<typeof startForgetful>>;
    const { path, name } = PLACES[place];
    const url = gateway.url + path(upstream);
    const client = await connect(kind, url, {
      ...(isSelective && { onElicit: () => ({ action: 'cancel' }) }),
      ...(isOnSocket && { transport: overWebSocket(url) }),
    });
    const go = () => client.say(name(upstream, 'go'), { place: 'eu-1' });
    expect(await go()).toBe('Region');
    state.header = 'Zone';
    await sleep(SETTLED_MS);
    expect(await go()).toBe('Zone');
    expect(state.calls).toEqual(['Region', 'Zone']);
  },
);
