import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, type OfficialClient } from '../official-client.js';
import { descendants, isAlive } from '../processes.js';
import { type HttpServer, startPlain } from '../upstreams.js';

/* "A plugin of mine goes wrong in every way there is, and nobody but its own callers notices." */

const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
const MISBEHAVING = fileURLToPath(
  new URL('../../../../data-plane/test/plugins/misbehaving', import.meta.url),
);

let folder: string;
let hash: string;
let plain: HttpServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-misbehaving-'));
  await cp(MISBEHAVING, folder, { recursive: true });
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, 'plugin', 'pack', folder]);
  hash = /hash: (sha256-\S{44})/.exec(stdout)?.[1] as string;
  plain = await startPlain();
});
afterAll(async () => {
  await plain.kill();
  await rm(folder, { recursive: true, force: true });
});

describe.each(['pool', 'process'])('a plugin with isolation: %s', (isolation) => {
  let gateway: RunningGateway;
  let own: OfficialClient;
  let others: OfficialClient;
  /** The data plane: it was there before any plugin. */
  let dataPlane: number;

  beforeAll(async () => {
    gateway = await startGateway({
      workers: 1,
      config: {
        upstreams: [{ name: 'plain', url: plain.url }],
        plugins: [{ plugin: folder, hash, isolation, endpoints: ['/mcp'], config: { hook: 'anonymous' } }],
      },
    });
    dataPlane = descendants(gateway.pid).find(({ ppid }) => ppid === gateway.pid)?.pid as number;
    own = await connect('SDK v2 2026-07-28', `${gateway.url}/mcp`);
    others = await connect('SDK v2 2026-07-28', `${gateway.url}/mcp/plain`);
  });
  afterAll(async () => {
    await closeClients();
    await gateway?.stop();
  });

  // A process is started again later and later, so what it does that ends none comes first.
  it.each(['throw', 'gigabyte', 'loop', 'heap', 'buffers', 'exit', 'array', 'texts', 'textBuffers'])(
    'costs nobody else anything when it does this: %s',
    { timeout: 60_000 },
    async (deed) => {
      const before = descendants(gateway.pid).map(({ pid }) => pid);
      let isOver = false;
      let otherCount = 0;
      const traffic = (async () => {
        while (!isOver || otherCount < 10) {
          expect(await others.say('echo', { text: 'a' })).toContain('a');
          otherCount++;
        }
      })();
      await expect(own.call('plain__echo', { do: deed })).rejects.toThrow('nothing passes without it');
      isOver = true;
      await traffic;
      const works = () =>
        own.call('plain__echo', { do: 'next', text: 'a' }).then(
          () => 'works',
          (thrown: Error) => thrown.message,
        );
      await expect.poll(works, { timeout: 30_000, interval: 500 }).toBe('works');
      expect(isAlive(dataPlane)).toBe(true);
      expect(before).toContain(dataPlane);
    },
  );
});
