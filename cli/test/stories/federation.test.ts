import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { beginSession } from './raw-http.js';
import { type HttpServer, plain, startPlain } from './upstreams.js';

/* "Several of my servers have a tool of the same name, and together they have hundreds." */

const NAMES = ['left', 'right', 'remote', 'modern'];
const INVALID_PARAMS = -32602;

let servers: HttpServer[];
let gateway: RunningGateway;

beforeAll(async () => {
  servers = await Promise.all([
    startPlain(['--name', 'remote', '--numbered', '25', '--page-size', '7']),
    startPlain(['--name', 'modern', '--era', 'modern', '--numbered', '25', '--page-size', '4']),
  ]);
  gateway = await startGateway({
    config: {
      gateway: { discovery: { page_size: 10 } },
      upstreams: [
        plain('left', ['--numbered', '25', '--page-size', '11']),
        plain('right', ['--numbered', '25'], { sharing: 'per_session' }),
        { name: 'remote', url: servers[0]?.url },
        { name: 'modern', url: servers[1]?.url },
      ],
    },
  });
});
afterEach(closeClients);
afterAll(async () => {
  await gateway?.stop();
  await Promise.all((servers ?? []).map((server) => server.kill()));
});

describe.each(KINDS)('%s', (kind) => {
  it('reaches each of the tools that have one name, and the right one', async () => {
    const client = await connect(kind, `${gateway.url}/mcp`);
    for (const upstream of NAMES) {
      expect(JSON.parse(await client.say(`${upstream}__whoami`))).toMatchObject({ name: upstream });
    }
  });

  it('confuses none of many answers that are under way at once', async () => {
    const clients = await Promise.all([1, 2, 3].map(() => connect(kind, `${gateway.url}/mcp`)));
    const calls = Array.from({ length: 120 }, (_, i) => ({
      client: clients[i % clients.length],
      upstream: NAMES[i % NAMES.length] as string,
      // Answers come back in another order than the calls went out.
      ms: (i * 37) % 50,
      text: `${i} of client ${i % clients.length}`,
    }));
    const answers = await Promise.all(
      calls.map(({ client, upstream, ms, text }) => client?.say(`${upstream}__slow`, { ms, text })),
    );
    expect(answers).toEqual(calls.map(({ text }) => text));
  });

  it('gets all pages of all upstreams, in the order of the configuration, each entry once', async () => {
    const client = await connect(kind, `${gateway.url}/mcp`);
    const names = await client.toolNames();
    expect(new Set(names).size).toBe(names.length);
    const numbered = names.filter((name) => /__tool_\d+$/.test(name));
    const expected = NAMES.flatMap((upstream) =>
      Array.from({ length: 25 }, (_, i) => `${upstream}__tool_${String(i).padStart(3, '0')}`),
    );
    expect(numbered).toEqual(expected);
    expect(await client.say('modern__tool_024')).toBe('tool_024 of modern');
  });
});

it('gives out pages of the configured size, and the same ones again', async () => {
  const session = await beginSession(`${gateway.url}/mcp`);
  const walk = async () => {
    const pages: string[][] = [];
    let cursor: string | undefined;
    do {
      const { result } = await session.ask('tools/list', cursor === undefined ? undefined : { cursor });
      pages.push(result.tools.map(({ name }: { name: string }) => name));
      cursor = result.nextCursor;
    } while (cursor !== undefined);
    return pages;
  };
  const pages = await walk();
  expect(pages.slice(0, -1).every((page) => page.length === 10)).toBe(true);
  expect(pages.length).toBeGreaterThan(10);
  expect(await walk()).toEqual(pages);
});

it('refuses a cursor that it did not give out, or gave out for another list', async () => {
  const session = await beginSession(`${gateway.url}/mcp`);
  const { result } = await session.ask('tools/list');
  const altered = `${result.nextCursor.slice(0, -2)}${result.nextCursor.endsWith('AA') ? 'BB' : 'AA'}`;
  for (const [method, cursor] of [
    ['tools/list', altered],
    ['tools/list', 'eyJwYWdlIjoyfQ'],
    ['resources/list', result.nextCursor],
  ]) {
    const { error } = await session.ask(method as string, { cursor });
    expect(error).toMatchObject({ code: INVALID_PARAMS, message: expect.stringContaining('cursor') });
  }
  expect((await session.ask('tools/list', { cursor: '' })).result.tools).toEqual(result.tools);
});

it('lets the path of one upstream page as that upstream does', async () => {
  const session = await beginSession(`${gateway.url}/mcp/remote`);
  const { result } = await session.ask('tools/list');
  expect(result.tools).toHaveLength(7);
  expect(result.nextCursor).toBe('7');
});
