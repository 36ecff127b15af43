import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isAlive } from '../stories/processes.js';
import { beginSession } from '../stories/raw-http.js';
import { SluiceProcess, serve, upstreamsNamed, writeFile } from './sluice-process.js';

const ENDED = 'the data plane ended unexpectedly; starting it again';

/** Kills the data plane and waits for the next. Returns its pid, and where it listens. */
async function killAndWait(sluice: SluiceProcess, pid: number) {
  const logged = sluice.log.length;
  process.kill(pid, 'SIGKILL');
  const { url, pid: next } = await sluice.logged('listening', logged);
  return { url, pid: next };
}

test('a data plane that is killed comes back on the same port, even while the file is broken', async () => {
  const { sluice, file, url, dataPlanePid } = await serve(upstreamsNamed('files'));
  writeFileSync(file, 'upstreams: [');
  const next = await killAndWait(sluice, dataPlanePid);
  expect(next.pid).not.toBe(dataPlanePid);
  expect(next.url).toBe(url);
  const health = (await (await fetch(`${url}/health`)).json()) as { upstreams: { name: string }[] };
  expect(health.upstreams.map(({ name }) => name)).toEqual(['files']);
  expect(await sluice.logged(ENDED)).toMatchObject({ signal: 'SIGKILL', delayMs: 0 });
});

/** A server that ends neither with its stdin nor when it is asked to, and writes down that it runs. */
const STUBBORN = `
require('node:fs').appendFileSync(process.argv[1], process.pid + ' ');
process.on('SIGTERM', () => {});
process.stdin.resume();
setInterval(() => {}, 1_000);`;

test.each([1, 2])(
  'subprocesses of a killed data plane of %i workers are ended, and of one that is killed at the end',
  async (workers) => {
    const pids = writeFile('pids', '');
    const started = () => readFileSync(pids, 'utf8').split(' ').filter(Boolean).map(Number);
    const stubborn = { command: process.execPath, args: ['-e', STUBBORN, pids] };
    const { sluice, dataPlanePid } = await serve(
      JSON.stringify({
        gateway: { listen: { workers }, shutdown_grace: '0s' },
        upstreams: [{ name: 'stubborn', stdio: stubborn }],
      }),
    );
    const first = await sluice.until('the first subprocess', () => started()[0]);
    await killAndWait(sluice, dataPlanePid);
    await sluice.until('the end of the first subprocess', () => !isAlive(first) || undefined);
    const second = await sluice.until('the second subprocess', () => started()[1]);
    expect(isAlive(second)).toBe(true);
    sluice.child.kill('SIGTERM');
    sluice.child.kill('SIGTERM');
    await sluice.ended;
    await sluice.until('the end of the second subprocess', () => !isAlive(second) || undefined);
  },
);

test('a change that came with the crash is applied when the data plane is back', async () => {
  const { sluice, file, url, dataPlanePid } = await serve(upstreamsNamed('files'));
  process.kill(dataPlanePid, 'SIGKILL');
  writeFileSync(file, upstreamsNamed('files', 'more'));
  await sluice.logged('configuration applied');
  const health = (await (await fetch(`${url}/health`)).json()) as { upstreams: { name: string }[] };
  expect(health.upstreams.map(({ name }) => name)).toEqual(['files', 'more']);
});

test.each([1, 2])(
  'a session that was ended stays ended when the data plane of %i workers is killed, and others go on',
  async (workers) => {
    const { sluice, url, dataPlanePid } = await serve(upstreamsNamed('files'), '--workers', String(workers));
    const [ended, open] = [await beginSession(`${url}/mcp`), await beginSession(`${url}/mcp`)];
    expect((await ended.end()).status).toBe(200);
    // What several workers have said is told to the parent by the main thread, which has this collected after it.
    await (await fetch(`${url}/metrics`)).text();
    let pid = dataPlanePid;
    // Twice: the second one must have been told by somebody who was not told himself.
    for (let crash = 1; crash <= 2; crash++) {
      ({ pid } = await killAndWait(sluice, pid));
      const answer = await ended.post({ jsonrpc: '2.0', id: 1, method: 'ping' });
      expect(answer.status).toBe(404);
      expect(await answer.json()).toMatchObject({
        error: { message: expect.stringMatching(/^Session not found: it has ended/) },
      });
      expect(await open.ask('ping')).toMatchObject({ result: {} });
    }
  },
);

test('crashes in a row are followed by waits', async () => {
  const { sluice, dataPlanePid } = await serve(upstreamsNamed('files'));
  let pid = dataPlanePid;
  for (let crash = 1; crash <= 4; crash++) ({ pid } = await killAndWait(sluice, pid));
  const delays = sluice.log.filter(({ msg }) => msg === ENDED).map(({ delayMs }) => delayMs);
  expect(delays).toEqual([0, 0, 0, 500]);
});

test.each(['SIGTERM', 'SIGINT'] as const)('%s ends both processes with 0', async (signal) => {
  const { sluice, dataPlanePid } = await serve(upstreamsNamed('files'));
  sluice.child.kill(signal);
  expect(await sluice.ended).toBe(0);
  expect(isAlive(dataPlanePid)).toBe(false);
  expect(sluice.log.map(({ msg }) => msg)).not.toContain(ENDED);
});

test('SIGTERM while the data plane is away ends with 0 and starts nothing more', async () => {
  const { sluice, dataPlanePid } = await serve(upstreamsNamed('files'));
  let pid = dataPlanePid;
  for (let crash = 1; crash <= 3; crash++) ({ pid } = await killAndWait(sluice, pid));
  process.kill(pid, 'SIGKILL');
  await sluice.until('a wait before the restart', () => sluice.log.find(({ delayMs }) => delayMs === 500));
  sluice.child.kill('SIGTERM');
  expect(await sluice.ended).toBe(0);
});

test('when the parent is killed, the data plane ends by itself', async () => {
  const { sluice, dataPlanePid } = await serve(upstreamsNamed('files'));
  sluice.child.kill('SIGKILL');
  await sluice.until('the end of the data plane', () => !isAlive(dataPlanePid) || undefined);
});

test('SIGTERM during the start ends it', async () => {
  const file = writeFile('sluice.yaml', upstreamsNamed('files'));
  const sluice = new SluiceProcess(['serve', '--config', file, '--port', '0']);
  await new Promise((resolve) => sluice.child.once('spawn', resolve));
  sluice.child.kill('SIGTERM');
  // Before the handler is there, the signal itself ends the process, and there is no exit code.
  expect([0, null]).toContain(await sluice.ended);
});

test('a log that nobody reads any more keeps nothing from going on, or from ending', async () => {
  const { sluice, file, url } = await serve(upstreamsNamed('files'));
  sluice.child.stderr?.destroy();
  writeFileSync(file, upstreamsNamed('files', 'more'));
  await sluice.until('the changed configuration', async () => {
    const { upstreams } = (await (await fetch(`${url}/health`)).json()) as { upstreams: unknown[] };
    return upstreams.length === 2 || undefined;
  });
  sluice.child.kill('SIGTERM');
  expect(await sluice.ended).toBe(0);
});
