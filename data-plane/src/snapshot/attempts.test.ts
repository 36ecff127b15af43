import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, PositionSchema } from '@sluice/proto/cluster';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Attempts } from './attempts.js';

let folder: string;
let lines: string[];
const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-attempts-'));
  lines = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const position = (revision: bigint, digest = 1, storeId = 'one') =>
  create(PositionSchema, { storeId, revision, digest: Uint8Array.of(digest) });

/** What the next process knows. */
async function started(): Promise<Attempts> {
  const attempts = new Attempts(folder, log);
  await attempts.read();
  return attempts;
}

/** A process that ends while it takes a revision. */
async function diesTaking(revision: bigint): Promise<void> {
  await (await started()).begin(position(revision));
}

describe('revisions that were being taken when the process ended', () => {
  it('are refused after the second time, and only those', async () => {
    await diesTaking(5n);
    expect((await started()).refusalOf(position(5n))).toBeUndefined();
    await diesTaking(5n);
    const attempts = await started();
    expect(attempts.refusalOf(position(5n))?.reason).toContain('ended while it was prepared, 2 times');
    expect(attempts.refusalOf(position(5n, 2))).toBeUndefined();
    expect(attempts.refusalOf(position(5n, 1, 'other'))).toBeUndefined();
    expect(attempts.refusalOf(position(6n))).toBeUndefined();
  });

  it('stay known when an older one runs, and are forgotten when a newer one does', async () => {
    await diesTaking(5n);
    await diesTaking(5n);
    const attempts = await started();
    await attempts.begin(position(4n));
    await attempts.end(position(4n), true);
    expect((await started()).refusalOf(position(5n))).toBeDefined();
    await attempts.begin(position(6n));
    await attempts.end(position(6n), false);
    expect((await started()).refusalOf(position(5n))).toBeDefined();
    await attempts.begin(position(7n));
    await attempts.end(position(7n), true);
    expect((await started()).refusalOf(position(5n))).toBeUndefined();
  });

  it('do not count when they came to an end, or the process was told to stop', async () => {
    for (let round = 0; round < 3; round++) {
      const attempts = await started();
      await attempts.begin(position(5n));
      await attempts.end(position(5n), round === 1);
      await attempts.begin(position(5n));
      await attempts.stop();
    }
    expect((await started()).refusalOf(position(5n))).toBeUndefined();
  });

  it.each(['', '{', '{}', '[1, null, {"storeId": "one"}]'])(
    'are none in a file that holds %j',
    async (text) => {
      await writeFile(join(folder, 'configuration.attempts'), text);
      expect((await started()).refusalOf(position(5n))).toBeUndefined();
      await diesTaking(5n);
      await diesTaking(5n);
      expect((await started()).refusalOf(position(5n))).toBeDefined();
    },
  );

  it('are taken where nothing can be written, which the log says once', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    const attempts = new Attempts(file, log);
    await attempts.begin(position(1n));
    await attempts.end(position(1n), true);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('would be taken again');
  });
});
