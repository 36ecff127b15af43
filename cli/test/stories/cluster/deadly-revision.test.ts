import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  type Delivering,
  httpUpstream,
  resource,
  startDelivering,
} from '../../../../control-plane/test/delivering.js';
import { freePort } from '../upstreams.js';
import { type RunningNode, startNode } from './node.js';

/* "I committed something that kills my nodes, and they came back without me." */

const SOON = { timeout: 30_000, interval: 50 };
const STORY_LIMIT_MS = 120_000;
/** `ISOLATION_INLINE` of the configuration. */
const INLINE = 1;
const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
const REASON = 'the process ended while it was prepared, 2 times';
/** Ends the process, as an error in native code would, when it is made and a file is there. */
const DEADLY_PLUGIN = `
import { appendFileSync, existsSync } from 'node:fs';
import { definePlugin, Type } from '@sluice/sdk';

export default definePlugin({
  name: 'deadly',
  version: '1.0.0',
  description: 'Ends the process that makes it.',
  phase: 'shape',
  config: Type.Object({ file: Type.String() }, { additionalProperties: false }),
  reads: [],
  changes: [],
  hooks: ({ file }) => {
    if (existsSync(file)) {
      appendFileSync(file, '.');
      process.kill(process.pid, 'SIGKILL');
    }
    return {};
  },
});
`;

let folder: string;
let port: number;
let plane: Delivering;
let node: RunningNode | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-deadly-'));
  port = await freePort();
  plane = await startDelivering();
});
afterEach(async () => {
  await node?.stop();
  node = undefined;
  plane.stop();
  await rm(folder, { recursive: true, force: true });
});

function start(workers: number): RunningNode {
  node = startNode([
    ...['--control-plane', plane.address, '--node', 'n1', '--state-dir', join(folder, 'state')],
    ...['--port', String(port), '--workers', String(workers)],
  ]);
  return node;
}

async function ready(): Promise<{ status: number; reason: string }> {
  const answer = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined);
  if (answer === undefined) return { status: 0, reason: '' };
  const { reason = '' } = (await answer.json()) as { reason?: string };
  return { status: answer.status, reason };
}

const isReady = () => vi.waitFor(async () => expect((await ready()).status).toBe(200), SOON);
const trigger = () => join(folder, 'trigger');
/** How often it has ended a process. */
const countEnds = async () => (await readFile(trigger(), 'utf8')).length;

const committed = (revision: number, deadlineMs = 30_000) =>
  plane.fleet.convergence({ revision, wait: { kind: 'all' }, deadlineMs });

/** The control plane has heard it from the node. */
const isRefused = (revision: number) =>
  vi.waitFor(async () => {
    // Between two starts there is no node to wait for.
    expect(await committed(revision, 500)).toMatchObject({
      reached: false,
      behind: [{ node: 'n1', rejection: expect.stringContaining(REASON) }],
    });
  }, SOON);

async function deadlyPlugin() {
  const place = join(folder, 'deadly');
  await mkdir(place);
  await writeFile(join(place, 'index.js'), DEADLY_PLUGIN);
  const about = { name: 'deadly', version: '1.0.0', private: true, type: 'module', exports: './index.js' };
  await writeFile(join(place, 'package.json'), JSON.stringify(about));
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, 'plugin', 'pack', place]);
  const hash = /hash: (sha256-\S{44})/.exec(stdout)?.[1] as string;
  const value = { name: 'deadly', plugin: place, hash, isolation: INLINE, config: { file: trigger() } };
  return resource({ spec: { case: 'plugin', value } });
}

it.each([1, 2])(
  'a revision that ends a node of %i workers is refused, and a newer one taken',
  {
    timeout: STORY_LIMIT_MS,
  },
  async (workers) => {
    const deadly = await deadlyPlugin();
    await writeFile(trigger(), '');
    await plane.write([httpUpstream('one', 'http://127.0.0.1:9/mcp')]);
    start(workers);
    await isReady();
    const bad = await plane.write([deadly]);
    await isRefused(bad);
    await isReady();
    const endCount = await countEnds();
    expect(endCount).toBeGreaterThanOrEqual(2);
    // Not by another start either.
    await node?.stop();
    start(workers);
    await isReady();
    await isRefused(bad);
    expect(await countEnds()).toBe(endCount);
    const mended = await plane.write([httpUpstream('two', 'http://127.0.0.1:9/mcp')], ['plugin//deadly']);
    expect(await committed(mended)).toMatchObject({ reached: true });
  },
);

it('a revision on the disk that ends the node is not begun with for ever', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  const first = await plane.write([httpUpstream('one', 'http://127.0.0.1:9/mcp'), await deadlyPlugin()]);
  start(1);
  await isReady();
  expect(await committed(first)).toMatchObject({ reached: true });
  await node?.stop();
  await writeFile(trigger(), '');
  // What ends before it has served once is started again by whoever started it.
  for (let round = 0; round < 2; round++) expect(await start(1).ended).not.toBe(0);
  start(1);
  await vi.waitFor(async () => expect((await ready()).reason).toContain(REASON), SOON);
  const mended = await plane.write([], ['plugin//deadly']);
  expect(await committed(mended)).toMatchObject({ reached: true });
  await isReady();
});
