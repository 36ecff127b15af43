/** `sluice plugin new`, `test` and `pack`. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { packPlugin } from '@sluice/sdk/manifest';
import { EXIT } from './exit-codes.js';
import type { Output } from './health.js';
import { skeleton } from './plugin-skeleton.js';

const NAME = /^[a-z][a-z0-9-]{0,62}$/;
const SDK = '@sluice/sdk';

export function newPlugin(name: string, out: Output, err: Output): number {
  if (!NAME.test(name)) {
    err.write(`${JSON.stringify(name)} is no name of a plugin; use lower-case letters, digits and hyphens\n`);
    return EXIT.usage;
  }
  if (existsSync(name)) {
    err.write(`${name} is there already; choose another name\n`);
    return EXIT.usage;
  }
  mkdirSync(name);
  for (const [path, text] of skeleton(name)) writeFileSync(join(name, path), text);
  linkSdk(resolve(name));
  out.write(
    `${name} is there: write index.js, then sluice plugin test ${name} and sluice plugin pack ${name}\n`,
  );
  return EXIT.ok;
}

/** Resolves with 1 when a test fails. */
export function runPluginTests(folder: string, err: Output): Promise<number> {
  if (!isFolder(folder, err)) return Promise.resolve(EXIT.usage);
  linkSdk(resolve(folder));
  return new Promise((done) => {
    const tests = spawn(process.execPath, ['--test'], { cwd: folder, stdio: 'inherit' });
    tests.once('error', () => done(EXIT.unexpected));
    tests.once('exit', (code) => done(code === 0 ? EXIT.ok : EXIT.unexpected));
  });
}

export async function pack(folder: string, out: Output, err: Output): Promise<number> {
  if (!isFolder(folder, err)) return EXIT.usage;
  linkSdk(resolve(folder));
  try {
    const { manifest, hash } = await packPlugin(folder);
    const place = relative('.', folder) || '.';
    out.write(`# ${manifest.name} ${manifest.version}, ${manifest.files.length} files\n`);
    out.write(`plugins:\n  - plugin: ./${place === '.' ? '' : place}\n    hash: ${hash}\n`);
    return EXIT.ok;
  } catch (thrown) {
    err.write(`${folder} cannot be packed: ${thrown instanceof Error ? thrown.message : thrown}\n`);
    return EXIT.configuration;
  }
}

function isFolder(folder: string, err: Output): boolean {
  if (existsSync(join(folder, 'package.json')) || existsSync(join(folder, 'index.js'))) return true;
  err.write(`${folder} is no folder of a plugin: it has neither package.json nor index.js\n`);
  return false;
}

/** A plugin that cannot find the SDK is given that of this gateway. */
function linkSdk(folder: string): void {
  const places = createRequire(join(folder, 'package.json')).resolve.paths(SDK) ?? [];
  if (places.some((place) => existsSync(join(place, SDK)))) return;
  const own = dirname(dirname(createRequire(import.meta.url).resolve(SDK)));
  mkdirSync(join(folder, 'node_modules', '@sluice'), { recursive: true });
  symlinkSync(own, join(folder, 'node_modules', '@sluice', 'sdk'), 'junction');
}
