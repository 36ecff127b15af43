import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { run, SluiceProcess, upstreamsNamed, writeFile } from '../cli/sluice-process.js';

/* "I run one gateway, and it costs me nothing that there are clusters." */

const ENV = { NODE_OPTIONS: `--import ${fileURLToPath(new URL('./loaded-modules.mjs', import.meta.url))}` };
const LOADED = /^loaded what a cluster needs$/m;
const DID_NOT_LOAD = /^did not load what a cluster needs$/gm;

test('a gateway that serves a file loads nothing of a cluster, in any of its processes', async () => {
  const file = writeFile('sluice.yaml', upstreamsNamed('one'));
  const sluice = new SluiceProcess(['serve', '--config', file, '--port', '0'], ENV);
  await sluice.logged('listening');
  sluice.child.kill('SIGTERM');
  await sluice.ended;
  expect(sluice.stderr).not.toMatch(LOADED);
  // The parent, the one that reads the file, and the data plane.
  expect(sluice.stderr.match(DID_NOT_LOAD)?.length).toBeGreaterThanOrEqual(3);
});

test.each([[['version']], [['validate', '/nowhere']], [['config', '--help']], [['completion', 'bash']]])(
  'nor does %j',
  async (argv) => {
    const { stderr } = await run(argv, ENV);
    expect(stderr).not.toMatch(LOADED);
    expect(stderr).toMatch(DID_NOT_LOAD);
  },
);

test('a command of the admin API does', async () => {
  const { stderr } = await run(['nodes', '--server', '127.0.0.1:1', '--timeout', '100ms'], ENV);
  expect(stderr).toMatch(LOADED);
});
