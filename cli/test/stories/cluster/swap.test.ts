import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
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
import { metric } from '../gateway-metrics.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { descendants } from '../processes.js';
import { lastMessage, MODERN, modernParams } from '../raw-http.js';
import { freePort, type HttpServer, startPlain } from '../upstreams.js';
import { SOON } from './control-plane.js';
import { type RunningNode, startNode } from './node.js';

/* "I commit revisions all day, good ones and bad ones, and nobody who is working notices." */

const STORY_LIMIT_MS = 120_000;
/** `ISOLATION_INLINE` of the configuration. */
const INLINE = 1;
const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
/** Cannot be made in the second worker, where it is told so; says in the log what it lives through. */
const HALF_PLUGIN = `
import { workerData } from 'node:worker_threads';
import { definePlugin, Type } from '@sluice/sdk';

export default definePlugin({
  name: 'half',
  version: '1.0.0',
  description: 'Cannot be made in one of two workers.',
  phase: 'shape',
  config: Type.Object({ fails: Type.Boolean({ default: false }) }, { additionalProperties: false }),
  reads: [],
  changes: [],
  hooks: ({ fails }, host) => {
    const worker = workerData?.index;
    if (fails && worker === 1) throw new Error('the second worker has no room for it');
    host.log.info({ life: 'made', fails, worker }, 'half was made');
    return { shutdown: () => host.log.info({ life: 'ended', fails, worker }, 'half has ended') };
  },
});
`;

let folder: string;
let port: number;
let plane: Delivering;
let node: RunningNode;
let server: HttpServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-swap-'));
  port = await freePort();
  server = await startPlain();
  plane = await startDelivering();
});
afterEach(async () => {
  await closeClients();
  await node?.stop();
  plane.stop();
  await server.kill();
  await rm(folder, { recursive: true, force: true });
});

const url = () => `http://127.0.0.1:${port}`;

async function start(workers: number): Promise<void> {
  node = startNode([
    ...['--control-plane', plane.address, '--node', 'n1', '--state-dir', join(folder, 'state')],
    ...['--port', String(port), '--workers', String(workers)],
  ]);
  await vi.waitFor(async () => expect((await fetch(`${url()}/ready`)).status).toBe(200), SOON);
}

async function halfPlugin(): Promise<{ plugin: string; hash: string }> {
  const place = join(folder, 'half');
  await mkdir(place);
  await writeFile(join(place, 'index.js'), HALF_PLUGIN);
  await writeFile(
    join(place, 'package.json'),
    JSON.stringify({
      name: 'half',
      version: '1.0.0',
      private: true,
      type: 'module',
      exports: './index.js',
    }),
  );
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, 'plugin', 'pack', place]);
  return { plugin: place, hash: /hash: (sha256-\S{44})/.exec(stdout)?.[1] as string };
}

const committed = (revision: number) =>
  plane.fleet.convergence({ revision, wait: { kind: 'all' }, deadlineMs: 20_000 });

function post(path: string, headers: Record<string, string> = {}, ms = 0): Promise<Response> {
  return fetch(`${url()}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': MODERN,
      'mcp-method': 'tools/call',
      'mcp-name': 'slow',
      ...headers,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: modernParams({ name: 'slow', arguments: { ms } }),
    }),
  });
}

it('sessions, streams and calls go on through good revisions and through one that a worker cannot run', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  const found = await halfPlugin();
  const endpoints = ['/mcp/aside'];
  const half = (name: string, fails: boolean) =>
    resource({
      spec: { case: 'plugin', value: { name, ...found, isolation: INLINE, endpoints, config: { fails } } },
    });
  await plane.write([httpUpstream('work', server.url), httpUpstream('aside', server.url)]);
  await start(2);
  const clients = await Promise.all([...KINDS, ...KINDS].map((kind) => connect(kind, `${url()}/mcp/work`)));
  const failures: string[] = [];
  let callCount = 0;
  let isOver = false;
  const working = [
    ...clients.map((client) => (ms: number) => client.call('slow', { ms })),
    ...Array.from({ length: 3 }, () => async (ms: number) => {
      const { error } = await lastMessage(await post('/mcp/work', {}, ms));
      if (error !== undefined) throw new Error(JSON.stringify(error));
    }),
  ].map(async (call, index) => {
    for (let round = 0; !isOver && failures.length === 0; round++) {
      try {
        await call(round % 5 === 4 ? 1_000 : 5 + index * 10);
        callCount++;
      } catch (thrown) {
        failures.push(String(thrown));
      }
    }
  });
  try {
    for (let round = 0; round < 3; round++) {
      const good = await plane.write([httpUpstream(`new${round}`, server.url), half(`good${round}`, false)]);
      expect(await committed(good)).toMatchObject({ reached: true });
      const bad = await plane.write([httpUpstream('never', server.url), half('bad', true)]);
      expect(await committed(bad)).toMatchObject({
        reached: false,
        behind: [{ node: 'n1', rejection: expect.stringContaining('the second worker has no room for it') }],
      });
      // In no worker anything of it is to be had, however often one asks.
      const statuses = await Promise.all(Array.from({ length: 20 }, () => post('/mcp/never')));
      expect(new Set(statuses.map(({ status }) => status))).toEqual(new Set([404]));
      const undone = await plane.write([], ['upstream//never', 'plugin//bad']);
      expect(await committed(undone)).toMatchObject({ reached: true });
    }
  } finally {
    isOver = true;
    await Promise.all(working);
  }
  expect(failures).toEqual([]);
  expect(callCount).toBeGreaterThan(50);
  expect(await metric(url(), 'sluice_faults_total')).toBe(0);
  // What was made for it in the worker that could run it has ended there.
  const lives = node
    .logs()
    .split('\n')
    .filter((line) => line.includes('"fails":true'));
  expect(lives.filter((line) => line.includes('half was made'))).toHaveLength(3);
  expect(lives.filter((line) => line.includes('half has ended'))).toHaveLength(3);
});

it('a request is answered by the revision that it names, or told to come again', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  const first = await plane.write([httpUpstream('work', server.url)]);
  await start(2);
  const named = (revision: number | string) => ({ 'Sluice-Min-Revision': String(revision) });
  expect((await post('/mcp/work', named(first))).status).toBe(200);
  // It asks before there is such a revision.
  const early = post('/mcp/later', named(first + 1));
  await new Promise((resolve) => setTimeout(resolve, 200));
  await plane.write([httpUpstream('later', server.url)]);
  expect((await early).status).toBe(200);
  const late = await post('/mcp/work', named(first + 50));
  expect([late.status, late.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await late.text()).toContain(`this node does not run revision ${first + 50} yet`);
  const bad = await post('/mcp/work', named('newest'));
  expect(bad.status).toBe(400);
});

it('a revision that needs a file runs once the file is there', { timeout: STORY_LIMIT_MS }, async () => {
  await plane.write([httpUpstream('work', server.url)]);
  await start(1);
  const file = join(folder, 'token');
  const revision = await plane.write([
    resource({
      spec: { case: 'secret', value: { name: 'token', source: { case: 'file', value: file } } },
    }),
    httpUpstream('secret', server.url, { Authorization: '${secret:token}' }),
  ]);
  expect(await committed(revision)).toMatchObject({
    reached: false,
    behind: [{ rejection: expect.stringContaining('there is no such file') }],
  });
  const before = descendants(node.pid).map(({ pid }) => pid);
  await writeFile(file, 'a token');
  await vi.waitFor(async () => expect((await post('/mcp/secret')).status).toBe(200), SOON);
  expect(descendants(node.pid).map(({ pid }) => pid)).toEqual(before);
  await vi.waitFor(async () => expect(await committed(revision)).toMatchObject({ reached: true }), SOON);
});
