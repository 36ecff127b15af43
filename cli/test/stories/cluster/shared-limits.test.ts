import { afterEach, expect, it, vi } from 'vitest';
import { resource } from '../../../../control-plane/test/delivering.js';
import { describeUnless } from '../../servers/describe-unless.js';
import { NO_NATS } from '../../servers/nats.js';
import { NO_REDIS, startRedis } from '../../servers/redis.js';
import type { TestServer } from '../../servers/server-process.js';
import { postModern } from '../raw-http.js';
import { SOON } from './control-plane.js';
import { KEY } from './node.js';
import { SharingNodes, type StoryNode } from './sharing-nodes.js';

/* "My callers get so much of all my nodes together, and nobody waits for it." */

const BURST = 40;
/** Of each of the three workers: see the page of the plugin. */
const MAX_IN_HAND = 3 * (BURST / 10);

let sharing: SharingNodes | undefined;
let redis: TestServer | undefined;

afterEach(async () => {
  await sharing?.stop();
  await redis?.close();
  sharing = undefined;
  redis = undefined;
});

async function begin(without_store: 'node' | 'deny', withRedis = false): Promise<SharingNodes> {
  if (withRedis) redis = await startRedis();
  const limits = [{ name: 'all', key: [], rate: BURST, per: 'hour' }];
  sharing = await SharingNodes.begin({
    args: redis === undefined ? [] : ['--redis', redis.url],
    env: { SLUICE_NODE_KEY: KEY },
    resources: [
      resource({
        spec: {
          case: 'plugin',
          value: { plugin: 'ratelimit', config: { limits, scope: 'cluster', without_store } },
        },
      }),
    ],
  });
  return sharing;
}

/** How many of so many calls at these nodes in turn passed. */
async function passing(nodes: readonly StoryNode[], count: number): Promise<number> {
  let passed = 0;
  for (let i = 0; i < count; i++) {
    const { url } = nodes[i % nodes.length] as StoryNode;
    const answer = await postModern(`${url}/mcp/remote`, 'tools/call', { name: 'count', arguments: {} });
    await answer.arrayBuffer();
    if (answer.status === 200) passed++;
    else
      expect([answer.status, Number(answer.headers.get('retry-after'))]).toEqual([429, expect.any(Number)]);
  }
  return passed;
}

describeUnless(NO_NATS, 'a limit of the cluster', () => {
  it.for([
    ['NATS', false],
    ['Redis', true],
  ] as const)('over %s holds for all nodes together', async ([, withRedis], { skip }) => {
    skip(withRedis && NO_REDIS !== undefined, NO_REDIS);
    const { nodes } = await begin('node', withRedis);
    const passed = await passing(nodes, 3 * BURST);
    expect(passed).toBeLessThanOrEqual(BURST + MAX_IN_HAND + 1);
    // What is in the hand of a worker that nobody asked in the end.
    expect(passed).toBeGreaterThanOrEqual(BURST - MAX_IN_HAND);
  });

  it('is kept by each node for itself while the store is away, which is said, and by all together afterwards', async () => {
    const { n1, n2, nodes, nats } = await begin('node');
    expect(await passing([n1], 10)).toBe(10);
    await nats.kill();
    await vi.waitFor(async () => expect(await n1.metric('sluice_nats_up')).toBe(0), SOON);
    expect(await passing([n1], BURST)).toBe(BURST - 10);
    expect(await passing([n2], BURST + 10)).toBe(BURST);
    for (const node of nodes) expect(node.logs()).toContain('then each node keeps the limits by itself');
    await nats.restart();
    await vi.waitFor(async () => expect(await n1.metric('sluice_nats_up')).toBe(1), SOON);
    expect(await passing([n1], 5)).toBe(0);
  });

  it('refuses when the store is away, where the configuration says so', async () => {
    const { n2, nats } = await begin('deny');
    expect(await passing([n2], 20)).toBe(20);
    await nats.kill();
    await vi.waitFor(async () => expect(await n2.metric('sluice_nats_up')).toBe(0), SOON);
    expect(await passing([n2], 20)).toBeLessThanOrEqual(BURST / 10);
    expect(n2.logs()).toContain('then requests are refused');
    await nats.restart();
    await vi.waitFor(async () => expect(await passing([n2], 1)).toBe(1), { ...SOON, interval: 500 });
  });
});
