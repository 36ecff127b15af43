import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runStep } from './steps.mjs';

const PROGRAM = 'redis-server';

/**
 * Installs the Redis that tests of the cache start, where that can be done without asking. Without it those tests are
 * skipped, so this never fails.
 *
 * @returns {Promise<void>}
 */
export async function installRedis() {
  if (find(PROGRAM)) return;
  const advice = `${PROGRAM} is not installed, so the tests that need it are skipped: apt-get install ${PROGRAM}`;
  if (process.getuid?.() !== 0 || !find('apt-get')) {
    console.log(advice);
    return;
  }
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const isThere =
    (await runStep('Reading what Debian has', 'apt-get', ['update', '-qq'], { env: environment })) &&
    (await runStep(
      'Installing redis-server',
      'apt-get',
      ['install', '-y', '-qq', '--no-install-recommends', PROGRAM],
      {
        env: environment,
      },
    ));
  if (!isThere) console.log(advice);
}

function find(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'];
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
