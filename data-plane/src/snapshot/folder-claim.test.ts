import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { claimFolder, FolderTakenError } from './folder-claim.js';

let folder: string;
let warnings: string[];
const log = { warn: (_: object, text: string) => void warnings.push(text) } as never;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-claim-'));
  warnings = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('is one node’s until it gives it up, and the next one is told whose', async () => {
  const state = join(folder, 'new', 'state');
  const giveUp = await claimFolder(state, 'node a', log);
  const other = claimFolder(state, 'node b', log);
  await expect(other).rejects.toThrow(FolderTakenError);
  await expect(other).rejects.toThrow(`${state} is used by node a; give each node a folder of its own`);
  await giveUp();
  expect(await readdir(state)).toEqual([]);
  await (await claimFolder(state, 'node b', log))();
  expect(warnings).toEqual([]);
});

it('is free again when its node was killed', async () => {
  const code = `require('node:net').createServer().listen(${JSON.stringify(join(folder, 'node.sock'))}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await expect(claimFolder(folder, 'node b', log)).rejects.toThrow('another process');
  const ended = once(child, 'close');
  child.kill('SIGKILL');
  await ended;
  expect(await readdir(folder)).toEqual(['node.sock']);
  await (await claimFolder(folder, 'node b', log))();
  expect(warnings).toEqual([]);
});

it('keeps nobody from starting where it cannot be found out', async () => {
  await writeFile(join(folder, 'file'), '');
  await chmod(join(folder, 'file'), 0o600);
  for (const place of [join(folder, 'file'), join(folder, 'x'.repeat(200))])
    await (await claimFolder(place, 'node a', log))();
  expect(warnings.map((text) => text.replace(/:.*/, ''))).toEqual([
    'whether another node uses the state folder is not known',
    'whether another node uses the state folder is not known',
  ]);
});
