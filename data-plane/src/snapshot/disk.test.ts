import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, entryOf, PositionSchema, ResourceSchema, ResourceState } from '@sluice/proto/cluster';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SnapshotDisk } from './disk.js';

const FILE = 'configuration.snapshot';
let folder: string;
let lines: string[];
const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-disk-'));
  lines = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function state(count: number): ResourceState {
  return ResourceState.of(
    Array.from({ length: count }, (_, index) =>
      entryOf(
        create(ResourceSchema, {
          spec: { case: 'region', value: { name: `r${index}`, title: 'x'.repeat(100) } },
        }),
      ),
    ),
  );
}

const positionOf = (of: ResourceState, revision = 1n) =>
  create(PositionSchema, { storeId: 'one', revision, digest: of.digest });

async function kept(count: number, revision = 1n): Promise<SnapshotDisk> {
  const disk = new SnapshotDisk(folder, 'eu', log);
  const content = state(count);
  disk.keep(positionOf(content, revision), content);
  await disk.flush();
  return disk;
}

describe('the configuration on the disk', () => {
  it('comes back as it was, in a file that nobody else reads', async () => {
    const disk = await kept(5_000);
    const held = await disk.read();
    expect(held?.position).toMatchObject({ storeId: 'one', revision: 1n });
    expect(held?.state.size).toBe(5_000);
    expect(await readdir(folder)).toEqual([FILE]);
    expect(lines).toEqual([]);
  });

  it('is the newest, whatever was being written', async () => {
    const disk = new SnapshotDisk(folder, 'eu', log);
    for (let revision = 1n; revision <= 20n; revision++) {
      const content = state(Number(revision));
      disk.keep(positionOf(content, revision), content);
    }
    await disk.flush();
    expect((await disk.read())?.position.revision).toBe(20n);
  });

  it('is nothing where nothing was kept', async () => {
    expect(await new SnapshotDisk(folder, 'eu', log).read()).toBeUndefined();
    expect(lines).toEqual([]);
  });

  it.each([
    ['cut', (bytes: Buffer) => bytes.subarray(0, bytes.length - 50)],
    ['empty', () => Buffer.alloc(0)],
    ['something else', () => Buffer.from('{"gateway":{}}')],
    [
      'another by one bit',
      (bytes: Buffer) => {
        const copy = Buffer.from(bytes);
        copy[10] = (copy[10] as number) ^ 1;
        return copy;
      },
    ],
  ])('is ignored with a reason when it is %s', async (_, damage) => {
    const disk = await kept(10);
    await writeFile(join(folder, FILE), damage(await readFile(join(folder, FILE))));
    expect(await disk.read()).toBeUndefined();
    expect(lines.join()).toContain('the kept configuration is not used: it is damaged');
  });

  it('is ignored at every single damaged byte', async () => {
    const disk = await kept(2);
    const whole = await readFile(join(folder, FILE));
    for (let place = 0; place < whole.length; place++) {
      const damaged = Buffer.from(whole);
      damaged[place] = (damaged[place] as number) ^ 0xff;
      await writeFile(join(folder, FILE), damaged);
      expect(await disk.read()).toBeUndefined();
    }
  });

  it('is not that of another region', async () => {
    await kept(1);
    expect(await new SnapshotDisk(folder, 'us', log).read()).toBeUndefined();
    expect(lines.join()).toContain('it is that of the region');
  });

  it('says when the disk is full, keeps what was there, and does not throw', async () => {
    const disk = await kept(1);
    // What is written there fails with ENOSPC.
    await symlink('/dev/full', join(folder, `${FILE}.new`));
    const content = state(3);
    disk.keep(positionOf(content, 2n), content);
    await vi.waitFor(() => expect(lines.join()).toContain('cannot be kept on the disk'));
    expect(lines.join()).toContain('ENOSPC');
    expect((await disk.read())?.position.revision).toBe(1n);
    // What could not be written is tried again.
    await disk.flush();
    expect((await disk.read())?.position.revision).toBe(2n);
    expect(lines.join()).toContain('kept on the disk again');
  });
});
