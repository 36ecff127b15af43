import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type RunningGateway, startGateway } from '../gateway.js';
import { health, metric } from './gateway-metrics.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { overWebSocket, RawSocketClient, refusedWith, socketUrl } from './over-websocket.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { modernParams } from './raw-http.js';
import { everything, type HttpServer, plain, startFixtureOn, startPlain } from './upstreams.js';

/* "My client speaks WebSocket, and everything works as over HTTP." */

const PATIENCE = { timeout: 15_000 };

describe.each(['uws', 'node'])('on the %s listener', (listener) => {
  let servers: HttpServer[] = [];
  let gateway: RunningGateway;
  let everywhere: string;
  const raw: RawSocketClient[] = [];

  async function open(path = '/mcp', options = {}): Promise<RawSocketClient> {
    const client = await RawSocketClient.open(gateway.url + path, options);
    raw.push(client);
    return client;
  }

  const inFlight = () => metric(gateway.url, 'sluice_requests_in_flight');
  const sessions = async () => (await health(gateway.url)).sessions;

  beforeAll(async () => {
    servers = await Promise.all([startPlain(), startPlain(['--era', 'modern']), startFixtureOn(0, 'both')]);
    const [legacy, modern, fixture] = servers as [HttpServer, HttpServer, HttpServer];
    gateway = await startGateway({
      workers: 1,
      config: {
        gateway: { listen: { listener }, limits: { max_body_bytes: 100_000 } },
        upstreams: [
          plain('shared'),
          { name: 'legacy', url: legacy.url },
          { name: 'modern', url: modern.url },
          { name: 'fixture', url: fixture.url },
          everything({ sharing: 'per_session' }),
        ],
      },
    });
    everywhere = `${gateway.url}/mcp`;
  });
  afterEach(async () => {
    await closeClients();
    for (const client of raw.splice(0)) client.ws.terminate();
    await expect.poll(inFlight, PATIENCE).toBe(0);
    await expect.poll(sessions, PATIENCE).toBe(0);
  });
  afterAll(async () => {
    expect(await metric(gateway.url, 'sluice_faults_total')).toBe(0);
    await gateway.stop();
    await Promise.all(servers.map((server) => server.kill()));
  });

  describe.each(KINDS)('%s', (kind) => {
    const enter = (url: string, options = {}) =>
      connect(kind, url, { ...options, transport: overWebSocket(url) });

    describe.each(PLACE_NAMES)('on %s', (place) => {
      const { path, name, uri } = PLACES[place];
      const url = (upstream: string) => gateway.url + path(upstream);

      it.each(['shared', 'legacy', 'modern'])('lists, calls and reads at %s', async (upstream) => {
        const client = await enter(url(upstream));
        expect(await client.toolNames()).toContain(name(upstream, 'echo'));
        expect(await client.say(name(upstream, 'echo'), { text: 'Grüße ✓' })).toContain('Grüße ✓');
        const [first] = await client.resourceUris();
        if (first !== undefined) expect(await client.read(first)).toBeDefined();
        expect(uri(upstream, 'a:b')).toContain('a:b');
      });

      it('hears how far a call is', async () => {
        const client = await enter(url('everything'));
        const heard: number[] = [];
        const run = { duration: 0.4, steps: 4 };
        const onProgress = ({ progress }: { progress: number }) => heard.push(progress);
        await client.call(name('everything', 'trigger-long-running-operation'), run, { onProgress });
        expect(heard).toEqual([1, 2, 3, 4]);
      });

      it('is asked in the middle of a call', async () => {
        const asked: string[] = [];
        const client = await enter(url('fixture'), {
          onElicit: ({ message }: { message: string }) => {
            asked.push(message);
            return { action: 'accept', content: { username: 'ada', email: 'a@b.c' } };
          },
          onSample: () => ({ role: 'assistant', model: 'm', content: { type: 'text', text: 'sampled' } }),
        });
        const elicited = await client.call(name('fixture', 'test_elicitation'), { message: 'who?' });
        expect([asked, elicited.isError ?? false]).toEqual([['who?'], false]);
        expect(await client.say(name('fixture', 'test_sampling'), { prompt: 'hi' })).toContain('sampled');
      });

      it('gets a result of a megabyte', async () => {
        const client = await enter(url('legacy'));
        const said = await client.say(name('legacy', 'big'), { bytes: 1_000_000 });
        expect(Buffer.byteLength(said)).toBeGreaterThan(999_000);
      });
    });

    it('cancels, and the server hears of it', async () => {
      const client = await enter(`${gateway.url}/mcp/shared`);
      const abort = new AbortController();
      const call = client.call('wait', { key: `${listener} ${kind}` }, { signal: abort.signal });
      const failed = expect(call).rejects.toThrow();
      const waits = async () => (await client.say('waits')) as string;
      await expect.poll(waits, PATIENCE).toContain(`${listener} ${kind}`);
      abort.abort();
      await failed;
      await expect.poll(inFlight, PATIENCE).toBe(0);
      expect(await client.say('echo', { text: 'goes on' })).toContain('goes on');
    });

    it('hears of a new tool without asking', async () => {
      const client = await enter(`${gateway.url}/mcp/shared`);
      if (client.isModern) await client.v2?.listen({ toolsListChanged: true });
      const news = () => client.heard.map(({ method }) => method);
      const tool = `new_${listener}_${kind}`.replaceAll(/[ .-]/g, '_');
      await client.say('add_tool', { name: tool });
      await expect.poll(news, PATIENCE).toContain('notifications/tools/list_changed');
      await expect.poll(() => client.toolNames(), PATIENCE).toContain(tool);
    });
  });

  it('both eras share one connection, and a session is counted', async () => {
    const client = await open();
    expect((await client.ask('m1', 'server/discover', modernParams())).result).toMatchObject({
      supportedVersions: expect.arrayContaining(['2026-07-28']),
    });
    expect((await client.initialize()).result).toMatchObject({ protocolVersion: '2025-11-25' });
    expect(await sessions()).toBe(1);
    const [old, current] = await Promise.all([
      client.ask(1, 'tools/list'),
      client.ask(2, 'tools/list', modernParams()),
    ]);
    expect(old.result).not.toHaveProperty('resultType');
    expect(current.result).toMatchObject({ resultType: 'complete' });
  });

  it('everything about a request comes before its response', async () => {
    const client = await open('/mcp/everything');
    const run = { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 4 } };
    await client.initialize();
    await client.ask(1, 'tools/call', { ...run, _meta: { progressToken: 'p' } });
    const { _meta } = modernParams();
    await client.ask(2, 'tools/call', { ...run, _meta: { ...(_meta as object), progressToken: 'q' } });
    const order = client.heard.flatMap(({ id, params }: any) =>
      params?.progressToken === undefined ? [id] : [`${params.progressToken}${params.progress}`],
    );
    expect(order.filter((each) => each !== undefined)).toEqual(
      [0, ['p1', 'p2', 'p3', 'p4'], 1, ['q1', 'q2', 'q3', 'q4'], 2].flat(),
    );
  });

  it('a batch of 2025-03-26 is answered by a batch', async () => {
    const client = await open();
    await client.initialize('2025-03-26');
    const batch = [1, 2].map((id) => ({ jsonrpc: '2.0', id, method: 'ping' }));
    client.ws.send(JSON.stringify(batch));
    await expect
      .poll(() => client.heard.at(-1), PATIENCE)
      .toEqual([1, 2].map((id) => ({ jsonrpc: '2.0', id, result: {} })));
  });

  it('a client that is gone in the middle of a call has cancelled it', async () => {
    const [modern, legacy] = [await open('/mcp/shared'), await open('/mcp/shared')];
    const key = `gone ${listener}`;
    await legacy.initialize();
    modern.send({ id: 1, method: 'tools/call', params: modernParams({ name: 'wait', arguments: { key } }) });
    legacy.send({ id: 1, method: 'tools/call', params: { name: 'wait', arguments: { key } } });
    await expect.poll(inFlight, PATIENCE).toBe(2);
    modern.ws.terminate();
    legacy.ws.terminate();
    await expect.poll(inFlight, PATIENCE).toBe(0);
    await expect.poll(sessions, PATIENCE).toBe(0);
  });

  it('a client that does not read costs others nothing', async () => {
    const [slow, quick] = [await open('/mcp/legacy'), await open('/mcp/legacy')];
    const params = (bytes: number) => modernParams({ name: 'big', arguments: { bytes } });
    slow.ws.pause();
    for (let id = 0; id < 20; id++) slow.send({ id, method: 'tools/call', params: params(1_000_000) });
    expect((await quick.ask(1, 'tools/call', params(10))).result).toBeDefined();
    slow.ws.resume();
    await expect.poll(() => slow.closed !== undefined || slow.heard.length === 20, PATIENCE).toBe(true);
  });

  describe('bad input', () => {
    it('is told of, and the connection stays where that is possible', async () => {
      const client = await open();
      client.ws.send('{"jsonrpc":');
      await expect.poll(() => client.heard.at(-1)?.error?.code, PATIENCE).toBe(-32700);
      client.ws.send('[]');
      await expect.poll(() => client.heard.at(-1)?.error?.code, PATIENCE).toBe(-32600);
      expect((await client.ask(1, 'tools/list')).error?.message).toContain('begin with initialize');
      expect((await client.ask(2, 'tools/list', modernParams())).result).toBeDefined();
    });

    it('ends the connection where it does not belong to the protocol', async () => {
      const [binary, long, fine] = [await open(), await open(), await open()];
      binary.ws.send(Buffer.from('{}'));
      await expect.poll(() => binary.closed?.code, PATIENCE).toBe(1003);
      long.ws.send(`"${'x'.repeat(100_000)}"`);
      await expect.poll(() => long.closed?.code, PATIENCE).toBe(1009);
      expect((await fine.ask(1, 'tools/list', modernParams())).result).toBeDefined();
    });

    it('refuses upgrades that may not be', async () => {
      const headers = (fields: Record<string, string>) => ({ headers: fields });
      expect(await refusedWith(everywhere, headers({ Host: 'evil.example' }))).toBe(403);
      expect(await refusedWith(everywhere, headers({ Origin: 'https://evil.example' }))).toBe(403);
      expect(await refusedWith(`${gateway.url}/mcp/nobody`)).toBe(404);
      expect(await refusedWith(`${gateway.url}/metrics`)).toBe(404);
      expect(await refusedWith(everywhere, {}, 'graphql-ws')).toBe(400);
    });

    it('bears a flood of connections that say nothing, and one of garbage', async () => {
      const flood = Array.from({ length: 200 }, () => new WebSocket(socketUrl(everywhere), 'mcp'));
      for (const ws of flood) {
        ws.on('error', () => undefined);
        ws.on('open', () => ws.send('garbage'));
      }
      const client = await open();
      expect((await client.ask(1, 'tools/list', modernParams())).result).toBeDefined();
      for (const ws of flood) ws.terminate();
      await expect.poll(() => metric(gateway.url, 'sluice_connections_active'), PATIENCE).toBeLessThan(20);
    });
  });
});

describe('several workers', () => {
  it('know of each other where a question is answered on another connection', async () => {
    const server = await startPlain();
    const gateway = await startGateway({
      workers: 2,
      config: { upstreams: [{ name: 'up', url: server.url }] },
    });
    const question = {
      method: 'elicitation/create',
      params: { message: 'who?', requestedSchema: { type: 'object', properties: {} } },
    };
    const call = { name: 'ask', arguments: question };
    const capabilities = { elicitation: { form: {} } };
    // The system spreads connections by a hash of their ports: each is at either worker.
    for (let count = 0; count < 10; count++) {
      const [asked, answering] = await Promise.all([
        RawSocketClient.open(`${gateway.url}/mcp/up`),
        RawSocketClient.open(`${gateway.url}/mcp/up`),
      ]);
      const first: any = (await asked.ask(1, 'tools/call', modernParams(call, capabilities))).result;
      expect(first.resultType).toBe('input_required');
      const inputResponses = Object.fromEntries(
        Object.keys(first.inputRequests).map((key) => [key, { action: 'accept', content: { n: count } }]),
      );
      const again = { ...call, inputResponses, requestState: first.requestState };
      const { result }: any = await answering.ask(2, 'tools/call', modernParams(again, capabilities));
      expect([result.resultType, result.content[0].text]).toEqual([
        'complete',
        expect.stringContaining(`"n":${count}`),
      ]);
      asked.ws.terminate();
      answering.ws.terminate();
    }
    expect(await gateway.stop()).toBe(0);
    await server.kill();
  });
});

describe('a gateway that is stopped', () => {
  it.each(['uws', 'node'])('lets calls end, and says goodbye (%s)', async (listener) => {
    const server = await startPlain();
    const gateway = await startGateway({
      workers: 1,
      config: {
        gateway: { listen: { listener }, shutdown_grace: '20s' },
        upstreams: [{ name: 'up', url: server.url }],
      },
    });
    const client = await RawSocketClient.open(`${gateway.url}/mcp/up`);
    await client.initialize();
    const call = (id: number, name: string, key: string) =>
      client.ask(id, 'tools/call', modernParams({ name, arguments: { key } }));
    // The server is connected to with the first call, and has to have the next one when it is told to release it.
    await client.ask(0, 'tools/call', modernParams({ name: 'echo', arguments: { text: 'there' } }));
    const waiting = call(1, 'wait', 'k');
    const subscription = client.ask(2, 'subscriptions/listen', modernParams({ notifications: {} }));
    const underWay = () => metric(gateway.url, 'sluice_requests_in_flight');
    await expect.poll(underWay, PATIENCE).toBe(2);
    const stopped = gateway.stop();
    expect((await subscription).result).toMatchObject({ resultType: 'complete' });
    expect((await client.ask(3, 'tools/list', modernParams())).error?.code).toBe(-31006);
    // The server is told on a way of its own, since the gateway takes no calls any more.
    const session = await fetch(server.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
      }),
    });
    await session.text();
    await fetch(server.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-session-id': session.headers.get('mcp-session-id') as string,
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 2,
        method: 'tools/call',
        params: { name: 'release', arguments: { key: 'k' } },
      }),
    });
    expect((await waiting).result).toBeDefined();
    await expect.poll(() => client.closed?.code, PATIENCE).toBe(1001);
    expect(await stopped).toBe(0);
    await server.kill();
  });
});
