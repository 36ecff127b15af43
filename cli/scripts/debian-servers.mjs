import { spawnSync } from 'node:child_process';
import { accessSync, constants, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runStep } from './steps.mjs';

/** The servers that tests start, each by the name of its Debian package, with its program. */
const SERVERS = { 'etcd-server': 'etcd', 'nats-server': 'nats-server', 'redis-server': 'redis-server' };

/** What installations ask whether they may start what they install (Debian's invoke-rc.d). */
const POLICY = '/usr/sbin/policy-rc.d';
/** The answer to "start" that means no. */
const REFUSED = 101;

/**
 * Installs the servers that tests start, where that can be done without asking. Without one its tests are skipped, so
 * this never fails. The system's own services of them are not started.
 *
 * @returns {Promise<void>}
 */
export async function installServers() {
  const wanted = Object.keys(SERVERS).filter((name) => !find(SERVERS[name]));
  if (wanted.length === 0) return;
  if (process.getuid?.() === 0 && find('apt-get')) await withoutServices(() => install(wanted));
  const missing = Object.keys(SERVERS).filter((name) => !find(SERVERS[name]));
  if (missing.length > 0)
    console.log(
      `Tests that need what is not installed are skipped; to have them: apt-get install ${missing.join(' ')}`,
    );
}

async function install(names) {
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  const quietly = ['install', '-y', '-qq', '--no-install-recommends'];
  return (
    (await runStep('Reading what Debian has', 'apt-get', ['update', '-qq'], options)) &&
    (await runStep(`Installing ${names.join(', ')}`, 'apt-get', [...quietly, ...names], options))
  );
}

/** Runs the work while nothing that is installed may be started. Does not run it when that cannot be had. */
async function withoutServices(work) {
  if (find('policy-rc.d')) {
    // Somebody has made a rule for this machine already, and it stays.
    const { status } = spawnSync(POLICY, ['etcd', 'start']);
    if (status === REFUSED) await work();
    return;
  }
  writeFileSync(POLICY, `#!/bin/sh\nexit ${REFUSED}\n`, { mode: 0o755, flag: 'wx' });
  const remove = () => rmSync(POLICY, { force: true });
  const interrupted = () => process.exit(1);
  // Left behind it would keep every later installation from starting its service.
  process.once('exit', remove);
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  try {
    await work();
  } finally {
    remove();
    process.off('exit', remove);
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
  }
}

function find(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin', '/usr/sbin'];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
