import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  checkpointOf,
  consumer,
  Listener,
  revisionLogCases,
  revisionOf,
  until,
} from '../../test/revision-log.cases.js';
import { EmbeddedLog } from './embedded.js';
import { StoreDamagedError, StoreUnavailableError } from './revision-log.js';

revisionLogCases('the embedded store', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-store-'));
  return {
    open: async () => EmbeddedLog.open(join(folder, 'store.db')),
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
});

describe('the embedded store in memory', () => {
  it('holds what it is told until it is closed', async () => {
    const log = EmbeddedLog.open(undefined);
    const { storeId } = (await log.read()).checkpoint;
    const listener = new Listener();
    log.watch(0, listener, storeId);
    await log.append(revisionOf(1, consumer('a')), storeId, undefined);
    await log.append(revisionOf(2, consumer('b')), storeId, undefined);
    await until(() => listener.numbers.length === 2);
    await log.compact(checkpointOf(storeId, 1, consumer('a')));
    expect((await log.read()).revisions).toHaveLength(1);
    await log.close();
    const again = EmbeddedLog.open(undefined);
    expect((await again.read()).revisions).toHaveLength(0);
    await again.close();
  });
});

describe('the file of the embedded store', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-store-'));
    path = join(folder, 'new folder', 'store.db');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is for its owner only', async () => {
    const log = EmbeddedLog.open(path);
    await log.append(revisionOf(1), (await log.read()).checkpoint.storeId, undefined);
    for (const each of [path, `${path}-wal`]) expect((await stat(each)).mode & 0o777).toBe(0o600);
    await log.close();
  });

  it('is refused when it is something else', async () => {
    const text = join(folder, 'text');
    await writeFile(text, 'no database'.repeat(1_000));
    expect(() => EmbeddedLog.open(text)).toThrow(StoreDamagedError);
    expect(() => EmbeddedLog.open(text)).toThrow(`${text} is no store of Sluice, or is damaged`);
    const empty = join(folder, 'empty');
    await writeFile(empty, '');
    await EmbeddedLog.open(empty).close();
  });

  it('is refused when a later version wrote it', async () => {
    await EmbeddedLog.open(path).close();
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 7');
    database.close();
    expect(() => EmbeddedLog.open(path)).toThrow(
      'written by a later version of Sluice (format 7; this one knows 1)',
    );
  });

  it('is refused when it cannot be opened', async () => {
    expect(() => EmbeddedLog.open(folder)).toThrow(StoreUnavailableError);
    const file = join(folder, 'file');
    await writeFile(file, '');
    expect(() => EmbeddedLog.open(join(file, 'below'))).toThrow(StoreUnavailableError);
  });

  it('makes a writer wait, then say so, while another process holds it', async () => {
    const log = EmbeddedLog.open(path);
    const { storeId } = (await log.read()).checkpoint;
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    await expect(log.append(revisionOf(1), storeId, undefined)).rejects.toThrow(
      /store\.db cannot be used: .*locked/,
    );
    expect((await log.read()).revisions).toHaveLength(0);
    other.exec('COMMIT');
    other.close();
    expect(await log.append(revisionOf(1), storeId, undefined)).toEqual({ appended: true });
    await log.close();
  });

  it('is damaged when it holds less than it must', async () => {
    const log = EmbeddedLog.open(path);
    const { storeId } = (await log.read()).checkpoint;
    const listener = new Listener();
    log.watch(0, listener, storeId);
    const other = new DatabaseSync(path);
    other.exec('DELETE FROM checkpoint');
    await expect(log.read()).rejects.toThrow(StoreDamagedError);
    await until(() => listener.reaches.length === 1);
    expect(listener.reaches).toEqual([[false, `${path} has no checkpoint`]]);
    other.exec(`INSERT INTO checkpoint VALUES (1, 0, '${storeId}', x'')`);
    await until(() => listener.reaches.length === 2);
    expect(listener.reaches[1]).toEqual([true]);
    other.close();
    await log.close();
  });
});
