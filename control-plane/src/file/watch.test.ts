import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, type onTestFinished, vi } from 'vitest';
import { watchConfiguration, watchConfigurationFile } from './watch.js';

/** Longer than the poll and two looks together: whatever was to be reported has been by then. */
const SETTLED_MS = 1500;

/** A folder of its own for each test, and a watch on a file in it that notes the content of each change. */
class WatchedFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-watch-'));
  readonly seen: string[] = [];
  private stop: () => void = () => undefined;

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  write(name: string, content: string): void {
    writeFileSync(this.path(name), content);
  }

  watch(name: string): void {
    const path = this.path(name);
    const watching = watchConfigurationFile(path, () => this.seen.push(readFileSync(path, 'utf8')));
    this.stop = () => watching.close();
  }

  changes(...contents: string[]): Promise<void> {
    return vi.waitFor(() => expect(this.seen).toEqual(contents), { timeout: 15_000 });
  }

  async settled(...contents: string[]): Promise<void> {
    await delay(SETTLED_MS);
    expect(this.seen).toEqual(contents);
  }

  close(): void {
    this.stop();
  }

  remove(): void {
    this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function watchedFolder(finished: typeof onTestFinished): WatchedFolder {
  const watched = new WatchedFolder();
  finished(() => watched.remove());
  return watched;
}

describe.concurrent('watchConfigurationFile', () => {
  it('reports each change once', async ({ onTestFinished }) => {
    const watched = watchedFolder(onTestFinished);
    watched.write('a.yaml', 'one');
    watched.watch('a.yaml');
    watched.write('a.yaml', 'two');
    await watched.changes('two');
    await watched.settled('two');
    watched.write('a.yaml', 'three');
    await watched.changes('two', 'three');
    await watched.settled('two', 'three');
  });

  it('says nothing when the same content is written again', async ({ onTestFinished }) => {
    const watched = watchedFolder(onTestFinished);
    watched.write('a.yaml', 'one');
    watched.watch('a.yaml');
    watched.write('a.yaml', 'one');
    await watched.settled();
  });

  it('follows a file that editors replace', async ({ onTestFinished }) => {
    const watched = watchedFolder(onTestFinished);
    watched.write('a.yaml', 'one');
    watched.watch('a.yaml');
    const replace = (content: string) => {
      watched.write('.a.yaml.swp', content);
      renameSync(watched.path('.a.yaml.swp'), watched.path('a.yaml'));
    };
    replace('two');
    await watched.changes('two');
    replace('three');
    await watched.changes('two', 'three');
    await watched.settled('two', 'three');
  });

  it('follows links as a ConfigMap changes them', async ({ onTestFinished }) => {
    const watched = watchedFolder(onTestFinished);
    for (const version of ['v1', 'v2']) {
      mkdirSync(watched.path(version));
      watched.write(join(version, 'a.yaml'), version);
    }
    symlinkSync('v1', watched.path('..data'));
    symlinkSync(join('..data', 'a.yaml'), watched.path('a.yaml'));
    watched.watch('a.yaml');
    symlinkSync('v2', watched.path('..data_tmp'));
    renameSync(watched.path('..data_tmp'), watched.path('..data'));
    rmSync(watched.path('v1'), { recursive: true });
    await watched.changes('v2');
    // The folder that the link now leads to is watched in its turn.
    watched.write(join('v2', 'a.yaml'), 'three');
    await watched.changes('v2', 'three');
    await watched.settled('v2', 'three');
  });

  it('waits for a file that is away, and says nothing while it is', async ({ onTestFinished }) => {
    const watched = watchedFolder(onTestFinished);
    watched.write('a.yaml', 'one');
    watched.watch('a.yaml');
    unlinkSync(watched.path('a.yaml'));
    await watched.settled();
    watched.write('a.yaml', 'one');
    await watched.settled();
    watched.write('a.yaml', 'two');
    await watched.changes('two');
  });

  it('waits for a folder that is not there yet, or goes away', async ({ onTestFinished }) => {
    const watched = watchedFolder(onTestFinished);
    watched.watch(join('inner', 'a.yaml'));
    mkdirSync(watched.path('inner'));
    watched.write(join('inner', 'a.yaml'), 'one');
    await watched.changes('one');
    rmSync(watched.path('inner'), { recursive: true });
    await watched.settled('one');
    mkdirSync(watched.path('inner'));
    watched.write(join('inner', 'a.yaml'), 'two');
    await watched.changes('one', 'two');
  });

  it('is silent after it was closed', async ({ onTestFinished }) => {
    const watched = watchedFolder(onTestFinished);
    watched.write('a.yaml', 'one');
    watched.watch('a.yaml');
    watched.write('a.yaml', 'two');
    watched.close();
    await watched.settled();
  });
});

describe('watchConfigurationFile, by its own clock', () => {
  it('is not kept from looking by other files of a busy folder', async ({ onTestFinished }) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const watched = watchedFolder(onTestFinished);
    watched.write('a.yaml', 'one');
    watched.watch('a.yaml');
    watched.write('a.yaml', 'two');
    // Each round is shorter than the pause before a look, and long enough for the system to tell of the noise.
    for (let round = 0; round < 20; round++) {
      watched.write('noise.log', String(round));
      await delay(20);
      vi.advanceTimersByTime(60);
    }
    expect(watched.seen).toEqual(['two']);
  });
});

it('says once that the file of accepted definitions is gone, and again when it was there meanwhile', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-watch-'));
  const pins = join(folder, 'sluice.pins.json');
  const seen: string[] = [];
  writeFileSync(pins, '{}');
  const watching = watchConfiguration(
    join(folder, 'sluice.yaml'),
    () => seen.push('changed'),
    (file) => seen.push(`gone: ${file}`),
  );
  const become = (...expected: string[]) =>
    vi.waitFor(() => expect(seen).toEqual(expected), { timeout: 15_000 });
  try {
    unlinkSync(pins);
    await become(`gone: ${pins}`);
    writeFileSync(pins, '{}');
    await become(`gone: ${pins}`, 'changed');
    unlinkSync(pins);
    await become(`gone: ${pins}`, 'changed', `gone: ${pins}`);
  } finally {
    watching.close();
    rmSync(folder, { recursive: true });
  }
});
