import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { isAlive } from '../stories/processes.js';
import { freePort } from '../stories/upstreams.js';
import { SLUICE, upstreamsNamed, writeFile } from './sluice-process.js';

/* npm hands signals on to the shell that it runs a command in, and to nothing else. */

const PATIENCE = { timeout: 20_000 };

test('a gateway that npx started ends in order when the shell between them is killed', async () => {
  const file = writeFile('sluice.yaml', upstreamsNamed('files'));
  const port = await freePort();
  // The second command keeps the shell from becoming the first.
  const script = '"$0" "$@" & echo $!; wait';
  const args = [process.execPath, SLUICE, 'serve', '--config', file, '--port', String(port)];
  const env = { ...process.env, npm_lifecycle_script: "'sluice'" };
  const shell = spawn('sh', ['-c', script, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  shell.stderr.on('data', (chunk) => {
    log += chunk;
  });
  const [line] = await once(shell.stdout, 'data');
  const gateway = Number(line);
  try {
    await expect.poll(() => log, PATIENCE).toContain('"msg":"listening"');
    shell.kill('SIGTERM');
    await expect.poll(() => isAlive(gateway), PATIENCE).toBe(false);
    expect(log).toContain('"msg":"stopped"');
  } finally {
    if (isAlive(gateway)) process.kill(gateway, 'SIGKILL');
  }
});
