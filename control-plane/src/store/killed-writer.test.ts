/* "The control plane was killed while it wrote the largest change that there can be." */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { NO_ETCD, startEtcd } from '../../../cli/test/servers/etcd.js';
import { consumer, revisionOf } from '../../test/revision-log.cases.js';
import { EmbeddedLog } from './embedded.js';
import { EtcdLog } from './etcd.js';
import type { RevisionLog } from './revision-log.js';

const WRITER = fileURLToPath(new URL('../../test/large-append.mjs', import.meta.url));
const TIMEOUT_MS = 120_000;
const TEXT_BYTES = 64 * 1024 * 1024 - 1024;

interface Place {
  readonly args: readonly string[];
  open(): RevisionLog;
}

/** Starts a writer, and kills it at a share of the time that the first one took. Resolves with what it said. */
async function written(args: readonly string[], afterMs: number): Promise<{ said: string; tookMs: number }> {
  const child: ChildProcess = spawn(process.execPath, [WRITER, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  let begunAt = 0;
  const begun = new Promise<void>((resolve) =>
    child.stdout?.on('data', (bytes) => {
      said += bytes;
      if (begunAt > 0) return;
      begunAt = performance.now();
      resolve();
    }),
  );
  const ended = once(child, 'close');
  await Promise.race([begun, ended]);
  await Promise.race([sleep(afterMs), ended]);
  child.kill('SIGKILL');
  await ended;
  return { said, tookMs: performance.now() - begunAt };
}

/** @param kills how often a writer is killed */
async function survives(place: Place, kills: number): Promise<void> {
  const first = await written(place.args, TIMEOUT_MS);
  expect(first.said).toContain('done');
  let count = 1;
  for (let kill = 0; kill < kills; kill++) {
    const { said } = await written(place.args, (first.tookMs * kill) / kills);
    const log = place.open();
    const { checkpoint, revisions } = await log.read();
    // It is there as a whole, or not at all; and there when the writer was told so.
    expect(revisions.length).toBeLessThanOrEqual(count + 1);
    expect(revisions.length).toBeGreaterThanOrEqual(said.includes('done') ? count + 1 : count);
    expect(revisions.every(({ message }) => message.length === TEXT_BYTES)).toBe(true);
    // And the next one finds nothing in its way.
    const newest = Number(checkpoint.revision) + revisions.length + 1;
    const next = revisionOf(newest, consumer('after'));
    expect(await log.append(next, checkpoint.storeId, revisions.at(-1)?.id)).toEqual({ appended: true });
    await log.compact({ ...checkpoint, revision: BigInt(newest) });
    const left = await log.read();
    expect([left.checkpoint.revision, left.revisions.length]).toEqual([BigInt(newest), 0]);
    count = 0;
    await log.close();
  }
}

it(
  'leaves the whole of it or nothing in the embedded store',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-killed-'));
    const file = join(folder, 'store.db');
    try {
      await survives({ args: ['embedded', file], open: () => EmbeddedLog.open(file) }, 4);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
  TIMEOUT_MS,
);

describeUnless(NO_ETCD, 'a writer that is killed', () => {
  it(
    'leaves the whole of it or nothing in etcd',
    async () => {
      const etcd = await startEtcd();
      const cluster = randomUUID();
      try {
        const open = () => new EtcdLog({ endpoints: [etcd.url], cluster });
        await survives({ args: ['etcd', etcd.url, cluster], open }, 4);
      } finally {
        await etcd.close();
      }
    },
    TIMEOUT_MS,
  );
});
