import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ConfigurationWatch, watchConfigurationFile } from './watch.js';

/** Longer than the poll and the debounce together: whatever was to be reported has been by then. */
const SETTLED_MS = 1500;

let folder: string;
let watching: ConfigurationWatch | undefined;
let changeCount: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-watch-'));
  changeCount = 0;
});
afterEach(() => {
  watching?.close();
  rmSync(folder, { recursive: true, force: true });
});

function start(path: string): void {
  watching = watchConfigurationFile(path, () => changeCount++);
}

const changes = (count: number) => vi.waitFor(() => expect(changeCount).toBe(count), { timeout: 10_000 });

async function settled(count: number): Promise<void> {
  await delay(SETTLED_MS);
  expect(changeCount).toBe(count);
}

describe('watchConfigurationFile', () => {
  it('reports each change once', async () => {
    const path = join(folder, 'a.yaml');
    writeFileSync(path, 'one');
    start(path);
    writeFileSync(path, 'two');
    await changes(1);
    await settled(1);
    writeFileSync(path, 'three');
    await changes(2);
    await settled(2);
  });

  it('says nothing when the same content is written again', async () => {
    const path = join(folder, 'a.yaml');
    writeFileSync(path, 'one');
    start(path);
    writeFileSync(path, 'one');
    await settled(0);
  });

  it('follows a file that editors replace', async () => {
    const path = join(folder, 'a.yaml');
    writeFileSync(path, 'one');
    start(path);
    for (const [index, content] of ['two', 'three'].entries()) {
      writeFileSync(join(folder, '.a.yaml.swp'), content);
      renameSync(join(folder, '.a.yaml.swp'), path);
      await changes(index + 1);
    }
    await settled(2);
  });

  it('follows links as a ConfigMap changes them', async () => {
    for (const [name, content] of [
      ['v1', 'one'],
      ['v2', 'two'],
    ] as const) {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'a.yaml'), content);
    }
    symlinkSync('v1', join(folder, '..data'));
    symlinkSync(join('..data', 'a.yaml'), join(folder, 'a.yaml'));
    start(join(folder, 'a.yaml'));
    symlinkSync('v2', join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    rmSync(join(folder, 'v1'), { recursive: true });
    await changes(1);
    // The folder that the link now leads to is watched in its turn.
    writeFileSync(join(folder, 'v2', 'a.yaml'), 'three');
    await changes(2);
    await settled(2);
  });

  it('waits for a file that is away, and says nothing while it is', async () => {
    const path = join(folder, 'a.yaml');
    writeFileSync(path, 'one');
    start(path);
    unlinkSync(path);
    await settled(0);
    writeFileSync(path, 'one');
    await settled(0);
    writeFileSync(path, 'two');
    await changes(1);
  });

  it('waits for a folder that is not there yet, or goes away', async () => {
    const inner = join(folder, 'inner');
    const path = join(inner, 'a.yaml');
    start(path);
    mkdirSync(inner);
    writeFileSync(path, 'one');
    await changes(1);
    rmSync(inner, { recursive: true });
    await settled(1);
    mkdirSync(inner);
    writeFileSync(path, 'two');
    await changes(2);
  });

  it('is silent after it was closed', async () => {
    const path = join(folder, 'a.yaml');
    writeFileSync(path, 'one');
    start(path);
    writeFileSync(path, 'two');
    watching?.close();
    await settled(0);
  });
});
