import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { health, metric } from './gateway-metrics.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { beginSession, lastMessage, postModern } from './raw-http.js';
import { DEAD_URL, freePort, type HttpServer, plain, startPlain } from './upstreams.js';

/* "One of my servers is down, another one hangs, and I still want to work with the rest." */

const MISSING_META = 'dev.sluice/unavailable';
const DEADLINE = '1s';

/** Takes connections and says nothing. */
async function startSilent(): Promise<{ port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

describe('why a server is away', () => {
  const SECRET = 'hunter2';
  const COMPLAINT = `no session at https://me:${SECRET}@id.example/login?key=${SECRET}`;
  let gateway: RunningGateway;

  beforeAll(async () => {
    const crash = `console.error(${JSON.stringify(COMPLAINT)}); process.exit(3)`;
    gateway = await startGateway({
      config: {
        upstreams: [
          { name: 'dead', url: `${DEAD_URL}?key=${SECRET}` },
          { name: 'crashing', stdio: { command: process.execPath, args: ['-e', crash] } },
        ],
      },
    });
  });
  afterAll(() => gateway?.stop());

  const errorOf = async (name: string) =>
    (await health(gateway.url)).upstreams.find((each) => each.name === name)?.error ?? '';

  it('is told in plain words: the address, or how the process ended and what it said', async () => {
    const address = new URL(DEAD_URL).host;
    await expect
      .poll(() => errorOf('dead'), { timeout: 15_000 })
      .toContain(`cannot connect to ${address}: connection refused (127.0.0.1)`);
    const ended = /exited with code 3; stderr ended with: no session at https:\/\/…@id.example\/login\?…$/;
    await expect.poll(() => errorOf('crashing'), { timeout: 15_000 }).toMatch(ended);
    expect(gateway.logs()).toContain('exited with code 3');
    expect(gateway.logs()).not.toContain(SECRET);
    expect(await (await fetch(`${gateway.url}/health`)).text()).not.toContain(SECRET);
  });
});

describe('with servers that are dead, hang, crash and stall', () => {
  const MISSING = ['dead', 'silent', 'stalling', 'fetched', 'crashing', 'absent'];
  let good: HttpServer;
  let silent: Awaited<ReturnType<typeof startSilent>>;
  let gateway: RunningGateway;

  beforeAll(async () => {
    [good, silent] = await Promise.all([startPlain(['--name', 'remote']), startSilent()]);
    gateway = await startGateway({
      config: {
        gateway: { discovery: { deadline: DEADLINE } },
        upstreams: [
          plain('first'),
          { name: 'dead', url: DEAD_URL },
          { name: 'silent', url: `http://127.0.0.1:${silent.port}/mcp` },
          plain('stalling', ['--lists-after', '600000']),
          { name: 'fetched', stdio: { command: process.execPath, args: ['-e', 'process.stdin.resume()'] } },
          { name: 'crashing', stdio: { command: process.execPath, args: ['-e', 'process.exit(7)'] } },
          { name: 'absent', stdio: { command: 'sluice-has-no-such-program' } },
          { name: 'remote', url: good.url },
        ],
        virtual_servers: [
          {
            name: 'part',
            tools: [
              { upstream: 'dead', name: 'find', rename: 'search' },
              { upstream: 'dead', name: 'read_*' },
              { upstream: 'first', name: 'echo' },
            ],
          },
        ],
      },
    });
  });
  afterEach(closeClients);
  afterAll(async () => {
    await gateway?.stop();
    await good?.kill();
    silent?.close();
  });

  it.each(KINDS)('%s lists and calls the tools of the others', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp`);
    const names = await client.toolNames();
    expect(names).toEqual(expect.arrayContaining(['first__echo', 'remote__echo']));
    expect(names.every((name) => /^(first|remote)__/.test(name))).toBe(true);
    expect(await client.say('remote__echo', { text: 'still here' })).toBe('still here');
    expect(await client.resourceUris()).toContain('first+note://plain');
  });

  it.each([
    ['/mcp', 'tools/call', { name: 'dead__find' }, 'dead'],
    ['/mcp', 'tools/call', { name: 'silent__find' }, 'silent'],
    ['/mcp', 'prompts/get', { name: 'absent__greeting' }, 'absent'],
    [
      '/mcp',
      'completion/complete',
      { ref: { type: 'ref/prompt', name: 'dead__greeting' }, argument: { name: 'a', value: '' } },
      'dead',
    ],
    ['/mcp/part', 'tools/call', { name: 'search' }, 'dead'],
    ['/mcp/part', 'tools/call', { name: 'dead__read_one' }, 'dead'],
  ])(
    'at %s tells whoever sends %s with %j that the server is away',
    async (path, method, params, upstream) => {
      const answer = {
        code: -31001,
        message: expect.stringContaining(`"${upstream}" has not answered so far`),
      };
      const session = await beginSession(`${gateway.url}${path}`);
      expect((await session.ask(method, params)).error).toEqual(answer);
      const modern = await postModern(`${gateway.url}${path}`, method, params);
      expect((await lastMessage(modern)).error).toEqual(answer);
    },
  );

  it('counts that as a failure of the server, and a name of nobody as a mistake of the caller', async () => {
    const failed = (code: number) =>
      metric(gateway.url, `sluice_errors_total{endpoint="*",method="tools/call",code="${code}"}`);
    const session = await beginSession(`${gateway.url}/mcp`);
    const before = [await failed(-31001), await failed(-32602)].map((count) => count ?? 0);
    await session.ask('tools/call', { name: 'dead__find' });
    for (const name of ['find', 'nobody__find', 'first__find', 'remote__find', 'dead_find'])
      expect((await session.ask('tools/call', { name })).error?.code, name).toBe(-32602);
    const part = await beginSession(`${gateway.url}/mcp/part`);
    for (const name of ['dead__find', 'dead__write', 'silent__find'])
      expect((await part.ask('tools/call', { name })).error?.code, name).toBe(-32602);
    await expect
      .poll(async () => [await failed(-31001), await failed(-32602)])
      .toEqual([(before[0] ?? 0) + 1, (before[1] ?? 0) + 5]);
  });

  it('says in every list who is missing', async () => {
    const session = await beginSession(`${gateway.url}/mcp`);
    for (const method of ['tools/list', 'resources/list', 'prompts/list', 'resources/templates/list']) {
      const { result } = await session.ask(method);
      expect(result._meta?.[MISSING_META], method).toEqual(MISSING);
    }
  });

  it('says so in the log, with the reason', async () => {
    const warnings = () =>
      gateway
        .logs()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line))
        .filter(({ level }) => level === 40);
    for (const [upstream, reason] of [
      ['dead', 'cannot be reached'],
      ['silent', 'no answer within 1000 ms, and still waiting"'],
      ['stalling', 'no answer within 1000 ms, and still waiting"'],
      ['fetched', 'no answer within 1000 ms, and still waiting; is its program being fetched?"'],
      ['crashing', 'code 7'],
      ['absent', 'sluice-has-no-such-program'],
    ]) {
      const said = () => warnings().filter((line) => line.upstream === upstream);
      await expect.poll(() => JSON.stringify(said()), { timeout: 20_000 }).toContain(reason);
    }
  });

  it('says so in the metrics and in the health', async () => {
    for (const upstream of MISSING) {
      expect(await metric(gateway.url, `sluice_upstream_up{upstream="${upstream}"}`), upstream).toBe(0);
    }
    for (const upstream of ['first', 'remote']) {
      expect(await metric(gateway.url, `sluice_upstream_up{upstream="${upstream}"}`), upstream).toBe(1);
    }
    const { status, ready, upstreams } = await health(gateway.url);
    expect(status).toBe('degraded');
    expect(ready).toBe(true);
    expect(upstreams.find(({ name }) => name === 'dead')).toMatchObject({
      state: 'failed',
      error: expect.stringContaining('cannot be reached'),
    });
  });

  // The pinned client has its own words for every failure of the first request.
  it.each(KINDS.filter((kind) => kind !== 'SDK v2 2026-07-28'))(
    '%s hears of a server that is down when it asks for that one',
    async (kind) => {
      await expect(connect(kind, `${gateway.url}/mcp/dead`)).rejects.toThrow(/"dead" cannot be reached/);
    },
  );
});

describe('a server that comes later', () => {
  it('is found by itself, and its tools are there', async () => {
    const port = await freePort();
    const gateway = await startGateway({
      config: {
        gateway: { discovery: { deadline: DEADLINE, interval: '1s' } },
        upstreams: [{ name: 'late', url: `http://127.0.0.1:${port}/mcp` }, plain('first')],
      },
    });
    const client = await connect('SDK v2 legacy', `${gateway.url}/mcp`);
    expect((await client.toolNames()).some((name) => name.startsWith('late__'))).toBe(false);
    const late = await startPlain([], port);
    await expect.poll(() => client.toolNames(), { timeout: 15_000 }).toContain('late__echo');
    expect(client.heard.map(({ method }) => method)).toContain('notifications/tools/list_changed');
    expect(await client.say('late__echo', { text: 'here' })).toBe('here');
    await closeClients();
    await gateway.stop();
    await late.kill();
  });
});

describe('the first list', () => {
  it('is answered from what was found ahead of the first client', async () => {
    const gateway = await startGateway({ config: { upstreams: [plain('slow', ['--lists-after', '400'])] } });
    await expect.poll(async () => (await health(gateway.url)).status, { timeout: 10_000 }).toBe('ok');
    await expect
      .poll(async () => (await health(gateway.url)).upstreams[0]?.state, { timeout: 10_000 })
      .toBe('ready');
    // Were the upstream asked again for each client, a hundred lists would take it forty seconds.
    const lists = await Promise.all(
      Array.from({ length: 100 }, async () => (await beginSession(`${gateway.url}/mcp`)).ask('tools/list')),
    );
    expect(lists.every(({ result }) => result.tools[0].name === 'slow__echo')).toBe(true);
    await gateway.stop();
  });
});
