import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DatabaseSync } from '@photostructure/sqlite';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryPluginStores } from './memory-store.js';
import { CASE_LIMITS as LIMITS, pluginStoresCases } from './plugin-stores.cases.js';
import { checkStateDir, pluginStores } from './plugin-stores.js';
import { SqlitePluginStores } from './sqlite-store.js';
import { type PluginStores, STORE_LIMITS } from './store-limits.js';

const SILENT = pino({ enabled: false });
let folder: string;
let file: string;
let opened: PluginStores[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-stores-'));
  file = join(folder, 'state', 'plugins.sqlite');
  opened = [];
});
afterEach(async () => {
  vi.useRealTimers();
  for (const stores of opened) stores.close();
  await rm(folder, { recursive: true, force: true });
});

function opens<Stores extends PluginStores>(stores: Stores): Stores {
  opened.push(stores);
  return stores;
}

pluginStoresCases('memory', async (limits) => opens(new MemoryPluginStores(limits)));
pluginStoresCases('a file', async (limits) => opens(new SqlitePluginStores(file, limits)));

describe('a store in a file', () => {
  it('outlives the process, and is for nobody else on the machine', async () => {
    const stores = new SqlitePluginStores(file, LIMITS);
    await stores.of('one').set('a', '1');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(`${file}-wal`).mode & 0o777).toBe(0o600);
    stores.close();
    expect(await opens(new SqlitePluginStores(file, LIMITS)).of('one').get('a')).toBe('1');
  });

  it('is swept', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'], now: 1_000 });
    const stores = opens(new SqlitePluginStores(file, LIMITS));
    await stores.of('one').set('a', '1', { ttlMs: 100 });
    await stores.of('one').set('b', '1');
    vi.advanceTimersByTime(60_000);
    const database = new DatabaseSync(file);
    expect(database.prepare('SELECT count(*) AS count FROM entries').get()).toEqual({ count: 1 });
    database.close();
  });

  it('is one for several threads and processes that write at the same time', async () => {
    opens(new SqlitePluginStores(file, STORE_LIMITS));
    const script = `
      const { DatabaseSync } = require('@photostructure/sqlite');
      const { writer, file } = require('node:worker_threads').workerData ?? JSON.parse(process.argv[1]);
      const database = new DatabaseSync(file, { timeout: 10_000 });
      const set = database.prepare('INSERT INTO entries VALUES (?, ?, ?, NULL)');
      for (let i = 0; i < 200; i++) set.run('one', Buffer.from(writer + ':' + i), Buffer.from('x'));
      database.close();`;
    const ended = ['t1', 't2'].map(
      (writer) =>
        new Promise<number>((resolve) =>
          new Worker(script, { eval: true, workerData: { writer, file } }).on('exit', resolve),
        ),
    );
    const own = opens(new SqlitePluginStores(file, STORE_LIMITS)).of('one');
    for (let i = 0; i < 200; i++) await own.set(`own:${i}`, 'x');
    const child = spawnSync(process.execPath, ['-e', script, JSON.stringify({ writer: 'p', file })]);
    expect([child.status, child.stderr.toString()]).toEqual([0, '']);
    expect(await Promise.all(ended)).toEqual([0, 0]);
    for (const writer of ['t1', 't2', 'own', 'p']) expect(await own.keys(`${writer}:`)).toHaveLength(200);
  });

  it.each<[string, () => void, RegExp]>([
    ['is something else', () => writeFileSync(file, 'x'.repeat(4_096)), /not a database/],
    ['is a folder', () => mkdirSync(file), /EISDIR/],
    [
      'is damaged',
      () => {
        const stores = new SqlitePluginStores(file, STORE_LIMITS);
        stores.close();
        const bytes = readFileSync(file);
        bytes.fill(0xff, 4_096);
        writeFileSync(file, bytes);
      },
      /malformed|damaged/,
    ],
    [
      'is of a newer version',
      () => {
        const database = new DatabaseSync(file);
        database.exec('PRAGMA user_version = 99');
        database.close();
      },
      /written by a newer version of Sluice \(99\)/,
    ],
  ])('says at the start that it %s', (_, spoil, why) => {
    const state = join(folder, 'state');
    mkdirSync(state);
    spoil();
    expect(() => checkStateDir(state, SILENT)).toThrow(
      /^gateway\.state_dir: plugins cannot store anything in /,
    );
    expect(() => checkStateDir(state, SILENT)).toThrow(why);
  });

  it('says at the start that its folder is none', () => {
    writeFileSync(join(folder, 'state'), '');
    expect(() => checkStateDir(join(folder, 'state'), SILENT)).toThrow(/EEXIST|ENOTDIR/);
  });

  it.skipIf(process.getuid?.() === 0)('says at the start that it cannot be written', () => {
    mkdirSync(join(folder, 'state'), { mode: 0o500 });
    expect(() => checkStateDir(join(folder, 'state'), SILENT)).toThrow(/EACCES/);
  });
});

describe('where plugins store', () => {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });

  it('is memory without a folder, which is said once, when it matters', async () => {
    lines.length = 0;
    const stores = opens(pluginStores(undefined, log));
    const [one, other] = [stores.of('one'), stores.of('other')];
    expect(lines).toEqual([]);
    await one.set('a', '1');
    await other.set('a', '2');
    expect(await one.get('a')).toBe('1');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('gateway.state_dir');
  });
});
