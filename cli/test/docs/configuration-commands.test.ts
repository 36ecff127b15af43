import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { SLUICE } from '../cli/sluice-process.js';
import { describeUnless } from '../servers/describe-unless.js';
import { missing } from '../servers/server-process.js';
import {
  ADMIN_TOKEN,
  NODE_TOKEN,
  type RunningControlPlane,
  SOON,
  startControlPlane,
  tokenFiles,
} from '../stories/cluster/control-plane.js';
import { type RunningNode, startNode } from '../stories/cluster/node.js';
import { blocksOf } from './pages.js';

/* "I follow the page on changing a cluster, step by step, and see what it shows." */

const PAGE = 'docs/operating/configuration-commands.md';
/** Steps of several commands, on a machine that may be busy. */
vi.setConfig({ testTimeout: 60_000 });

const blocks = blocksOf(PAGE);
const steps = blocks.flatMap((block, index) => {
  const shown = blocks[index + 1];
  const isStep = block.language === 'sh' && shown?.language === '';
  return isStep ? [{ line: block.line, command: block.text, shown: shown.text }] : [];
});

let folder: string;
let plane: RunningControlPlane;
const nodes: RunningNode[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-commands-page-'));
  writeFileSync(join(folder, 'sluice'), `#!/bin/sh\nexec "${process.execPath}" "${SLUICE}" "$@"\n`);
  chmodSync(join(folder, 'sluice'), 0o755);
  plane = await startControlPlane(['--state-dir', join(folder, 'state'), ...(await tokenFiles(folder))]);
  await plane.isReady();
  for (const region of ['eu', 'us']) {
    const own = ['--node', `${region}-1`, '--region', region, '--state-dir', join(folder, region)];
    const args = ['--control-plane', plane.nodes, '--port', '0', ...own];
    nodes.push(startNode(args, { SLUICE_NODE_TOKEN: NODE_TOKEN }));
  }
  await vi.waitFor(async () => expect((await plane.client.fleet.listNodes({})).nodes).toHaveLength(2), SOON);
});
afterAll(async () => {
  await Promise.all([...nodes, plane].map((each) => each?.stop()));
  rmSync(folder, { recursive: true, force: true });
});

/** What both streams show, in the order in which it comes. */
function shownBy(script: string): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${folder}${delimiter}${process.env.PATH}`,
    SLUICE_ADMIN_SERVER: plane.admin,
    SLUICE_ADMIN_TOKEN: ADMIN_TOKEN,
  };
  return new Promise((resolve) => {
    execFile('bash', ['-c', `exec 2>&1\n${script}`], { cwd: folder, env }, (_, stdout) => resolve(stdout));
  });
}

/**
 * Without what depends on when and where: ages, memory, and the width of what holds them. A rollout that is aborted at once
 * may be so before its nodes are chosen.
 */
function timeless(text: string): string {
  return text
    .replaceAll(/\bon no node yet$/gm, 'on eu-1')
    .replaceAll('no node was chosen yet', '1 of 2 nodes')
    .replaceAll(/\b\d+[smhd]\b/g, 'AGE')
    .replaceAll(/\b\d+ MiB/g, 'MEMORY')
    .replaceAll(/ {2,}/g, '  ')
    .replaceAll(/ +$/gm, '');
}

describeUnless(missing('bash', 'bash'), 'the page on changing a cluster', () => {
  it('has steps', () => expect(steps.length).toBeGreaterThan(10));

  it.each(steps)('$line shows what it prints', async ({ command, shown }) => {
    expect(timeless(await shownBy(command))).toBe(timeless(shown));
  });
});
