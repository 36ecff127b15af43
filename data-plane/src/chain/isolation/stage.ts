/**
 * A copy of a plugin for this process alone: exactly the files that were checked, beside the gateway's own SDK. So it can
 * be replaced or removed where it came from while it runs, and each version of it is a module of its own.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type FoundPlugin, verifiedContents } from '@sluice/sdk/manifest';
import { sdkFolder } from './own-folders.js';

const PREFIX = 'sluice-plugin-';

const staged = new Set<string>();

/** @throws Error that names the first file which is not what was packed. */
export function stage({ folder, manifest }: FoundPlugin): string {
  const contents = verifiedContents(folder, manifest.files);
  if (staged.size === 0) {
    removeOrphans();
    process.on('exit', removeAll);
  }
  const own = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  staged.add(own);
  for (const [path, content] of contents) {
    mkdirSync(dirname(join(own, path)), { recursive: true });
    writeFileSync(join(own, path), content);
  }
  mkdirSync(join(own, 'node_modules', '@sluice'), { recursive: true });
  symlinkSync(sdkFolder(), join(own, 'node_modules', '@sluice', 'sdk'), 'junction');
  return own;
}

export function unstage(folder: string): void {
  staged.delete(folder);
  if (staged.size === 0) process.off('exit', removeAll);
  rmSync(folder, { recursive: true, force: true });
}

function removeAll(): void {
  for (const folder of staged) rmSync(folder, { recursive: true, force: true });
}

/** Of processes that were killed. */
function removeOrphans(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid)) || !existsSync(join(tmpdir(), name))) continue;
    try {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    } catch {
      // Another user's.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}
