import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { createApiKey } from '@sluice/plugins/credentials';
import { Isolation } from '@sluice/proto';
import type { Resource, Rollout } from '@sluice/proto/cluster';
import { RolloutState } from '@sluice/proto/cluster';
import { afterAll, afterEach, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { httpUpstream, resource } from '../../../../control-plane/test/delivering.js';
import { closeClients, connect } from '../official-client.js';
import { RawSocketClient } from '../over-websocket.js';
import { modernParams } from '../raw-http.js';
import { DEAD_URL, freePort, type HttpServer, PLAIN, startPlain } from '../upstreams.js';
import { NODE_TOKEN, type RunningControlPlane, startControlPlane, tokenFiles } from './control-plane.js';
import { type RunningNode, startNode } from './node.js';
import { isServing } from './replica-cluster.js';

/* "I give a change to a share of the callers first, and it goes on, or back, by itself." */

const isFull = process.env.SLUICE_TEST_FULL === '1';
const HASH_KEY = 'a secret of at least thirty-two characters';
const CALLER_COUNT = 40;
const STORY_LIMIT_MS = 90_000;
const PATIENT = { timeout: 30_000, interval: 100 };
const NODE_ARGS = ['--node', 'n1', '--workers', '2'];

const callers = Array.from({ length: CALLER_COUNT }, (_, index) => ({
  name: `caller-${index}`,
  ...createApiKey(HASH_KEY),
}));

let folder: string;
let plane: RunningControlPlane;
let node: RunningNode;
let url: string;
let stable: HttpServer;
let candidate: HttpServer;
let other: HttpServer;
let failing: Server;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-callers-'));
  [stable, candidate, other] = await Promise.all([
    startPlain(['--tools', 'of_stable']),
    startPlain(['--tools', 'of_candidate']),
    startPlain(['--tools', 'untouched']),
  ]);
  failing = await failingCalls(candidate.url);
  plane = await startControlPlane([...['--state-dir', join(folder, 'plane')], ...(await tokenFiles(folder))]);
  await plane.isReady();
  await plane.client.configuration.apply({
    resources: [keys(), httpUpstream('demo', stable.url), httpUpstream('aside', other.url)],
  });
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  node = startNode(
    [
      ...['--control-plane', plane.nodes, ...NODE_ARGS],
      ...['--state-dir', join(folder, 'n1'), '--port', `${port}`],
    ],
    { SLUICE_NODE_TOKEN: NODE_TOKEN },
  );
  await isServing(url);
  await vi.waitFor(
    async () => expect((await given(callers)).every((each) => each === 'stable')).toBe(true),
    PATIENT,
  );
}, STORY_LIMIT_MS);

afterEach(async () => {
  await closeClients();
  // One that failed is not to keep the next from changing anything.
  const rollout = await newest().catch(() => undefined);
  if (rollout?.state === RolloutState.IN_PROGRESS) await plane.client.rollout.abortRollout({});
});

afterAll(async () => {
  await node.stop();
  await plane.stop();
  await Promise.all([stable, candidate, other].map((server) => server.kill()));
  failing.closeAllConnections();
  failing.close();
  await rm(folder, { recursive: true, force: true });
});

const allKeys = callers.map(({ name, prefix, hash }) => ({ prefix, hash, consumer: name }));

function keys(entries: { prefix: string; hash: string; consumer: string }[] = allKeys): Resource {
  return resource({
    spec: {
      case: 'plugin',
      value: { plugin: 'auth-api-key', config: { hash_key: HASH_KEY, keys: entries } },
    },
  });
}

/** A server that answers everything but calls. */
async function failingCalls(target: string): Promise<Server> {
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces).toString();
    if (body.includes('"tools/call"')) {
      response.writeHead(500).end();
      return;
    }
    const { host: _host, connection: _connection, 'content-length': _length, ...headers } = request.headers;
    const answer = await fetch(target, {
      method: request.method as string,
      headers: headers as Record<string, string>,
      ...(body !== '' && { body }),
    });
    const {
      'content-encoding': _encoding,
      'transfer-encoding': _transfer,
      ...own
    } = Object.fromEntries(answer.headers);
    response.writeHead(answer.status, own).end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const failingUrl = () => `http://127.0.0.1:${(failing.address() as AddressInfo).port}/mcp`;

type Caller = (typeof callers)[number];

async function ask(key: string | undefined, method: string, params: { name?: string } = {}, path = '/mcp') {
  const answer = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(params.name !== undefined && { 'mcp-name': params.name }),
      ...(key !== undefined && { 'x-api-key': key }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: modernParams(params) }),
  });
  return { status: answer.status, text: await answer.text() };
}

/** What each caller is given, by the tools that it sees. */
async function given(some: readonly Caller[]): Promise<string[]> {
  return Promise.all(
    some.map(async ({ key }) => {
      const { text } = await ask(key, 'tools/list');
      expect(text).toContain('untouched');
      const seen = ['stable', 'candidate'].filter((each) => text.includes(`of_${each}"`));
      return seen.join(' and ');
    }),
  );
}

const countOf = (all: readonly string[], what: string) => all.filter((each) => each === what).length;

async function newest(): Promise<Rollout> {
  const { rollout } = await plane.client.rollout.getRollout({});
  return rollout as Rollout;
}

const begin = (upstream: string, steps: readonly object[], more: object = {}) =>
  plane.client.configuration.apply({
    resources: [httpUpstream('demo', upstream)],
    options: { rollout: { steps: steps as never, ...more } },
  });

/** The node has said that all its workers give it to callers: one swaps a moment before the other. */
const isTried = () =>
  vi.waitFor(async () => {
    const [shown] = (await plane.client.fleet.listNodes({})).nodes;
    expect(shown?.health?.trial?.position?.revision).toBe((await newest()).revision);
  }, PATIENT);

/** Resolves with what each caller is given, when some are given the candidate. */
async function whenTried(): Promise<string[]> {
  await isTried();
  let seen: string[] = [];
  await vi.waitFor(async () => {
    seen = await given(callers);
    expect(countOf(seen, 'candidate')).toBeGreaterThan(0);
    expect(countOf(seen, 'candidate') + countOf(seen, 'stable')).toBe(CALLER_COUNT);
  }, PATIENT);
  return seen;
}

it('is given to a share that grows and keeps whom it has, then to all; sessions go on', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  const before = await plane.client.configuration.getRevision({});
  const options = { headers: { 'x-api-key': callers[0]?.key as string } };
  const aside = await connect('SDK v2 legacy', `${url}/mcp/aside`, options);
  await begin(candidate.url, [{ principalsPercent: 30 }, { principalsPercent: 70 }], {
    pauseMs: 3_600_000,
    limits: { minRequestsCount: 0 },
  });
  const first = await whenTried();
  // 30 % of 40, by a hash: the chance of fewer than 3 or more than 24 is below one in ten thousand.
  expect(countOf(first, 'candidate')).toBeGreaterThanOrEqual(3);
  expect(countOf(first, 'candidate')).toBeLessThanOrEqual(24);
  // The same at every worker, again and again.
  for (let round = 0; round < 5; round++) expect(await given(callers)).toEqual(first);
  // Who does not say who it is hears what it always did.
  expect((await ask(undefined, 'tools/list')).status).toBe(401);
  const rollout = await newest();
  expect(rollout).toMatchObject({ state: RolloutState.IN_PROGRESS, step: 1, nodes: ['n1'] });
  const { nodes } = await plane.client.fleet.listNodes({});
  expect(nodes[0]?.health?.position?.revision).toBe(before.revision?.number);
  expect(nodes[0]?.health?.trial).toMatchObject({
    principalsPercent: 30,
    position: { revision: rollout.revision },
  });
  const tried = callers[first.indexOf('candidate')] as Caller;
  const session = await connect('SDK v2 legacy', `${url}/mcp`, { headers: { 'x-api-key': tried.key } });
  expect(await session.toolNames()).toContain('demo__of_candidate');
  await plane.client.rollout.promoteRollout({ reason: 'enough seen' });
  await vi.waitFor(
    async () => expect(countOf(await given(callers), 'candidate')).toBe(CALLER_COUNT),
    PATIENT,
  );
  expect(await session.toolNames()).toContain('demo__of_candidate');
  expect(await aside.toolNames()).toContain('untouched');
  await vi.waitFor(async () => {
    const [shown] = (await plane.client.fleet.listNodes({})).nodes;
    expect(shown?.health?.position?.revision).toBe(rollout.revision);
    expect(shown?.health?.trial).toBeUndefined();
  }, PATIENT);
  // As it was, for the next story.
  await plane.client.configuration.apply({ resources: [httpUpstream('demo', stable.url)] });
  await vi.waitFor(async () => expect(countOf(await given(callers), 'stable')).toBe(CALLER_COUNT), PATIENT);
});

it('goes on by itself from step to step, each keeping the callers of the one before', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  const steps = [{ principalsPercent: 30 }, { principalsPercent: 70 }];
  await begin(candidate.url, steps, { pauseMs: 1_000, limits: { minRequestsCount: 20 } });
  /** What was given last in each step: its workers have long swapped by then. */
  const lastOf = new Map<number, boolean[]>();
  await vi.waitFor(async () => {
    const { step } = await newest();
    const isGiven = (await given(callers)).map((each) => each === 'candidate');
    const after = await newest();
    if (after.step === step && after.state === RolloutState.IN_PROGRESS) lastOf.set(step, isGiven);
    expect(after.state).toBe(RolloutState.PROMOTED);
  }, PATIENT);
  const [first = [], second = []] = [lastOf.get(1), lastOf.get(2)];
  expect(first).toContain(true);
  for (const [caller, has] of first.entries()) if (has) expect(second[caller]).toBe(true);
  expect(second.filter(Boolean).length).toBeGreaterThan(first.filter(Boolean).length);
  const { canary, events } = await newest();
  expect(Number(canary?.requestsCount)).toBeGreaterThanOrEqual(20);
  expect(events.map(({ step }) => step)).toEqual([1, 2, 2]);
  await vi.waitFor(
    async () => expect(countOf(await given(callers), 'candidate')).toBe(CALLER_COUNT),
    PATIENT,
  );
  await plane.client.configuration.apply({ resources: [httpUpstream('demo', stable.url)] });
  await vi.waitFor(async () => expect(countOf(await given(callers), 'stable')).toBe(CALLER_COUNT), PATIENT);
});

it('goes back by itself when calls fail for those who are given it, and for no other', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  await begin(failingUrl(), [{ principalsPercent: 40 }], {
    pauseMs: 3_600_000,
    limits: { minRequestsCount: 20 },
  });
  const seen = await whenTried();
  const others = callers.filter((_, index) => seen[index] === 'stable');
  await vi.waitFor(async () => {
    const said = await Promise.all(
      callers.map(async ({ key }, index) => {
        const name = `demo__of_${seen[index]}`;
        const { text } = await ask(key, 'tools/call', { name });
        return { text, isOther: seen[index] === 'stable' };
      }),
    );
    for (const { text, isOther } of said) if (isOther) expect(text).toContain('"content"');
    expect((await newest()).state).toBe(RolloutState.ROLLED_BACK);
  }, PATIENT);
  expect(others.length).toBeGreaterThan(0);
  const { events } = await newest();
  expect(events.at(-2)?.reason).toMatch(/% of \d+ requests failed with it, 0\.0 % of \d+ without it/);
  await vi.waitFor(async () => expect(countOf(await given(callers), 'stable')).toBe(CALLER_COUNT), PATIENT);
});

it('goes back by itself when its server does not answer, or the node cannot run it', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  await begin(DEAD_URL, [{ principalsPercent: 50 }], { limits: { maxArrivalMs: 3_000 } });
  await vi.waitFor(async () => expect((await newest()).state).toBe(RolloutState.ROLLED_BACK), PATIENT);
  expect((await newest()).events.at(-2)?.reason).toMatch(/1 upstream does not answer n1, and 0 without/);
  const missing = resource({
    spec: {
      case: 'upstream',
      value: {
        name: 'demo',
        transport: {
          case: 'http',
          value: { url: candidate.url, headers: { authorization: 'Bearer ${SLUICE_STORY_MISSING}' } },
        },
      },
    },
  });
  await plane.client.configuration.apply({
    resources: [missing],
    options: { rollout: { steps: [{ principalsPercent: 50 }] } },
  });
  await vi.waitFor(async () => expect((await newest()).state).toBe(RolloutState.ROLLED_BACK), PATIENT);
  expect((await newest()).events.at(-2)?.reason).toMatch(
    /^1 node refused revision \d+.*SLUICE_STORY_MISSING/,
  );
  await vi.waitFor(async () => expect(countOf(await given(callers), 'stable')).toBe(CALLER_COUNT), PATIENT);
});

it('is taken back by one command, and taken up again by a node that starts anew meanwhile', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  await begin(candidate.url, [{ principalsPercent: 40 }], { pauseMs: 3_600_000 });
  const seen = await whenTried();
  await node.stop();
  const port = new URL(url).port;
  node = startNode(
    [
      ...['--control-plane', plane.nodes, ...NODE_ARGS],
      ...['--state-dir', join(folder, 'n1'), '--port', port],
    ],
    { SLUICE_NODE_TOKEN: NODE_TOKEN },
  );
  await isServing(url);
  await vi.waitFor(async () => expect(await given(callers)).toEqual(seen), PATIENT);
  const { rollout } = await plane.client.rollout.abortRollout({ reason: 'not on a Friday' });
  expect(rollout?.state).toBe(RolloutState.ROLLED_BACK);
  await vi.waitFor(async () => expect(countOf(await given(callers), 'stable')).toBe(CALLER_COUNT), PATIENT);
});

it('leaves sessions where they began, and has those of the share go on when it is over', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  const [caller] = callers as [Caller];
  const options = () => ({ headers: { 'x-api-key': caller.key } });
  const before = await connect('SDK v2 legacy', `${url}/mcp`, options());
  await begin(candidate.url, [{ principalsPercent: 100 }], { pauseMs: 3_600_000 });
  await isTried();
  await vi.waitFor(
    async () => expect(countOf(await given(callers), 'candidate')).toBe(CALLER_COUNT),
    PATIENT,
  );
  expect((await ask(caller.key, 'tools/list', {}, '/mcp/demo')).text).toContain('of_candidate');
  // Sessions of both workers, each over connections that land at either.
  const since = await Promise.all(
    Array.from({ length: 6 }, () => connect('SDK v2 legacy', `${url}/mcp`, options())),
  );
  const socket = await RawSocketClient.open(`${url}/mcp`, options());
  await socket.initialize();
  const stream = await connect('SDK v1', url, {
    transport: new SSEClientTransport(new URL(`${url}/sse`), { requestInit: options() }),
  });
  for (const client of [...since, stream]) expect(await client.toolNames()).toContain('demo__of_candidate');
  expect(JSON.stringify(await socket.ask(1, 'tools/list'))).toContain('demo__of_candidate');
  for (let round = 0; round < 4; round++) expect(await before.toolNames()).toContain('demo__of_stable');
  expect(await since[0]?.say('aside__untouched')).toContain('untouched');
  await plane.client.rollout.abortRollout({ reason: 'seen enough' });
  await vi.waitFor(async () => expect(countOf(await given(callers), 'stable')).toBe(CALLER_COUNT), PATIENT);
  await vi.waitFor(() => expect(socket.closed).toBeDefined(), PATIENT);
  for (const client of [before, ...since]) {
    const names = await client.toolNames();
    expect(names).toContain('demo__of_stable');
    expect(names).not.toContain('demo__of_candidate');
  }
});

it.runIf(isFull)(
  'costs nobody a request when it begins, grows and ends',
  { timeout: STORY_LIMIT_MS },
  async () => {
    const failed: string[] = [];
    let count = 0;
    let isOver = false;
    const loads = callers.slice(0, 12).map(async ({ key }, index) => {
      const client = await connect('SDK v2 legacy', `${url}/mcp`, { headers: { 'x-api-key': key } });
      while (!isOver) {
        const said = await client.say('aside__untouched').catch((thrown: unknown) => `failed: ${thrown}`);
        const { status, text } = await ask(key, 'tools/call', { name: 'aside__untouched' });
        const direct = await ask(key, 'tools/list', {}, index % 2 === 0 ? '/mcp/demo' : '/mcp/aside');
        count += 1;
        if (said.startsWith('failed') || status !== 200 || !text.includes('untouched'))
          failed.push(said, text);
        if (direct.status !== 200 || !/of_stable|of_candidate|untouched/.test(direct.text))
          failed.push(direct.text);
      }
    });
    // Whatever becomes of it, the load is not to go on in the next story.
    onTestFinished(() => {
      isOver = true;
    });
    for (const how of ['promote', 'abort'] as const) {
      await begin(
        how === 'promote' ? candidate.url : stable.url,
        [{ principalsPercent: 50 }, { principalsPercent: 80 }],
        {
          pauseMs: 300,
          limits: { minRequestsCount: 5 },
        },
      );
      await vi.waitFor(async () => {
        const { step, waitingFor, canary, events } = await newest();
        expect(step, `${waitingFor} ${canary?.requestsCount} ${events.at(-1)?.reason}`).toBe(2);
      }, PATIENT);
      if (how === 'abort') await plane.client.rollout.abortRollout({ reason: 'seen enough' });
      else await vi.waitFor(async () => expect((await newest()).state).toBe(RolloutState.PROMOTED), PATIENT);
      const what = 'candidate';
      await vi.waitFor(async () => expect(countOf(await given(callers), what)).toBe(CALLER_COUNT), PATIENT);
    }
    await plane.client.configuration.apply({ resources: [httpUpstream('demo', stable.url)] });
    await vi.waitFor(async () => expect(countOf(await given(callers), 'stable')).toBe(CALLER_COUNT), PATIENT);
    isOver = true;
    await Promise.all(loads);
    expect(failed).toEqual([]);
    expect(count).toBeGreaterThan(50);
  },
);

it('has what it adds for callers of the share alone', { timeout: STORY_LIMIT_MS }, async () => {
  await plane.client.configuration.apply({
    resources: [httpUpstream('added', candidate.url)],
    options: { rollout: { steps: [{ principalsPercent: 50 }], pauseMs: 3_600_000 } },
  });
  const statuses = () =>
    Promise.all(callers.map(async ({ key }) => (await ask(key, 'tools/list', {}, '/mcp/added')).status));
  await isTried();
  let seen: number[] = [];
  await vi.waitFor(async () => {
    seen = await statuses();
    expect(seen).toContain(200);
  }, PATIENT);
  expect(new Set(seen)).toEqual(new Set([200, 404]));
  expect(await statuses()).toEqual(seen);
  expect((await ask(undefined, 'tools/list', {}, '/mcp/added')).status).toBe(404);
  expect((await ask('sk_nobody', 'tools/list', {}, '/mcp/added')).status).toBe(404);
  await plane.client.rollout.abortRollout({ reason: 'seen enough' });
  await vi.waitFor(async () => expect(new Set(await statuses())).toEqual(new Set([404])), PATIENT);
});

it('goes back by itself when it locks callers out who were let in', { timeout: STORY_LIMIT_MS }, async () => {
  const { key: _key, name: _name, ...nobody } = { ...createApiKey(HASH_KEY), name: '' };
  await plane.client.configuration.apply({
    resources: [keys([{ ...nobody, consumer: 'nobody' }])],
    options: {
      rollout: { steps: [{ principalsPercent: 50 }], pauseMs: 3_600_000, limits: { minRequestsCount: 20 } },
    },
  });
  const statuses = () => Promise.all(callers.map(async ({ key }) => (await ask(key, 'tools/list')).status));
  const all: number[] = [];
  await vi.waitFor(async () => {
    all.push(...(await statuses()));
    expect((await newest()).state).toBe(RolloutState.ROLLED_BACK);
  }, PATIENT);
  expect(new Set(all)).toEqual(new Set([200, 401]));
  expect((await newest()).events.at(-2)?.reason).toMatch(/^100\.0 % of \d+ requests failed with it/);
  await vi.waitFor(async () => expect(new Set(await statuses())).toEqual(new Set([200])), PATIENT);
});

it('has its own plugins act on the share, wherever they run', { timeout: STORY_LIMIT_MS }, async () => {
  const plugin = (value: object) => resource({ spec: { case: 'plugin', value } } as never);
  const pace = (burst: number) => {
    const limits = [{ name: 'each', key: ['principal.id'], rate: burst, per: 'hour', burst }];
    return plugin({ name: 'pace', plugin: 'ratelimit', config: { limits } });
  };
  const nothing = plugin({
    plugin: 'authorize',
    isolation: Isolation.POOL,
    config: { permissions: { '*:*': ['scope:nobody'] } },
  });
  const calls = async ({ key }: Caller) => {
    const all = await Promise.all(
      Array.from({ length: 8 }, () => ask(key, 'tools/call', { name: 'aside__untouched' })),
    );
    return all.filter(({ text }) => text.includes('"content"')).length;
  };
  await plane.client.configuration.apply({ resources: [pace(10_000)] });
  // The memory of a limit is shared by the workers, of each revision by itself.
  for (const [change, leftCount] of [
    [pace(1), 1],
    [nothing, 0],
  ] as const) {
    await plane.client.configuration.apply({
      resources: [change],
      options: { rollout: { steps: [{ principalsPercent: 50 }], pauseMs: 3_600_000 } },
    });
    await isTried();
    const counts = await Promise.all(callers.slice(0, 16).map(calls));
    expect(new Set(counts)).toEqual(new Set([8, leftCount]));
    await plane.client.rollout.abortRollout({ reason: 'seen enough' });
    await vi.waitFor(
      async () => expect(new Set(await Promise.all(callers.slice(0, 16).map(calls)))).toEqual(new Set([8])),
      PATIENT,
    );
  }
});

it('tries a server over stdio beside the one that everybody uses', { timeout: STORY_LIMIT_MS }, async () => {
  const stdio = (name: string) =>
    resource({
      spec: {
        case: 'upstream',
        value: {
          name: 'local',
          transport: {
            case: 'stdio',
            value: { command: process.execPath, args: [PLAIN, '--name', name, '--tools', `of_${name}`] },
          },
        },
      },
    });
  const seen = async () => {
    const all = await Promise.all(
      callers.map(async ({ key }) => (await ask(key, 'tools/list', {}, '/mcp/local')).text),
    );
    return all.map((text) => ['old', 'new'].filter((each) => text.includes(`of_${each}"`)).join());
  };
  await plane.client.configuration.apply({ resources: [stdio('old')] });
  await vi.waitFor(async () => expect(countOf(await seen(), 'old')).toBe(CALLER_COUNT), PATIENT);
  await plane.client.configuration.apply({
    resources: [stdio('new')],
    options: { rollout: { steps: [{ principalsPercent: 50 }], pauseMs: 3_600_000 } },
  });
  await isTried();
  let tried: string[] = [];
  await vi.waitFor(async () => {
    tried = await seen();
    expect(tried).toContain('new');
  }, PATIENT);
  for (let round = 0; round < 5; round++) expect(await seen()).toEqual(tried);
  expect(countOf(tried, 'old')).toBeGreaterThan(0);
  await plane.client.rollout.promoteRollout({ reason: 'seen enough' });
  await vi.waitFor(async () => expect(countOf(await seen(), 'new')).toBe(CALLER_COUNT), PATIENT);
});

it('refuses steps that would take it from callers again, and those of both kinds', async () => {
  await expect(begin(candidate.url, [{ principalsPercent: 30 }, { principalsPercent: 10 }])).rejects.toThrow(
    /a caller who is given the revision keeps it/,
  );
  await expect(begin(candidate.url, [{ principalsPercent: 30 }, { nodesPercent: 100 }])).rejects.toThrow(
    /stands in all steps or in none/,
  );
  await expect(begin(candidate.url, [{ principalsPercent: 101 }])).rejects.toThrow(/has to be 1 to 100/);
});
