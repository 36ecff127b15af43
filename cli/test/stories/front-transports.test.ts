import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS, LEGACY_KINDS, type OfficialClient } from './official-client.js';
import { PLACES, type Place } from './places.js';
import { bigText, digestOf } from './plain-session.mjs';
import { type HttpServer, plain, startEverything, startFixtureOn, startPlain } from './upstreams.js';
import { sseWire, stdioWire, type Wire } from './wires.js';

/* "My client does not speak streamable HTTP, and everything works all the same." */

const PATIENCE = { timeout: 15_000 };
const BIG_BYTES = 1024 * 1024;
/** As JSON more than may wait for a slow reader (8 MiB), and less than the SDKs take on a line (10 MiB). */
const HUGE_BYTES = 8 * 1024 * 1024;

/**
 * Each has a process of its own, so `npm test` has one client of either era, and each way that has code of its own;
 * `npm run test:full` has all. The matrix has every way with every kind of server.
 */
const IS_FULL = process.env.SLUICE_TEST_FULL === '1';
const CLIENTS = IS_FULL ? KINDS : (['SDK v2 auto', 'SDK v1'] as const);
const LEGACY_CLIENTS = IS_FULL ? LEGACY_KINDS : (['SDK v1'] as const);
const ONLY_FULL_WAYS = ['sluice stdio, one server', 'sluice stdio, relay to one', 'HTTP+SSE, all servers'];

let folder: string;
let configFile: string;
let servers: HttpServer[];
let gateway: RunningGateway;
let twoWorkers: RunningGateway;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-stories-'));
  servers = await Promise.all([
    startPlain(['--era', 'modern']),
    startFixtureOn(0, 'modern'),
    startFixtureOn(0, 'legacy'),
    startEverything(),
  ]);
  const [plainModern, modern, legacy, everything] = servers as [
    HttpServer,
    HttpServer,
    HttpServer,
    HttpServer,
  ];
  const config = {
    upstreams: [
      plain('own', [], { sharing: 'per_session' }),
      { name: 'plain-modern', url: plainModern.url },
      { name: 'modern', url: modern.url },
      { name: 'legacy', url: legacy.url },
      { name: 'everything', url: everything.url },
    ],
  };
  configFile = join(folder, 'sluice.json');
  await writeFile(configFile, JSON.stringify(config));
  [gateway, twoWorkers] = await Promise.all([startGateway({ config }), startGateway({ config, workers: 2 })]);
});
afterAll(async () => {
  await closeClients();
  await Promise.all([gateway?.stop(), twoWorkers?.stop()]);
  await Promise.all((servers ?? []).map((server) => server.kill()));
  await rm(folder, { recursive: true, force: true });
});

const ALL = PLACES['the path of all'];
const ONE = PLACES['its own path'];

/** How a client reaches an upstream, and what it is called there. */
const WAYS: Record<string, { to: (upstream: string) => Wire; place: Place }> = {
  'sluice stdio, all servers': { to: () => stdioWire('--config', configFile), place: ALL },
  'sluice stdio, one server': {
    to: (upstream) => stdioWire('--config', configFile, '--upstream', upstream),
    place: ONE,
  },
  'sluice stdio, relay to all': { to: () => stdioWire('--connect', `${gateway.url}/mcp`), place: ALL },
  'sluice stdio, relay to one': {
    to: (upstream) => stdioWire('--connect', `${gateway.url}/mcp/${upstream}`),
    place: ONE,
  },
  'sluice stdio, relay over WebSocket': {
    to: () => stdioWire('--connect', `${gateway.url.replace('http', 'ws')}/mcp`),
    place: ALL,
  },
  'HTTP+SSE, all servers': { to: () => sseWire(`${gateway.url}/sse`), place: ALL },
  'HTTP+SSE, one server': { to: (upstream) => sseWire(`${gateway.url}/sse/${upstream}`), place: ONE },
  'HTTP+SSE, two workers': { to: () => sseWire(`${twoWorkers.url}/sse`), place: ALL },
};

const heardOf = (client: OfficialClient, method: string) =>
  client.heard.filter((notification) => notification.method === method);

const ways = Object.keys(WAYS).filter((way) => IS_FULL || !ONLY_FULL_WAYS.includes(way));

describe.each(ways)('%s', (way) => {
  const { to, place } = WAYS[way] as (typeof WAYS)[string];
  const { name, uri } = place;

  describe.each(CLIENTS)('%s', (kind) => {
    it.each(['own', 'plain-modern'])(
      'lists, calls, shows progress, cancels, and moves a lot: %s',
      async (upstream) => {
        const client = await connect(kind, '', { transport: to(upstream)(kind) });
        const own = (tool: string) => name(upstream, tool);
        expect(await client.toolNames()).toContain(own('echo'));
        expect(await client.say(own('echo'), { text: 'Grüße ✓' })).toBe('Grüße ✓');
        await expect(client.call(own('no_such_tool'))).rejects.toThrow(/Unknown tool/);

        const key = `${way} ${kind}`;
        const heard: unknown[] = [];
        const call = client.say(own('wait'), { key }, { onProgress: ({ message }) => heard.push(message) });
        await expect.poll(() => heard.length, PATIENCE).toBeGreaterThan(2);
        expect(new Set(heard)).toEqual(new Set([key]));
        await client.say(own('release'), { key });
        expect(await call).toBe(`${key} was released`);

        const stop = new AbortController();
        const waits = async () => JSON.parse(await client.say(own('waits')));
        const cancelled = client.call(own('wait'), { key: `${key} 2` }, { signal: stop.signal });
        const ended = cancelled.then(
          () => 'answered',
          () => 'cancelled',
        );
        await expect.poll(async () => (await waits()).waiting, PATIENCE).toContain(`${key} 2`);
        stop.abort();
        expect(await ended).toBe('cancelled');
        await expect.poll(async () => (await waits()).interrupted, PATIENCE).toContain(`${key} 2`);

        const { content } = await client.call(own('big'), { bytes: BIG_BYTES });
        expect(digestOf(content[0]?.text ?? '')).toBe(digestOf(bigText(BIG_BYTES)));
        await client.close();
      },
    );

    it.each(['modern', 'legacy'])('is asked by a %s server', async (upstream) => {
      const client = await connect(kind, '', {
        transport: to(upstream)(kind),
        onElicit: () => ({ action: 'accept', content: { name: 'Ada', check: true } }),
        onSample: () => ({ role: 'assistant', model: 'm', content: { type: 'text', text: 'sampled ✓' } }),
        onRoots: () => ({ roots: [{ uri: 'file:///home/ada', name: 'ada' }] }),
      });
      const own = (tool: string) => name(upstream, tool);
      expect(await client.say(own('test_input_required_result_elicitation'))).toMatch(/Hello, Ada!/);
      expect(await client.say(own('test_input_required_result_sampling'))).toMatch(/sampled ✓/);
      expect(await client.say(own('test_input_required_result_multiple_inputs'))).toMatch(/Three answers/);
      await client.close();
    });
  });

  it.each(LEGACY_CLIENTS)('%s hears of a resource that it watches, and of a new tool', async (kind) => {
    const watcher = await connect(kind, '', { transport: to('everything')(kind) });
    const watched = uri('everything', 'demo://resource/dynamic/text/1');
    await watcher.subscribe(watched);
    await watcher.say(name('everything', 'toggle-subscriber-updates'));
    await expect
      .poll(
        () => heardOf(watcher, 'notifications/resources/updated').map(({ params }) => params.uri),
        PATIENCE,
      )
      .toContain(watched);
    await watcher.close();

    const client = await connect(kind, '', {
      transport: to('plain-modern')(kind),
      onRoots: () => ({ roots: [] }),
    });
    await client.toolNames();
    const tool = `new_${way}_${kind}`.replaceAll(/\W/g, '_').slice(0, 40);
    await client.say(name('plain-modern', 'add_tool'), { name: tool });
    await expect
      .poll(() => heardOf(client, 'notifications/tools/list_changed').length, PATIENCE)
      .toBeGreaterThan(0);
    await expect.poll(() => client.toolNames(), PATIENCE).toContain(name('plain-modern', tool));
    await client.close();
  });

  it.each(['SDK v1', 'SDK v2 auto'] as const)('%s gets a huge result whole', async (kind) => {
    const client = await connect(kind, '', { transport: to('own')(kind) });
    const { content } = await client.call(name('own', 'big'), { bytes: HUGE_BYTES });
    expect(digestOf(content[0]?.text ?? '')).toBe(digestOf(bigText(HUGE_BYTES)));
    await client.close();
  });

  it('SDK v2 2026-07-28 hears of a new tool on its subscription', async () => {
    const kind = 'SDK v2 2026-07-28';
    const client = await connect(kind, '', { transport: to('plain-modern')(kind) });
    const subscription = await client.v2?.listen({ toolsListChanged: true });
    expect(subscription?.honoredFilter).toEqual({ toolsListChanged: true });
    await client.say(name('plain-modern', 'add_tool'), { name: `newer_${way}`.replaceAll(/\W/g, '_') });
    await expect
      .poll(() => heardOf(client, 'notifications/tools/list_changed').length, PATIENCE)
      .toBeGreaterThan(0);
    await client.close();
  });
});
