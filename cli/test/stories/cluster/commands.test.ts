import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EXIT } from '../../../src/exit-codes.js';
import { run } from '../../cli/sluice-process.js';
import { describeUnless } from '../../servers/describe-unless.js';
import { NO_ETCD, startEtcd } from '../../servers/etcd.js';
import { NO_NATS, startNats } from '../../servers/nats.js';
import type { TestServer } from '../../servers/server-process.js';
import { closeClients, connect } from '../official-client.js';
import { freePort, type HttpServer, startPlain } from '../upstreams.js';
import {
  ADMIN_TOKEN,
  NODE_TOKEN,
  portsOf,
  type RunningControlPlane,
  SOON,
  startControlPlane,
  tokenFiles,
} from './control-plane.js';
import { type RunningNode, startNode } from './node.js';

/* "I change a cluster of two nodes with commands, and clients see what I changed." With a real etcd and a real NATS. */

const missing = NO_ETCD ?? NO_NATS;
const FIRST_WORK_LIMIT_MS = 60_000;
/** Each part is a dozen commands, and as many processes. */
vi.setConfig({ testTimeout: 120_000 });

let folder: string;
let plane: RunningControlPlane;
let nats: TestServer;
let upstream: HttpServer;
const nodes: RunningNode[] = [];
const urls: string[] = [];
const stores: TestServer[] = [];

/** An etcd of its own, so that it is empty. */
async function startPlane(ports?: readonly [number, number, number]): Promise<RunningControlPlane> {
  const etcd = await startEtcd();
  stores.push(etcd);
  const args = ['--store', 'etcd', '--etcd', etcd.url, '--nats', nats.url, ...(await tokenFiles(folder))];
  const started = await startControlPlane(args, ports && { ports });
  await started.isReady();
  return started;
}

beforeEach(async () => {
  if (missing !== undefined) return;
  folder = await mkdtemp(join(tmpdir(), 'sluice-commands-'));
  [nats, upstream] = await Promise.all([startNats(), startPlain()]);
  stores.push(nats);
  plane = await startPlane();
  for (const name of ['eu-1', 'us-1']) {
    const port = await freePort();
    const own = ['--node', name, '--region', name.slice(0, 2), '--state-dir', join(folder, name)];
    const args = ['--control-plane', plane.nodes, '--nats', nats.url, '--port', `${port}`, ...own];
    nodes.push(startNode(args, { SLUICE_NODE_TOKEN: NODE_TOKEN }));
    urls.push(`http://127.0.0.1:${port}/mcp`);
  }
  await vi.waitFor(
    async () => expect((await sluice('nodes', '-o', 'name')).stdout).toBe('eu-1\nus-1\n'),
    SOON,
  );
}, FIRST_WORK_LIMIT_MS);

afterEach(async () => {
  if (missing !== undefined) return;
  await closeClients();
  await Promise.all([...nodes.splice(0), plane].map((each) => each.stop()));
  await upstream.kill();
  await Promise.all(stores.splice(0).map((store) => store.close()));
  urls.length = 0;
  await rm(folder, { recursive: true, force: true });
}, FIRST_WORK_LIMIT_MS);

function sluice(...args: string[]) {
  return run(args, { SLUICE_ADMIN_SERVER: plane.admin, SLUICE_ADMIN_TOKEN: ADMIN_TOKEN });
}

/** What `sluice serve` takes, too. */
async function file(...names: string[]): Promise<string> {
  const path = join(folder, 'sluice.yaml');
  const entries = names.map((name) => `  ${name}: { url: "${upstream.url}" }\n`);
  await writeFile(path, `upstreams:\n${entries.join('')}`);
  return path;
}

/** The upstreams whose tools clients of each node see. */
async function served(): Promise<string[][]> {
  return Promise.all(
    urls.map(async (url) => {
      const client = await connect('SDK v2 auto', url);
      return [...new Set((await client.toolNames()).map((name) => name.split('__')[0] as string))].sort();
    }),
  );
}

describeUnless(missing, 'the commands of a cluster', () => {
  it('apply, see it, look at what changed, go back, and see that', async () => {
    const first = await sluice(
      'config',
      'apply',
      '-f',
      await file('one'),
      '-m',
      'a first one',
      '--wait',
      'all',
    );
    expect(first).toMatchObject({
      code: EXIT.ok,
      stdout: '+ upstream/one\nrevision 1 holds: 1 created\n2/2 nodes run revision 1\n',
      stderr: '',
    });
    expect(await served()).toEqual([['one'], ['one']]);

    const second = await sluice('config', 'apply', '-f', await file('two'), '--prune', '--wait', 'all');
    expect(second.stdout).toContain('2/2 nodes run revision 2\n');
    expect(await served()).toEqual([['two'], ['two']]);

    const { stdout: diff } = await sluice('config', 'diff', '1', '2');
    expect(diff).toContain(`- upstream/one\n-   name: one\n-   http.url: ${upstream.url}\n+ upstream/two\n`);

    const back = await sluice('config', 'rollback', '1', '--wait', 'all');
    expect(back.stdout).toContain('revision 3 holds: 1 created, 1 removed\n2/2 nodes run revision 3\n');
    expect(await served()).toEqual([['one'], ['one']]);
    expect((await sluice('config', 'history', '-n', '1')).stdout).toContain('back to 1');
  });

  it('of two who change the same, one is told of the other', async () => {
    await sluice('config', 'apply', '-f', await file('one'));
    const racers = await Promise.all(
      ['x', 'y'].map(async (name) => {
        const own = join(folder, `${name}.yaml`);
        await writeFile(own, `upstream: { name: ${name}, url: "${upstream.url}" }`);
        return sluice('config', 'apply', '-f', own, '--expect-revision', '1');
      }),
    );
    expect(racers.map(({ code }) => code).sort()).toEqual([EXIT.ok, EXIT.conflict]);
    const late = racers.find(({ code }) => code === EXIT.conflict);
    expect(late?.stderr).toMatch(
      /made on revision 1, and token\/tester has made 2, which changed upstream\/[xy]\n/,
    );
    expect(late?.stderr).toContain('sluice config diff 1 2');
  });

  it('what is refused leaves everything as it is', async () => {
    await sluice('config', 'apply', '-f', await file('one'), '--wait', 'all');
    const path = await file('one', 'two');
    await writeFile(
      path,
      `upstreams:\n  two: { url: "http://a/mcp" }\nendpoints:\n  - { name: team, path: /team }\n`,
    );
    const refused = await sluice('config', 'apply', '-f', path, '--wait', 'all');
    expect([refused.code, refused.stdout]).toEqual([EXIT.configuration, '']);
    expect(refused.stderr).toMatch(/sluice\.yaml:4:25: error: endpoint\/team: path: .*\n {2}hint: /);
    expect((await sluice('config', 'get', '-o', 'name')).stdout).toBe('upstream/one\n');
    expect((await sluice('config', 'wait')).stdout).toBe('2/2 nodes run revision 1\n');
    expect(await served()).toEqual([['one'], ['one']]);
  });

  it('what a node cannot run is said with its reason, and the other nodes run it', async () => {
    await sluice('config', 'apply', '-f', await file('one'), '--wait', 'all');
    const path = join(folder, 'secret.yaml');
    await writeFile(
      path,
      `region: { name: eu }\n---\nregions: [eu]\nupstream: { name: two, url: "${upstream.url}", headers: { X-Key: "\${NOWHERE_SET}" } }`,
    );
    const applied = await sluice('config', 'apply', '-f', path, '--wait', 'all', '--deadline', '10s');
    expect(applied.code).toBe(EXIT.behind);
    expect(applied.stdout).toBe('+ region/eu\n+ upstream/two\nrevision 2 holds: 2 created\n');
    expect(applied.stderr).toMatch(
      /^sluice: 1\/2 nodes run revision 2; .*\n {2}eu-1 {2}refused: .*NOWHERE_SET/,
    );
    expect((await sluice('nodes')).stdout).toMatch(/eu-1 +eu +1 of 2 .*refused: .*NOWHERE_SET/);
    expect(await served()).toEqual([['one'], ['one']]);
  });

  it('a backup brings back what a wiped store has lost', async () => {
    await sluice('config', 'apply', '-f', await file('one', 'two'), '--wait', 'all');
    const { stdout: backup } = await sluice('config', 'export');
    const path = join(folder, 'backup.json');
    await writeFile(path, backup);

    const ports = portsOf(plane);
    await plane.stop();
    plane = await startPlane(ports);
    expect((await sluice('config', 'get', '-o', 'name')).stdout).toBe('');
    await vi.waitFor(
      async () => expect((await sluice('nodes', '-o', 'name')).stdout).toBe('eu-1\nus-1\n'),
      SOON,
    );

    const restored = await sluice('config', 'import', path, '--wait', 'all');
    expect(restored).toMatchObject({ code: EXIT.ok, stderr: '' });
    expect(restored.stdout).toContain('revision 1 holds: 2 created\n2/2 nodes run revision 1\n');
    expect(await served()).toEqual([
      ['one', 'two'],
      ['one', 'two'],
    ]);
  });

  describe('given out in steps', () => {
    const steps = ['--rollout', 'region:eu,100%', '--limit', 'requests=0'];

    beforeEach(async () => {
      expect(await sluice('config', 'apply', '-f', await file('one'), '--wait', 'all')).toMatchObject({
        code: EXIT.ok,
      });
    });

    it('a change comes to all nodes when the first ones do well', async () => {
      const path = await file('one', 'two');
      const applied = await sluice('config', 'apply', '-f', path, ...steps, '--pause', '1s', '--wait', 'all');
      expect(applied).toMatchObject({ code: EXIT.ok, stderr: '' });
      expect(applied.stdout).toContain('the rollout of revision 2 is promoted');
      await vi.waitFor(
        async () => expect((await sluice('config', 'wait')).stdout).toBe('2/2 nodes run revision 2\n'),
        SOON,
      );
      expect((await sluice('rollout', 'list')).stdout).toMatch(/\n +2 +\S+ +promoted +2\/2/);
      expect(await served()).toEqual([
        ['one', 'two'],
        ['one', 'two'],
      ]);
    });

    it('one command ends it either way, and nobody changes anything until then', async () => {
      const path = await file('one', 'two');
      const applied = await sluice('config', 'apply', '-f', path, ...steps, '--pause', '1h');
      expect(applied).toMatchObject({ code: EXIT.ok, stderr: '' });
      await vi.waitFor(async () => expect(await served()).toEqual([['one', 'two'], ['one']]), SOON);
      await vi.waitFor(async () => {
        const { stdout } = await sluice('rollout', 'status');
        expect(stdout).toMatch(/^revision 2 {2}in progress {2}step 1\/2 on eu-1\nwaits: /);
        expect(stdout).toMatch(/step began +1 /);
      }, SOON);

      const other = await sluice('config', 'apply', '-f', await file('three'));
      expect(other).toMatchObject({ code: EXIT.conflict, stdout: '' });
      expect(other.stderr).toContain('hint: sluice rollout status shows it');

      const aborted = await sluice('rollout', 'abort', '--reason', 'not on a Friday');
      expect(aborted.stdout).toBe('the rollout of revision 2 is taken back by revision 3\n');
      expect((await sluice('config', 'wait')).stdout).toBe('2/2 nodes run revision 3\n');
      expect(await served()).toEqual([['one'], ['one']]);
      expect((await sluice('config', 'history', '-n', '1')).stdout).toContain('not on a Friday');

      await sluice('config', 'apply', '-f', await file('one', 'two'), ...steps, '--pause', '1h');
      expect((await sluice('rollout', 'promote')).stdout).toBe('the rollout of revision 4 is promoted\n');
      expect((await sluice('config', 'wait')).stdout).toBe('2/2 nodes run revision 4\n');
    });

    it('what the first node refuses goes back by itself, and says why', async () => {
      const path = join(folder, 'secret.yaml');
      await writeFile(
        path,
        `upstream: { name: two, url: "${upstream.url}", headers: { X-Key: "\${NOWHERE_SET}" } }`,
      );
      const applied = await sluice('config', 'apply', '-f', path, ...steps, '--pause', '1h', '--wait', 'all');
      expect(applied.code).toBe(EXIT.rolledBack);
      expect(applied.stderr).toMatch(
        /the rollout of revision 2 is taken back by revision 3: .*eu-1.*NOWHERE_SET/,
      );
      expect(await served()).toEqual([['one'], ['one']]);
    });
  });

  it('a drained node goes, and the command says what became of it', async () => {
    await sluice('config', 'apply', '-f', await file('one'), '--wait', 'all');
    const drained = await sluice('nodes', 'drain', 'us-1', '--reason', 'new kernel');
    expect(drained).toMatchObject({ code: EXIT.ok, stdout: 'us-1 was told to drain\n' });
    expect(await nodes[1]?.ended).toBe(0);
    await vi.waitFor(async () => expect((await sluice('nodes')).stdout).toMatch(/us-1 .* gone /), SOON);
    expect((await sluice('nodes', 'events', 'us-1')).stdout).toMatch(/us-1 +told to drain/);
  });
});
