import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../../cli/sluice-process.js';
import { closeClients, connect } from '../official-client.js';
import { ShapedServer } from '../shaped-server.js';
import { freePort } from '../upstreams.js';
import {
  ADMIN_TOKEN,
  NODE_TOKEN,
  type RunningControlPlane,
  startControlPlane,
  tokenFiles,
} from './control-plane.js';
import { type RunningNode, startNode } from './node.js';

/* "What I have accepted goes to my cluster with the rest of the configuration." */

const START_LIMIT_MS = 60_000;
/** A server writes what a configuration would read as references. */
const WORDS = 'Costs $5. ${HOME} ${secret:database} $${X} ${broken';
const READ = { name: 'read', description: WORDS, inputSchema: { type: 'object' } };

const server = new ShapedServer('modern');
let folder: string;
let file: string;
let plane: RunningControlPlane;
let node: RunningNode;
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-pins-'));
  file = join(folder, 'sluice.yaml');
  server.tools = [READ];
  await writeFile(file, `upstreams: { files: { url: "${await server.start()}" } }\nplugins: [pin]\n`);
  plane = await startControlPlane(['--state-dir', join(folder, 'plane'), ...(await tokenFiles(folder))]);
  await plane.isReady();
  const port = await freePort();
  const args = ['--control-plane', plane.nodes, '--node', 'n1', '--state-dir', join(folder, 'n1')];
  node = startNode([...args, '--port', `${port}`], { SLUICE_NODE_TOKEN: NODE_TOKEN });
  url = `http://127.0.0.1:${port}/mcp`;
}, START_LIMIT_MS);

afterAll(async () => {
  await closeClients();
  await Promise.all([node, plane].map((each) => each?.stop()));
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}, START_LIMIT_MS);

it(
  'goes to the nodes as the server wrote it, and nothing in it is followed',
  async () => {
    const accepted = await run(['pin', 'accept', '--all', '--config', file]);
    expect(accepted).toMatchObject({ code: 0, stdout: expect.stringContaining('accepted files:read') });
    const admin = { SLUICE_ADMIN_SERVER: plane.admin, SLUICE_ADMIN_TOKEN: ADMIN_TOKEN };
    const applied = await run(['config', 'apply', '-f', file, '--wait', 'all'], admin);
    expect([applied.stderr, applied.code]).toEqual(['', 0]);

    const client = await connect('SDK v2 2026-07-28', url);
    const shown = async () => (await client.tools()).map(({ name, description }) => [name, description]);
    await expect.poll(shown, { timeout: 15_000 }).toEqual([['files__read', WORDS]]);
    server.change({ ...READ, description: 'other words' });
    await expect
      .poll(() => client.call('files__read', {}).then(() => server.calls.length))
      .toBeGreaterThan(0);
    expect(await shown()).toEqual([['files__read', WORDS]]);
    expect((await run(['pin', 'status', '--config', file])).stdout).toContain('/description has changed');

    // The file says the same as the cluster has.
    const diff = await run(['config', 'diff', '-f', file], admin);
    expect(diff.stdout).not.toContain('accepted');
  },
  START_LIMIT_MS,
);
