import { expect, test } from 'vitest';
import { isAlive } from '../stories/processes.js';
import { freePort } from '../stories/upstreams.js';
import { SluiceProcess, writeFile } from './sluice-process.js';

const configuration = (name: string, port: number) =>
  JSON.stringify({
    gateway: { listen: { port, share_port: true } },
    upstreams: [{ name, url: 'http://127.0.0.1:9/mcp' }],
  });

test('two gateways share a port, and one serves alone when the other has gone', async () => {
  const port = await freePort();
  const gateways = await Promise.all(
    ['first', 'second'].map(async (name) => {
      const file = writeFile('sluice.json', configuration(name, port));
      const sluice = new SluiceProcess(['serve', '--config', file]);
      return { name, sluice, pid: (await sluice.logged('listening')).pid };
    }),
  );
  const served = async (): Promise<string> => {
    // One connection each: the system chooses among those that listen when a connection comes.
    const response = await fetch(`http://127.0.0.1:${port}/health`, { headers: { connection: 'close' } });
    const { upstreams } = (await response.json()) as { upstreams: { name: string }[] };
    return upstreams[0]?.name as string;
  };
  const [first, second] = gateways as [(typeof gateways)[0], (typeof gateways)[0]];
  const seen = new Set<string>();
  await first.sluice.until('an answer of each', async () => {
    seen.add(await served());
    return seen.size === 2 || undefined;
  });
  first.sluice.child.kill('SIGTERM');
  expect(await first.sluice.ended).toBe(0);
  expect([isAlive(first.pid), isAlive(second.pid)]).toEqual([false, true]);
  for (let count = 0; count < 20; count++) expect(await served()).toBe('second');
});
