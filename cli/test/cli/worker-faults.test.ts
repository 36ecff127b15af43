import { renameSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isAlive } from '../stories/processes.js';
import { serveWith, upstreamsNamed, writeFile } from './sluice-process.js';

/* Exceptions that nobody catches, and threads that end: what a fault of the gateway's own, or of a library, would do. */

/** Loaded into every process and thread of the gateway; does in the last worker what it reads in a file. */
const SABOTEUR = `
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';
const file = process.env.SABOTAGE_FILE;
const isWorker = isMainThread
  ? process.env.SABOTAGE_WORKERS === '1' && process.argv[1]?.endsWith('data-plane-process.js')
  : workerData?.count > 1 && workerData.index === workerData.count - 1;
if (isWorker) setInterval(() => {
  if (!existsSync(file)) return;
  const what = readFileSync(file, 'utf8');
  rmSync(file);
  if (what === 'throw') throw new Error('sabotage');
  if (what === 'reject') Promise.reject(new Error('sabotage'));
  if (what === 'exit') process.exit(3);
  if (what === 'heap') for (const hoard = []; ; ) hoard.push(new Array(10_000).fill({}));
}, 20).unref();
`;

async function serveSabotaged(workers: number) {
  const saboteur = writeFile('saboteur.mjs', SABOTEUR);
  const file = writeFile('order', '');
  renameSync(file, `${file}.none`);
  const env = {
    NODE_OPTIONS: `--import=${saboteur} --max-old-space-size=128`,
    SABOTAGE_FILE: file,
    SABOTAGE_WORKERS: String(workers),
  };
  const gateway = await serveWith(env, upstreamsNamed('files'), '--workers', String(workers));
  const order = (what: string) => {
    // Whoever finds it finds it whole.
    writeFileSync(`${file}.new`, what);
    renameSync(`${file}.new`, file);
  };
  return { ...gateway, order };
}

const FAULT = 'an exception cost an exchange';
const ENDED = 'the data plane ended unexpectedly; starting it again';

test.each([1, 2])(
  'what nobody catches in one of %i worker(s) is counted and ends nothing',
  async (workers) => {
    const { sluice, url, dataPlanePid, order } = await serveSabotaged(workers);
    for (const [what, count] of [
      ['throw', 1],
      ['reject', 2],
    ] as const) {
      order(what);
      await sluice.until(`fault ${count}`, () => sluice.log.filter(({ msg }) => msg === FAULT)[count - 1]);
      expect(await (await fetch(`${url}/metrics`)).text()).toMatch(
        new RegExp(`^sluice_faults_total ${count}$`, 'm'),
      );
    }
    expect(isAlive(dataPlanePid)).toBe(true);
    expect(sluice.log.map(({ msg }) => msg)).not.toContain(ENDED);
    sluice.child.kill('SIGTERM');
    expect(await sluice.ended).toBe(0);
  },
);

// A thread that ends with uWebSockets.js open in it takes the process along.
test.each([
  [1, 'exit'],
  [1, 'heap'],
  [2, 'exit'],
  [2, 'heap'],
] as const)('with %i worker(s), %s of one is followed by a restart of all', async (workers, what) => {
  const { sluice, url, dataPlanePid, order } = await serveSabotaged(workers);
  const logged = sluice.log.length;
  order(what);
  const again = await sluice.logged('listening', logged);
  expect([again.url, again.pid === dataPlanePid, isAlive(dataPlanePid)]).toEqual([url, false, false]);
  expect((await fetch(`${url}/live`)).status).toBe(200);
  sluice.child.kill('SIGTERM');
  expect(await sluice.ended).toBe(0);
});
