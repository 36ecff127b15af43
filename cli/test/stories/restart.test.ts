import { afterEach, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS, LEGACY_KINDS, type OfficialClient } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { isAlive } from './processes.js';
import { type HttpServer, plain, startEverything, startFixtureOn, startPlain } from './upstreams.js';

/* "I restart a server, and nobody who uses it has to reconnect." */

const UPSTREAM_LOST = -31004;
const PATIENCE = { timeout: 15_000 };

let gateway: RunningGateway;
let server: HttpServer | undefined;

afterEach(async () => {
  await closeClients();
  await gateway?.stop();
  await server?.kill();
  server = undefined;
});

async function serve(upstreams: object[]): Promise<void> {
  gateway = await startGateway({ config: { upstreams } });
}

describe.each(PLACE_NAMES)('on %s', (place) => {
  const { path, name } = PLACES[place];

  // server-everything answers 400 to a session that it does not know, the fixture and the plain server 404.
  describe.each([
    ['server-everything', startEverything, 'echo', { message: 'hello' }, /Echo: hello/],
    [
      'the legacy fixture',
      (port: number) => startFixtureOn(port, 'legacy'),
      'test_simple_text',
      {},
      /simple/,
    ],
    [
      'the modern fixture',
      (port: number) => startFixtureOn(port, 'modern'),
      'test_simple_text',
      {},
      /simple/,
    ],
  ] as const)('%s over HTTP', (_, start, tool, args, says) => {
    it('is initialised again without its clients noticing', async () => {
      server = await start(0);
      const { port } = server;
      await serve([{ name: 'server', url: server.url }]);
      const clients = await Promise.all(
        KINDS.map((kind) => connect(kind, gateway.url + path('server'), { onRoots: () => ({ roots: [] }) })),
      );
      const call = (client: OfficialClient) => client.say(name('server', tool), args);
      for (const client of clients) expect(await call(client)).toMatch(says);
      for (let restart = 0; restart < 2; restart++) {
        await server.kill();
        server = await start(port);
        for (const client of clients) expect(await call(client), client.kind).toMatch(says);
      }
      for (const client of clients) {
        expect(await client.toolNames(), client.kind).toContain(name('server', tool));
      }
    });
  });

  it('a legacy client keeps what it told the server: its capabilities, its log level, what it watches', async () => {
    server = await startFixtureOn(0, 'legacy');
    await serve([{ name: 'fixture', url: server.url }]);
    const client = await connect('SDK v2 legacy', gateway.url + path('fixture'), {
      onElicit: () => ({ action: 'accept', content: { name: 'Ada' } }),
    });
    const own = (tool: string) => name('fixture', tool);
    const [watched] = (await client.resourceUris()).filter((uri) => uri.includes('watched'));
    await client.subscribe(watched as string);
    await client.setLevel('info');
    await server.kill();
    server = await startFixtureOn(server.port, 'legacy');
    expect(await client.say(own('test_input_required_result_elicitation'))).toBe('Hello, Ada!');
    const heard = (method: string) => client.heard.filter((each) => each.method === method).length;
    await expect
      .poll(async () => {
        await client.say(own('test_trigger_resource_update'));
        await client.say(own('test_logging_tool'));
        return heard('notifications/resources/updated') > 0 && heard('notifications/message') > 0;
      }, PATIENCE)
      .toBe(true);
  });

  describe('a process', () => {
    const whoami = async (client: OfficialClient) =>
      JSON.parse(await client.say(name('plain', 'whoami'))) as { pid: number; hello: object };

    it('that is shared and was killed is started again, for every client', async () => {
      await serve([plain('plain')]);
      const clients = await Promise.all(KINDS.map((kind) => connect(kind, gateway.url + path('plain'))));
      const [first] = clients as [OfficialClient];
      // After the second crash in a short time it waits a little, and says so to whoever asks meanwhile.
      for (let kill = 0; kill < 2; kill++) {
        const { pid } = await whoami(first);
        process.kill(pid, 'SIGKILL');
        await expect.poll(() => isAlive(pid), PATIENCE).toBe(false);
        await expect
          .poll(() => first.say(name('plain', 'echo'), { text: 'again' }).catch(String), PATIENCE)
          .toBe('again');
        const pids = await Promise.all(clients.map(async (client) => (await whoami(client)).pid));
        expect(new Set(pids).size).toBe(1);
        expect(pids[0]).not.toBe(pid);
      }
    });

    it('of one session that was killed is started again for it, and greeted as before', async () => {
      await serve([plain('plain', [], { sharing: 'per_session' })]);
      const [client, other] = (await Promise.all(
        LEGACY_KINDS.map((kind) =>
          connect(kind, gateway.url + path('plain'), { onRoots: () => ({ roots: [] }) }),
        ),
      )) as [OfficialClient, OfficialClient];
      const [before, others] = [await whoami(client), await whoami(other)];
      process.kill(before.pid, 'SIGKILL');
      await expect.poll(() => isAlive(before.pid), PATIENCE).toBe(false);
      await expect
        .poll(() => client.say(name('plain', 'echo'), { text: 'again' }).catch(String), PATIENCE)
        .toBe('again');
      const after = await whoami(client);
      expect(after.pid).not.toBe(before.pid);
      expect(after.hello).toEqual(before.hello);
      expect(after.hello).toMatchObject({ capabilities: { roots: { listChanged: true } } });
      expect((await whoami(other)).pid).toBe(others.pid);
    });

    it('that dies in the middle of a call says that the call may have run', async () => {
      await serve([plain('shared'), plain('own', [], { sharing: 'per_session' })]);
      for (const upstream of ['shared', 'own']) {
        const client = await connect('SDK v2 legacy', gateway.url + path(upstream));
        await expect(client.call(name(upstream, 'crash'))).rejects.toMatchObject({
          code: UPSTREAM_LOST,
          message: expect.stringContaining('may have run'),
        });
        await expect
          .poll(() => client.say(name(upstream, 'echo'), { text: 'again' }).catch(String), PATIENCE)
          .toBe('again');
      }
    });
  });
});

describe.each(PLACE_NAMES)('a server that changes its era, on %s', (place) => {
  const { path, name } = PLACES[place];

  it.each([
    ['modern', 'legacy'],
    ['legacy', 'modern'],
  ] as const)('from %s to %s goes on working for every client', async (before, after) => {
    server = await startFixtureOn(0, before);
    await serve([{ name: 'fixture', url: server.url }]);
    const clients = await Promise.all(KINDS.map((kind) => connect(kind, gateway.url + path('fixture'))));
    const call = (client: OfficialClient) => client.say(name('fixture', 'test_simple_text'));
    for (const client of clients) expect(await call(client), client.kind).toMatch(/simple/);
    await server.kill();
    server = await startFixtureOn(server.port, after);
    for (const client of clients) expect(await call(client), client.kind).toMatch(/simple/);
    for (const kind of KINDS)
      expect(await call(await connect(kind, gateway.url + path('fixture')))).toMatch(/simple/);
  });
});

it('a server over HTTP that goes away in the middle of a call says that it may have run', async () => {
  for (const era of ['legacy', 'modern']) {
    server = await startPlain(['--era', era]);
    await serve([{ name: 'plain', url: server.url }]);
    for (const kind of KINDS) {
      const client = await connect(kind, `${gateway.url}/mcp`);
      await expect(client.call('plain__crash'), `${era} ${kind}`).rejects.toMatchObject({
        code: UPSTREAM_LOST,
        message: expect.stringContaining('may have run'),
      });
      server = await startPlain(['--era', era], server.port);
      expect(await client.say('plain__echo', { text: 'again' }), `${era} ${kind}`).toBe('again');
    }
    await closeClients();
    await gateway.stop();
    await server.kill();
  }
});
