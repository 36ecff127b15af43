import { expect, test } from 'vitest';
import { beginSession, type RawSession } from '../stories/raw-http.js';
import { freePort } from '../stories/upstreams.js';
import { SluiceProcess, writeFile } from './sluice-process.js';

const OLD = 'o'.repeat(40);
const NEW = 'n'.repeat(40);

/** A gateway whose newest key is the first. */
async function start(port: number, keys: readonly string[]) {
  const names = keys.map((_, index) => `KEY_${index}`);
  const file = writeFile(
    'sluice.json',
    JSON.stringify({
      gateway: { listen: { port }, sessions: { keys: names.map((name) => `\${${name}}`) } },
      upstreams: [{ name: 'files', url: 'http://127.0.0.1:9/mcp' }],
    }),
  );
  const env = Object.fromEntries(names.map((name, index) => [name, keys[index] as string]));
  const sluice = new SluiceProcess(['serve', '--config', file], env);
  await sluice.logged('listening');
  return async () => {
    sluice.child.kill('SIGTERM');
    expect(await sluice.ended).toBe(0);
  };
}

const statusOf = async (session: RawSession) =>
  (await session.post({ jsonrpc: '2.0', id: 1, method: 'ping' })).status;

test('sessions go on while their key is among the previous ones, and no longer', async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/mcp`;
  let stop = await start(port, [OLD]);
  const first = await beginSession(url);
  await stop();
  stop = await start(port, [NEW, OLD]);
  expect(await statusOf(first)).toBe(200);
  const second = await beginSession(url);
  await stop();
  stop = await start(port, [NEW]);
  expect([await statusOf(first), await statusOf(second)]).toEqual([404, 200]);
  await stop();
});
