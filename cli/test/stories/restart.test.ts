import { afterEach, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import {
  type ConnectOptions,
  closeClients,
  connect,
  KINDS,
  type Kind,
  LEGACY_KINDS,
  type OfficialClient,
} from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { descendants, isAlive } from './processes.js';
import {
  freePort,
  type HttpServer,
  plain,
  startEverything,
  startFixtureOn,
  startPlain,
} from './upstreams.js';

/* "I restart a server, and nobody who uses it has to reconnect." */

const UPSTREAM_LOST = -31004;
const PATIENCE = { timeout: 20_000 };
const STORY_LIMIT_MS = 90_000;

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

/** Somebody who uses one upstream, on its own path or on the path of all. */
interface User {
  client: OfficialClient;
  /** Kind and place, for messages. */
  who: string;
  name(tool: string): string;
  say(tool: string, args?: Record<string, unknown>): Promise<string>;
}

/** Users of each of these kinds in each place. */
function usersOf(upstream: string, kinds: readonly Kind[], options: ConnectOptions = {}): Promise<User[]> {
  return Promise.all(
    PLACE_NAMES.flatMap((place) =>
      kinds.map(async (kind) => {
        const { path, name } = PLACES[place];
        const client = await connect(kind, gateway.url + path(upstream), options);
        const own = (tool: string) => name(upstream, tool);
        const say: User['say'] = (tool, args) => client.say(own(tool), args);
        return { client, who: `${kind} on ${place}`, name: own, say };
      }),
    ),
  );
}

// server-everything answers 400 to a session that it does not know, the fixture 404.
describe.each([
  ['server-everything', startEverything, 'echo', { message: 'hello' }, /Echo: hello/],
  ['the legacy fixture', (port: number) => startFixtureOn(port, 'legacy'), 'test_simple_text', {}, /simple/],
  ['the modern fixture', (port: number) => startFixtureOn(port, 'modern'), 'test_simple_text', {}, /simple/],
] as const)('%s over HTTP', (_, start, tool, args, says) => {
  it(
    'is initialised again without its clients noticing',
    async () => {
      server = await start(0);
      const { port } = server;
      await serve([{ name: 'server', url: server.url }]);
      const users = await usersOf('server', KINDS, { onRoots: () => ({ roots: [] }) });
      for (const { say, who } of users) expect(await say(tool, args), who).toMatch(says);
      for (let restart = 0; restart < 2; restart++) {
        await server.kill();
        server = await start(port);
        for (const { say, who } of users) expect(await say(tool, args), who).toMatch(says);
      }
      for (const { client, name, who } of users) {
        expect(await client.toolNames(), who).toContain(name(tool));
      }
    },
    STORY_LIMIT_MS,
  );
});

it(
  'a legacy client keeps what it told the server: its capabilities, its log level, what it watches',
  async () => {
    server = await startFixtureOn(0, 'legacy');
    await serve([{ name: 'fixture', url: server.url }]);
    const users = await usersOf('fixture', LEGACY_KINDS, {
      onElicit: () => ({ action: 'accept', content: { name: 'Ada' } }),
    });
    for (const { client } of users) {
      const [watched] = (await client.resourceUris()).filter((uri) => uri.includes('watched'));
      await client.subscribe(watched as string);
      await client.setLevel('info');
    }
    await server.kill();
    server = await startFixtureOn(server.port, 'legacy');
    for (const { client, say, who } of users) {
      expect(await say('test_input_required_result_elicitation'), who).toBe('Hello, Ada!');
      const heard = (method: string) => client.heard.some((each) => each.method === method);
      await expect
        .poll(async () => {
          await say('test_trigger_resource_update');
          await say('test_logging_tool');
          return heard('notifications/resources/updated') && heard('notifications/message');
        }, PATIENCE)
        .toBe(true);
    }
  },
  STORY_LIMIT_MS,
);

describe('a process', () => {
  const whoami = async ({ say }: User) => JSON.parse(await say('whoami')) as { pid: number; hello: object };

  it(
    'that is shared and was killed is started again, for every client',
    async () => {
      await serve([plain('plain')]);
      const users = await usersOf('plain', KINDS);
      const [first] = users as [User];
      // After the second crash in a short time it waits a little, and says so to whoever asks meanwhile.
      for (let kill = 0; kill < 2; kill++) {
        const { pid } = await whoami(first);
        process.kill(pid, 'SIGKILL');
        await expect.poll(() => isAlive(pid), PATIENCE).toBe(false);
        await expect.poll(() => first.say('echo', { text: 'again' }).catch(String), PATIENCE).toBe('again');
        const pids = await Promise.all(users.map(async (user) => (await whoami(user)).pid));
        expect(new Set(pids).size).toBe(1);
        expect(pids[0]).not.toBe(pid);
      }
    },
    STORY_LIMIT_MS,
  );

  it(
    'of one session that was killed is started again for it, and greeted as before',
    async () => {
      await serve([plain('plain', [], { sharing: 'per_session' })]);
      const users = await usersOf('plain', LEGACY_KINDS, { onRoots: () => ({ roots: [] }) });
      const before = await Promise.all(users.map(whoami));
      expect(new Set(before.map(({ pid }) => pid)).size).toBe(users.length);
      for (const [index, user] of users.entries()) {
        const { pid, hello } = before[index] as (typeof before)[0];
        process.kill(pid, 'SIGKILL');
        await expect.poll(() => isAlive(pid), PATIENCE).toBe(false);
        await expect.poll(() => user.say('echo', { text: 'again' }).catch(String), PATIENCE).toBe('again');
        const after = await whoami(user);
        expect(after.pid, user.who).not.toBe(pid);
        expect(after.hello, user.who).toEqual(hello);
        expect(after.hello, user.who).toMatchObject({ capabilities: { roots: { listChanged: true } } });
        const next = index + 1;
        if (next < users.length) {
          expect((await whoami(users[next] as User)).pid).toBe(before[next]?.pid);
        }
      }
    },
    STORY_LIMIT_MS,
  );

  it(
    'that dies in the middle of a call says that the call may have run',
    async () => {
      await serve([plain('shared'), plain('own', [], { sharing: 'per_session' })]);
      for (const upstream of ['shared', 'own']) {
        for (const { client, name, say } of await usersOf(upstream, ['SDK v2 legacy'])) {
          await expect
            .poll(() => client.call(name('crash')).catch((error: { code: number }) => error.code), PATIENCE)
            .toBe(UPSTREAM_LOST);
          await expect.poll(() => say('echo', { text: 'again' }).catch(String), PATIENCE).toBe('again');
        }
      }
    },
    STORY_LIMIT_MS,
  );
});

it.each([
  ['modern', 'legacy'],
  ['legacy', 'modern'],
] as const)(
  'a server that changes its era from %s to %s goes on working for every client',
  async (before, after) => {
    server = await startFixtureOn(0, before);
    await serve([{ name: 'fixture', url: server.url }]);
    const users = await usersOf('fixture', KINDS, {
      onElicit: () => ({ action: 'accept', content: { name: 'Ada' } }),
    });
    const use = async ({ say, who }: User) => {
      expect(await say('test_input_required_result_elicitation'), who).toBe('Hello, Ada!');
      expect(await say('test_simple_text'), who).toMatch(/simple/);
    };
    for (const user of users) await use(user);
    await server.kill();
    server = await startFixtureOn(server.port, after);
    for (const user of users) await use(user);
    const newcomers = await usersOf('fixture', KINDS, {
      onElicit: () => ({ action: 'accept', content: { name: 'Ada' } }),
    });
    for (const user of newcomers) await use(user);
  },
  STORY_LIMIT_MS,
);

it.each(['legacy', 'modern'])(
  'a %s server over HTTP that goes away in the middle of a call says that it may have run',
  async (era) => {
    server = await startPlain(['--era', era]);
    await serve([{ name: 'plain', url: server.url }]);
    for (const { client, name, say, who } of await usersOf('plain', KINDS)) {
      await expect(client.call(name('crash')), who).rejects.toMatchObject({
        code: UPSTREAM_LOST,
        message: expect.stringContaining('may have run'),
      });
      server = await startPlain(['--era', era], server.port);
      expect(await say('echo', { text: 'again' }), who).toBe('again');
    }
  },
  STORY_LIMIT_MS,
);

it.each([1, 2])(
  'the data plane is killed, and a legacy client goes on (%i worker(s))',
  async (workers) => {
    server = await startPlain(['--name', 'remote']);
    gateway = await startGateway({ workers, config: { upstreams: [{ name: 'remote', url: server.url }] } });
    const users = await usersOf('remote', LEGACY_KINDS);
    for (const { say, who } of users) expect(await say('echo', { text: 'before' }), who).toBe('before');
    const dataPlane = descendants(gateway.pid).find(({ ppid }) => ppid === gateway.pid)?.pid as number;
    process.kill(dataPlane, 'SIGKILL');
    const restarted = () => gateway.logs().match(/"listening"/g)?.length;
    await expect.poll(restarted, PATIENCE).toBe(2);
    for (const { say, who } of users) expect(await say('echo', { text: 'after' }), who).toBe('after');
  },
  STORY_LIMIT_MS,
);

it(
  'the whole gateway is stopped and started again with the same keys, and a legacy client goes on',
  async () => {
    server = await startPlain(['--name', 'remote']);
    const options = {
      args: ['--port', String(await freePort())],
      env: { STORY_KEY: 'k'.repeat(40) },
      config: {
        gateway: { sessions: { keys: ['${STORY_KEY}'] } },
        upstreams: [{ name: 'remote', url: server.url }],
      },
    };
    gateway = await startGateway(options);
    const users = await usersOf('remote', LEGACY_KINDS);
    for (const { say, who } of users) expect(await say('echo', { text: 'before' }), who).toBe('before');
    await gateway.stop();
    gateway = await startGateway(options);
    for (const { say, who } of users) expect(await say('echo', { text: 'after' }), who).toBe('after');
    expect(gateway.logs()).not.toContain(options.env.STORY_KEY);
  },
  STORY_LIMIT_MS,
);
