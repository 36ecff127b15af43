import { afterEach, describe, expect, it } from 'vitest';
import { closeClients, connect, KINDS, LEGACY_KINDS } from '../stories/official-client.js';
import {
  beginSession,
  events,
  type JsonRpc,
  lastMessage,
  postModern,
  type RawSession,
} from '../stories/raw-http.js';
import { type HttpServer, plain, startFixtureOn, startPlain } from '../stories/upstreams.js';
import { type Cluster, startCluster } from './cluster.js';

/* "I run two nodes behind a balancer that sends each request wherever it likes, and one of them dies." */

const UPSTREAM_LOST = -31004;
const INVALID_PARAMS = -32602;
const SESSION_NOT_FOUND = -31008;
const WATCHED = 'test://watched-resource';
const onElicit = () => ({ action: 'accept', content: { name: 'Ada' } });
const ELICITATION = {
  method: 'elicitation/create',
  params: {
    message: 'Your name?',
    requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
  },
};

let cluster: Cluster;
let server: HttpServer;

afterEach(async () => {
  await closeClients();
  await cluster?.stop();
  await server?.kill();
});

async function begin(settings: object = {}): Promise<void> {
  server = await startPlain(['--name', 'remote']);
  cluster = await startCluster({
    upstreams: [
      { name: 'remote', url: server.url, ...settings },
      plain('local', [], { sharing: 'per_session' }),
    ],
  });
}

/** The node that was killed has the session: it is the first, at which it began. */
const atFirst = (path: string, options?: { capabilities?: object }): Promise<RawSession> =>
  beginSession((cluster.nodes[0]?.url as string) + path, options);

/** The same session, asked at another address. */
function at(session: RawSession, url: string) {
  const { pathname } = new URL(session.url);
  let count = 1_000;
  const post = (body: object) =>
    fetch(url + pathname, { method: 'POST', headers: session.headers, body: JSON.stringify(body) });
  return {
    post,
    ask: async (method: string, params: object) =>
      lastMessage(await post({ jsonrpc: '2.0', id: ++count, method, params })),
    listen: (lastEventId?: string) =>
      fetch(url + pathname, {
        headers: {
          ...session.headers,
          accept: 'text/event-stream',
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
      }),
  };
}

const firstText = ({ result }: JsonRpc): string => result?.content[0].text;

describe('with both nodes alive', () => {
  it.each(KINDS)('%s works, wherever its requests land', async (kind) => {
    await begin();
    const client = await connect(kind, `${cluster.url}/mcp`, { onElicit });
    expect(await client.toolNames()).toEqual(expect.arrayContaining(['remote__echo', 'local__echo']));
    for (let i = 0; i < 4; i++) {
      for (const upstream of ['remote', 'local'])
        expect(await client.say(`${upstream}__echo`, { text: `${i}` })).toBe(`${i}`);
      expect(await client.say('remote__ask', ELICITATION)).toContain('Ada');
    }
    const steps: number[] = [];
    const waiting = client.call(
      'remote__wait',
      { key: 'k', stepMs: 20 },
      { onProgress: ({ progress }) => steps.push(progress) },
    );
    await expect.poll(() => steps.length, { timeout: 10_000 }).toBeGreaterThan(2);
    await client.say('remote__release', { key: 'k' });
    expect((await waiting).content[0]?.text).toBe('k was released');
  });

  it('a session is one session at both', async () => {
    await begin();
    const session = await atFirst('/mcp/remote');
    const second = at(session, cluster.nodes[1]?.url as string);
    const count = { name: 'count', arguments: {} };
    expect(firstText(await session.ask('tools/call', count))).toBe('1');
    expect(firstText(await second.ask('tools/call', count))).toBe('2');
    expect(firstText(await session.ask('tools/call', count))).toBe('3');
    expect((await session.end()).status).toBe(200);
    expect((await second.post({ jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(404);
  });

  it('a stream that broke at one is resumed at the other, without loss or repetition', async () => {
    await begin();
    const session = await atFirst('/mcp/remote');
    const second = at(session, cluster.nodes[1]?.url as string);
    const call = { name: 'wait', arguments: { key: 'k', stepMs: 20 }, _meta: { progressToken: 't' } };
    const stop = new AbortController();
    const broken = await session.post(
      { jsonrpc: '2.0', id: 7, method: 'tools/call', params: call },
      { signal: stop.signal },
    );
    const seen: number[] = [];
    let lastEventId: string | undefined;
    for await (const { id, message } of events(broken)) {
      lastEventId = id;
      if (message !== undefined) seen.push(message.params.progress);
      if (seen.length === 3) break;
    }
    stop.abort();
    const resumed = await second.listen(lastEventId);
    let answer: JsonRpc | undefined;
    for await (const { message } of events(resumed)) {
      if (message?.method === undefined) answer = message;
      else seen.push(message.params.progress);
      if (seen.length === 6) await second.ask('tools/call', { name: 'release', arguments: { key: 'k' } });
    }
    expect(firstText(answer as JsonRpc)).toBe('k was released');
    expect(seen).toEqual(seen.map((_, i) => i + 1));
  });
});

describe('when the node dies that has a session', () => {
  it('the session goes on at the other, with what its HTTP server holds', async () => {
    await begin();
    const session = await atFirst('/mcp/remote');
    const count = { name: 'count', arguments: {} };
    expect(firstText(await session.ask('tools/call', count))).toBe('1');
    await cluster.nodes[0]?.kill();
    const second = at(session, cluster.nodes[1]?.url as string);
    const answers = await Promise.all([1, 2, 3].map(() => second.ask('tools/call', count)));
    // The server's own session goes on: it counted before, and it counts each call once.
    expect(answers.map(firstText).sort()).toEqual(['2', '3', '4']);
  });

  it.each(LEGACY_KINDS)('%s goes on', async (kind) => {
    await begin();
    const client = await connect(kind, `${cluster.url}/mcp`, { onElicit });
    for (const upstream of ['remote', 'local'])
      expect(await client.say(`${upstream}__echo`, { text: 'before' })).toBe('before');
    await cluster.nodes[0]?.kill();
    for (const upstream of ['remote', 'local'])
      expect(await client.say(`${upstream}__echo`, { text: 'after' })).toBe('after');
    expect(await client.say('remote__ask', ELICITATION)).toContain('Ada');
  });

  it('what a subprocess held is made anew, and the client is told to look again', async () => {
    await begin();
    const session = await atFirst('/mcp/local');
    const listening = await session.listen();
    const count = { name: 'count', arguments: {} };
    await session.ask('tools/call', count);
    let lastEventId: string | undefined;
    for await (const { id } of events(listening)) {
      lastEventId = id;
      break;
    }
    await cluster.nodes[0]?.kill();
    const second = at(session, cluster.nodes[1]?.url as string);
    expect(firstText(await second.ask('tools/call', count))).toBe('1');
    const resumed = await second.listen(lastEventId);
    expect(resumed.status).toBe(200);
    for await (const { message } of events(resumed)) {
      if (message === undefined) continue;
      expect(message.method).toBe('notifications/tools/list_changed');
      break;
    }
  });

  it.each([
    ['modern', '/mcp/fixture', ''],
    ['modern', '/mcp', 'fixture__'],
    ['legacy', '/mcp/fixture', ''],
    ['legacy', '/mcp', 'fixture__'],
  ] as const)(
    'the client still hears of what it watched, at a %s server on %s',
    async (era, path, prefix) => {
      server = await startFixtureOn(0, era);
      cluster = await startCluster({ upstreams: [{ name: 'fixture', url: server.url }] });
      const session = await atFirst(path);
      const uri = prefix === '' ? WATCHED : `fixture+${WATCHED}`;
      expect((await session.ask('resources/subscribe', { uri })).error).toBeUndefined();
      await cluster.nodes[0]?.kill();
      const second = at(session, cluster.nodes[1]?.url as string);
      const listening = await second.listen();
      // Subscribing anew takes the time that it takes, and updates before are the server's own business.
      const timer = setInterval(
        () => void second.ask('tools/call', { name: `${prefix}test_trigger_resource_update`, arguments: {} }),
        200,
      );
      for await (const { message } of events(listening)) {
        if (message?.method !== 'notifications/resources/updated') continue;
        expect(message.params.uri).toBe(uri);
        break;
      }
      clearInterval(timer);
    },
  );

  it('the session ends where the configuration says so', async () => {
    server = await startPlain(['--name', 'remote']);
    cluster = await startCluster({
      upstreams: [{ ...plain('local', [], { sharing: 'per_session' }), on_session_loss: 'end' }],
    });
    const session = await atFirst('/mcp/local');
    await cluster.nodes[0]?.kill();
    const second = at(session, cluster.nodes[1]?.url as string);
    const refused = await second.post({ jsonrpc: '2.0', id: 1, method: 'ping' });
    expect([refused.status, (await lastMessage(refused)).error?.code]).toEqual([404, SESSION_NOT_FOUND]);
  });

  it('a call under way there is told as lost, and not run again', async () => {
    await begin();
    const session = await atFirst('/mcp/remote');
    const second = at(session, cluster.nodes[1]?.url as string);
    const calling = second.ask('tools/call', { name: 'wait', arguments: { key: 'k', stepMs: 60_000 } });
    const other = await beginSession(`${cluster.nodes[1]?.url}/mcp/remote`);
    const waits = async () =>
      JSON.parse(firstText(await other.ask('tools/call', { name: 'waits', arguments: {} })));
    await expect.poll(waits, { timeout: 10_000 }).toMatchObject({ waiting: ['k'] });
    await cluster.nodes[0]?.kill();
    expect((await calling).error?.code).toBe(UPSTREAM_LOST);
    expect((await waits()).waiting.length + (await waits()).interrupted.length).toBe(1);
  });

  it('the answer of a stream that broke with it is told as lost', async () => {
    await begin();
    const session = await atFirst('/mcp/remote');
    const call = { name: 'wait', arguments: { key: 'k', stepMs: 20 }, _meta: { progressToken: 't' } };
    const broken = await session.post({ jsonrpc: '2.0', id: 'my call', method: 'tools/call', params: call });
    let lastEventId: string | undefined;
    for await (const { id, message } of events(broken)) {
      lastEventId = id;
      if (message !== undefined) break;
    }
    await cluster.nodes[0]?.kill();
    const answer = await lastMessage(await at(session, cluster.nodes[1]?.url as string).listen(lastEventId));
    expect([answer.id, answer.error?.code]).toEqual(['my call', UPSTREAM_LOST]);
  });
});

describe('a parked call', () => {
  const send = async (url: string, extra: object) => {
    const params = { name: 'ask', arguments: ELICITATION, ...extra };
    return lastMessage(await postModern(`${url}/mcp/remote`, 'tools/call', params, { elicitation: {} }));
  };
  const retryOf = ({ result }: JsonRpc) => ({
    requestState: result.requestState,
    inputResponses: Object.fromEntries(
      Object.keys(result.inputRequests).map((key) => [key, { action: 'accept', content: { name: 'Ada' } }]),
    ),
  });

  it('is answered at another node than the one that has it', async () => {
    await begin();
    const asked = await send(cluster.nodes[0]?.url as string, {});
    expect(asked.result.resultType).toBe('input_required');
    const done = await send(cluster.nodes[1]?.url as string, retryOf(asked));
    expect(firstText(done)).toContain('Ada');
  });

  it('of a node that died fails, and nothing is run twice', async () => {
    await begin();
    const asked = await send(cluster.nodes[0]?.url as string, {});
    await cluster.nodes[0]?.kill();
    const refused = await send(cluster.nodes[1]?.url as string, retryOf(asked));
    expect(refused.error).toMatchObject({ code: INVALID_PARAMS, message: expect.stringContaining('gone') });
  });
});
