// Run after a dependency was changed: `node cli/scripts/complete-lock.mjs`
//
// npm leaves optional packages of other platforms out of the lock file when it cannot see them (a mirror without
// them, or an installed tree: npm/cli#4828), and `npm ci` then refuses the lock file on every platform. This puts
// them back by their exact versions; npm fetches one only on the platform that it is for.
import { readFileSync, writeFileSync } from 'node:fs';

const PLATFORMS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const PROCESSORS = [
  'arm',
  'arm64',
  'ia32',
  'loong64',
  'mips64el',
  'ppc64',
  'riscv64',
  's390x',
  'wasm32',
  'x64',
];

const file = process.argv[2] ?? 'package-lock.json';
const lock = JSON.parse(readFileSync(file, 'utf8'));
const { packages } = lock;
let added = 0;
for (const [path, entry] of Object.entries(packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isThere(path, name)) continue;
    const words = name.split(/[/.-]/);
    const os = PLATFORMS.filter(
      (platform) => words.includes(platform) || (name === 'fsevents' && platform === 'darwin'),
    );
    const cpu = PROCESSORS.filter((processor) => words.includes(processor));
    packages[`node_modules/${name}`] = {
      version: range.replace(/^[~^]/, ''),
      ...(cpu.length > 0 && { cpu }),
      ...(entry.dev && { dev: true }),
      optional: true,
      ...(os.length > 0 && { os }),
    };
    added++;
  }
}
const sorted = Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
console.log(`${added} packages of other platforms added`);

/** Looks where Node.js would: below the package, then in the folders above it. */
function isThere(path, name) {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (packages[`${at === '' ? '' : `${at}/`}node_modules/${name}`] !== undefined) return true;
    if (at === '' || !at.includes('node_modules/')) return packages[`node_modules/${name}`] !== undefined;
  }
}
