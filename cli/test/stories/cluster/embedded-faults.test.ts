import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NodeEventKind, Presence } from '@sluice/proto/cluster';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { freePort } from '../upstreams.js';
import {
  NODE_TOKEN,
  type RunningControlPlane,
  SOON,
  startControlPlane,
  tokenFiles,
} from './control-plane.js';
import { murder, type RunningNode, startNode } from './node.js';

/* "The disk of my control plane is full, its folder is not there, or somebody else uses it." */

const SHIFTED_CLOCK = fileURLToPath(new URL('../../chaos/shifted-clock.mjs', import.meta.url));
const DAY_MS = 24 * 60 * 60_000;
/** One MiB in the blocks of `ulimit -f`. */
const MIB_BLOCK_COUNT = 2_048;

let folder: string;
const planes: RunningControlPlane[] = [];
const nodes: RunningNode[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-embedded-'));
});
afterEach(async () => {
  await Promise.all([...nodes.splice(0), ...planes.splice(0)].map((each) => each.stop()));
  await rm(folder, { recursive: true, force: true });
});

async function start(stateDir: string, options?: Parameters<typeof startControlPlane>[1]) {
  const plane = await startControlPlane(['--state-dir', stateDir, ...(await tokenFiles(folder))], options);
  planes.push(plane);
  return plane;
}

async function joined(plane: RunningControlPlane, name: string, stateDir: string): Promise<RunningNode> {
  const port = String(await freePort());
  const node = startNode(
    ['--control-plane', plane.nodes, '--node', name, '--state-dir', stateDir, '--port', port],
    { SLUICE_NODE_TOKEN: NODE_TOKEN },
  );
  nodes.push(node);
  return node;
}

const healthOf = async ({ health }: RunningControlPlane) =>
  (await (await fetch(`http://${health}/health`)).json()) as { status: string; troubles?: string[] };

describe('the embedded store', () => {
  it('of a full disk refuses changes with the reason, goes on with what it has, and takes them when there is room', async () => {
    const plane = await start(join(folder, 'state'), { fileBlockCount: MIB_BLOCK_COUNT });
    await plane.isReady();
    const { configuration, fleet } = plane.client;
    const write = (index: number) => {
      const scopes = Array.from({ length: 50 }, (_, each) => `${each}${'x'.repeat(100)}`);
      const resources = Array.from({ length: 40 }, (_, each) => ({
        spec: { case: 'consumer' as const, value: { name: `c${index}-${each}`, scopes } },
      }));
      return configuration.apply({ resources });
    };
    let last = 0;
    const refused = (async () => {
      for (;;) last = Number((await write(last + 1)).revision);
    })();
    await expect(refused).rejects.toThrow(/the store cannot be reached/);
    expect(await healthOf(plane)).toMatchObject({
      status: 'degraded',
      troubles: [expect.stringMatching(/^nothing can be changed: .*store\.db cannot be used/)],
    });
    expect(last).toBeGreaterThan(0);
    expect((await configuration.history({})).revisions[0]?.number).toBe(BigInt(last));
    await joined(plane, 'n1', join(folder, 'n1'));
    await vi.waitFor(async () => {
      expect((await fleet.listNodes({})).nodes[0]?.health?.position?.revision).toBe(BigInt(last));
    }, SOON);
    execFileSync('prlimit', ['--pid', String(plane.pid), '--fsize=unlimited:']);
    await vi.waitFor(async () => expect(Number((await write(last + 1)).revision)).toBe(last + 1), SOON);
    expect(await healthOf(plane)).toMatchObject({ status: 'ok', troubles: [] });
  });

  it('in a folder that cannot be is said at the start, and leaves no digest of a token that nobody has seen', async () => {
    await writeFile(join(folder, 'file'), '');
    const nowhere = await startControlPlane(['--state-dir', join(folder, 'file', 'state')]);
    planes.push(nowhere);
    expect(await nowhere.ended).toBe(3);
    expect(nowhere.logs()).toMatch(
      /the state folder \S+ cannot be used: ENOTDIR.*; choose another with --state-dir/,
    );
    // No byte can be written.
    const state = join(folder, 'full');
    const full = await startControlPlane(['--state-dir', state], { fileBlockCount: 0 });
    planes.push(full);
    expect(await full.ended).toBe(3);
    expect(full.logs()).toContain('EFBIG');
    expect(await readdir(state)).toEqual([]);
    const later = await startControlPlane(['--state-dir', state]);
    planes.push(later);
    await later.isReady();
    expect(later.printed()).toContain('SLUICE_NODE_TOKEN=');
  });
});

describe('a clock that jumps', () => {
  it('at the control plane loses no node, holds no change back, and keeps the order of revisions', async () => {
    const clock = join(folder, 'clock-shift-ms');
    await writeFile(clock, '0');
    const env = { NODE_OPTIONS: `--import=${SHIFTED_CLOCK}`, SLUICE_TEST_CLOCK_FILE: clock };
    const plane = await start(join(folder, 'state'), { env });
    await plane.isReady();
    const { configuration, fleet } = plane.client;
    await joined(plane, 'n1', join(folder, 'n1'));
    await vi.waitFor(async () => expect((await fleet.listNodes({})).nodes).toHaveLength(1), SOON);
    const write = async (name: string) => {
      const resources = [{ spec: { case: 'consumer' as const, value: { name } } }];
      const { convergence, revision } = await configuration.apply({ resources, options: { wait: 'all' } });
      expect(convergence).toMatchObject({ reached: true, active: 1 });
      return revision;
    };
    const times = async () =>
      (await configuration.history({})).revisions.map(({ time }) => Number(time?.seconds ?? 0n));
    expect(await write('before')).toBe(1n);
    for (const [index, shiftMs] of [DAY_MS, -DAY_MS].entries()) {
      await writeFile(clock, String(shiftMs));
      await vi.waitFor(async () => {
        await configuration.apply({
          resources: [{ spec: { case: 'consumer', value: { name: `at${shiftMs}-${Date.now()}` } } }],
        });
        const [newest = 0] = await times();
        expect(Math.abs(newest * 1_000 - Date.now() - shiftMs)).toBeLessThan(DAY_MS / 2);
      }, SOON);
      await write(`after${index}`);
      expect((await fleet.listNodes({})).nodes[0]?.presence).toBe(Presence.PRESENT);
    }
    const { revisions } = await configuration.history({});
    const numbers = revisions.map(({ number }) => Number(number));
    expect(numbers).toEqual([...numbers].sort((a, b) => b - a));
    expect((await fleet.listNodeEvents({})).events.map(({ kind }) => kind)).not.toContain(NodeEventKind.LOST);
  });
});

describe('a state folder of a node', () => {
  it('is not taken by another one, and is free when its node was killed', async () => {
    const plane = await start(join(folder, 'state'));
    await plane.isReady();
    const shared = join(folder, 'node');
    const first = await joined(plane, 'n1', shared);
    await vi.waitFor(
      async () => expect((await plane.client.fleet.listNodes({})).nodes).toHaveLength(1),
      SOON,
    );
    const second = await joined(plane, 'n2', shared);
    expect(await second.ended).toBe(3);
    expect(second.logs()).toMatch(
      /the state folder \S+ is used by the node n1 \(process \d+\); give each node a folder of its own/,
    );
    await murder(first);
    const again = await joined(plane, 'n3', shared);
    await vi.waitFor(async () => {
      const names = (await plane.client.fleet.listNodes({})).nodes.map(({ hello }) => hello?.node);
      expect(names).toContain('n3');
    }, SOON);
    expect(again.logs()).not.toContain('another node uses');
  });
});
