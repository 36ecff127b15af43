import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { describe, expect, it } from 'vitest';
import { recordsCases } from '../../test/records.cases.js';
import { revisionOf, until } from '../../test/revision-log.cases.js';
import { EmbeddedLog } from './embedded.js';
import { EmbeddedRecords } from './embedded-records.js';

recordsCases('the embedded store', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-store-'));
  return {
    open: async () => EmbeddedRecords.open(join(folder, 'store.db'), Date.now),
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
});

describe('records in the embedded store', () => {
  it('lie in one file with the revisions', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-store-'));
    const path = join(folder, 'store.db');
    const records = EmbeddedRecords.open(path, Date.now);
    const log = EmbeddedLog.open(path);
    await records.put('nodes', 'a', new Uint8Array([1]), { expected: 'absent' });
    await log.append(revisionOf(1), (await log.read()).checkpoint.storeId, undefined);
    expect(await records.list('nodes')).toHaveLength(1);
    expect((await log.read()).revisions).toHaveLength(1);
    await log.close();
    await records.close();
    await rm(folder, { recursive: true });
  });

  it('live in memory for one who has no file', async () => {
    let nowMs = 0;
    const records = EmbeddedRecords.open(undefined, () => nowMs);
    await records.put('nodes', 'a', new Uint8Array([1]), { expected: 'absent', ttlMs: 10 });
    nowMs = 9;
    expect(await records.list('nodes')).toHaveLength(1);
    nowMs = 10;
    expect(await records.list('nodes')).toEqual([]);
    await records.close();
  });

  it('say when they cannot be reached, and when they can again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-store-'));
    const path = join(folder, 'store.db');
    const records = EmbeddedRecords.open(path, Date.now);
    const reaches: boolean[] = [];
    records.watch('nodes', { records: () => {}, reachable: (isReachable) => reaches.push(isReachable) });
    const other = new DatabaseSync(path);
    other.exec('ALTER TABLE record RENAME TO elsewhere');
    await until(() => reaches.length === 1);
    other.exec('ALTER TABLE elsewhere RENAME TO record');
    await until(() => reaches.length === 2);
    expect(reaches).toEqual([false, true]);
    other.close();
    await records.close();
    await rm(folder, { recursive: true });
  });
});
