import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { metric } from './gateway-metrics.js';
import { HeldMemory } from './held-memory.js';
import { descendants } from './processes.js';
import { beginSession, events } from './raw-http.js';
import { plain } from './upstreams.js';

/* "It ran for a week, and there were two thousand processes. Most clients never say goodbye." */

const IS_FULL = process.env.SLUICE_TEST_FULL === '1';
const SESSION_COUNT = IS_FULL ? 5_000 : 500;
const CONCURRENT_COUNT = 12;
const STORY_LIMIT_MS = SESSION_COUNT * 300;
/** Sockets and files that come and go by themselves. */
const DESCRIPTOR_TOLERANCE = 10;

/** Sessions before the first reading: with them comes what is compiled and kept once. */
const FIRST_COUNT = 120;
/** What may stay of each session on average. An idle one holds some 4,000 bytes, and compiled code grows for a while. */
const MAX_HELD_BYTES_PER_SESSION = 2_000;

/** How a client leaves; most do not say so. */
const WAYS = ['says goodbye', 'vanishes', 'vanishes in a call', 'vanishes while it listens'] as const;

const memory = new HeldMemory();
let gateway: RunningGateway;

beforeAll(async () => {
  gateway = await startGateway({
    env: memory.env,
    config: {
      gateway: { sessions: { idle_timeout: '2s' } },
      upstreams: [plain('own', [], { sharing: 'per_session', max_processes: 500 })],
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  memory.remove();
});

async function liveASession(number: number): Promise<void> {
  const session = await beginSession(`${gateway.url}/mcp/own`);
  const text = `session ${number}`;
  const { result } = await session.ask('tools/call', { name: 'echo', arguments: { text } });
  expect(result.content[0].text).toBe(text);
  const stop = new AbortController();
  switch (WAYS[number % WAYS.length]) {
    case 'says goodbye':
      await session.end();
      break;
    case 'vanishes in a call': {
      const params = { name: 'slow', arguments: { ms: 500, text } };
      const call = session.post(
        { jsonrpc: '2.0', id: 'x', method: 'tools/call', params },
        { signal: stop.signal },
      );
      setTimeout(() => stop.abort(), 20);
      await call.catch(() => undefined);
      break;
    }
    case 'vanishes while it listens': {
      const stream = await session.listen({ signal: stop.signal });
      stop.abort();
      await events(stream)
        .next()
        .catch(() => undefined);
      break;
    }
    default:
  }
}

/** Lives some at a time. Returns the largest number of processes that was seen. */
async function liveSessions(count: number): Promise<number> {
  let next = 0;
  let most = 0;
  const live = async () => {
    while (next < count) {
      await liveASession(next++);
      if (next % 100 === 0) most = Math.max(most, descendants(gateway.pid).length);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT_COUNT }, live));
  return most;
}

it(
  `after ${SESSION_COUNT} sessions with a process each, nothing of them is left`,
  async () => {
    const dataPlane = () => descendants(gateway.pid).find(({ ppid }) => ppid === gateway.pid)?.pid as number;
    const descriptorCount = () => readdirSync(`/proc/${dataPlane()}/fd`).length;
    // What a first session makes for good (compiled code, sockets of this test) is there before it is counted.
    await liveSessions(FIRST_COUNT);
    const sessionCount = () => metric(gateway.url, 'sluice_sessions_active');
    await expect.poll(sessionCount, { timeout: 30_000 }).toBe(0);
    // The process that is shared for lists, beside the data plane.
    await expect.poll(() => descendants(gateway.pid).length, { timeout: 30_000 }).toBe(2);
    const descriptorsBefore = descriptorCount();
    const heldBefore = await memory.bytes(dataPlane());

    const most = await liveSessions(SESSION_COUNT);
    // There were processes to lose.
    expect(most).toBeGreaterThan(3);

    await expect.poll(sessionCount, { timeout: 60_000 }).toBe(0);
    await expect
      .poll(() => descendants(gateway.pid).map(({ state }) => state), { timeout: 60_000 })
      .toHaveLength(2);
    expect(descendants(gateway.pid).filter(({ state }) => state === 'Z')).toEqual([]);
    await expect
      .poll(descriptorCount, { timeout: 30_000 })
      .toBeLessThanOrEqual(descriptorsBefore + DESCRIPTOR_TOLERANCE);
    const heldAfter = await memory.bytes(dataPlane());
    expect((heldAfter - heldBefore) / SESSION_COUNT).toBeLessThan(MAX_HELD_BYTES_PER_SESSION);
    expect(await metric(gateway.url, 'sluice_requests_in_flight')).toBe(0);
    expect(await metric(gateway.url, 'sluice_faults_total')).toBe(0);
    const ended = async (reason: string) =>
      (await metric(gateway.url, `sluice_session_ends_total{reason="${reason}"}`)) ?? 0;
    const all = SESSION_COUNT + FIRST_COUNT;
    expect((await ended('idle')) + (await ended('ended by the client'))).toBe(all);
    expect(await ended('ended by the client')).toBe(Math.ceil(all / WAYS.length));
  },
  STORY_LIMIT_MS,
);
