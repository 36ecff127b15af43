import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runStep } from './steps.mjs';

/*
 * Brings the workspace to the state in which it can run: installed and built. What has not changed since the
 * last time is neither installed nor built; two small files in node_modules remember what that was.
 */

/** The folder that holds the packages. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const LOCK_FILE = join(ROOT, 'package-lock.json');
const INSTALLED_STAMP = join(ROOT, 'node_modules', '.sluice-lock');
const BUILT_STAMP = join(ROOT, 'node_modules', '.sluice-build');
/** What npm itself writes about the tree that it has installed. */
const INSTALLED_LOCK_FILE = join(ROOT, 'node_modules', '.package-lock.json');

const MODULES = 'node_modules/';

/** Keeps tools of the build from talking to the network, leaving processes behind, or drawing screens. */
const BUILD_ENVIRONMENT = {
  NX_DAEMON: 'false',
  NX_NO_CLOUD: 'true',
  NX_TUI: 'false',
  NX_TASKS_RUNNER_DYNAMIC_OUTPUT: 'false',
};

/** Installs the dependencies unless those of the lock file are there. Resolves to whether they are. */
export async function install() {
  const lock = readFileSync(LOCK_FILE, 'utf8');
  const digest = sha256(lock);
  if (readIfThere(INSTALLED_STAMP) === digest) return true;
  const { packages: locked } = JSON.parse(lock);
  if (!holdsWhatIsLocked(locked)) {
    // An installation that is cut short must not pass for a whole one.
    rmSync(INSTALLED_STAMP, { force: true });
    const [command, ...args] = npm('ci', '--no-audit', '--no-fund', '--loglevel=error');
    const howFar = () => howManyAreThere(locked);
    if (!(await runStep('Installing packages', command, args, { cwd: ROOT }, howFar))) return false;
  }
  writeFileSync(INSTALLED_STAMP, digest);
  return true;
}

/**
 * Installs the other releases of Node.js that tests run under, unless they are there. Only Linux on x64 has them as
 * packages; elsewhere the tests that want them say so in their names.
 */
export async function installNodeVersions() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return true;
  const folder = join(ROOT, 'cli', 'test', 'node-versions');
  const stamp = join(folder, 'node_modules', '.sluice-lock');
  const digest = sha256(readFileSync(join(folder, 'package-lock.json'), 'utf8'));
  if (readIfThere(stamp) === digest) return true;
  const [command, ...args] = npm('ci', '--workspaces=false', '--no-audit', '--no-fund', '--loglevel=error');
  if (!(await runStep('Installing Node.js 22 and 24', command, args, { cwd: folder }))) return false;
  writeFileSync(stamp, digest);
  return true;
}

/** Builds all packages unless their sources are those of the last build. Resolves to whether they are built. */
export async function build() {
  const digest = sourcesDigest();
  if (readIfThere(BUILT_STAMP) === digest && packages().every(isBuilt)) return true;
  rmSync(BUILT_STAMP, { force: true });
  const nx = join(ROOT, 'node_modules', 'nx', 'dist', 'bin', 'nx.js');
  const args = [nx, 'run-many', '-t', 'build', '--outputStyle=static'];
  const options = { cwd: ROOT, env: { ...process.env, ...BUILD_ENVIRONMENT } };
  if (!(await runStep('Building', process.execPath, args, options))) return false;
  mkdirSync(dirname(BUILT_STAMP), { recursive: true });
  writeFileSync(BUILT_STAMP, digest);
  return true;
}

/** Whether somebody has installed by hand what the lock file asks for; packages of other platforms may be absent. */
function holdsWhatIsLocked(locked) {
  const text = readIfThere(INSTALLED_LOCK_FILE);
  if (text === undefined) return false;
  const installed = JSON.parse(text).packages ?? {};
  return Object.entries(locked).every(([path, wanted]) => {
    if (!path.includes(MODULES)) return true;
    const found = installed[path];
    if (found === undefined) return wanted.optional === true;
    return found.version === wanted.version && found.integrity === wanted.integrity;
  });
}

/** How many of the packages that every platform gets are unpacked, while npm says nothing. */
function howManyAreThere(locked) {
  const paths = Object.entries(locked)
    .filter(([path, { link, optional }]) => path.includes(MODULES) && !link && !optional)
    .map(([path]) => path);
  const there = paths.filter((path) => existsSync(join(ROOT, path, 'package.json')));
  return `${there.length} of ${paths.length}`;
}

/** The npm that runs this script, or the one on the PATH. */
function npm(...args) {
  const script = process.env.npm_execpath;
  return script?.endsWith('.js') ? [process.execPath, script, ...args] : ['npm', ...args];
}

function packages() {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).workspaces;
}

function isBuilt(name) {
  return (
    !existsSync(join(ROOT, name, 'tsconfig.json')) || existsSync(join(ROOT, name, 'dist', '.tsbuildinfo'))
  );
}

/** Digest of everything that the build reads. */
function sourcesDigest() {
  const hash = createHash('sha256');
  const files = ['package.json', 'package-lock.json', 'nx.json', 'tsconfig.json', 'tsconfig.base.json'];
  for (const name of packages()) {
    files.push(...filesBelow(join(name, 'src')));
    files.push(
      ...readdirSync(join(ROOT, name))
        .filter(isJson)
        .map((file) => join(name, file)),
    );
  }
  for (const file of files.sort())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(ROOT, file)))
      .update('\0');
  return hash.digest('hex');
}

function isJson(file) {
  return file.endsWith('.json');
}

function filesBelow(folder) {
  const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length));
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function sha256(text) {
  return createHash('sha256').update(text).digest('hex');
}
