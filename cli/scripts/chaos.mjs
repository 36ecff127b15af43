// `npm run chaos`: breaks a real cluster in every way that the tests know, three times each, and writes what was counted
// to docs/reference/reliability.md.
//
//   npm run chaos                  everything, about five minutes
//   npm run chaos -- etcd          only what has this in its name; writes no page
import './check-node.mjs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { installServers } from './debian-servers.mjs';
import { build, install, ROOT } from './workspace.mjs';

const [only] = process.argv.slice(2);
if (!(await install()) || !(await build())) process.exit(1);
await installServers();
const env = {
  ...process.env,
  SLUICE_TEST_FULL: '1',
  ...(only === undefined
    ? { SLUICE_CHAOS_PAGE: join(ROOT, 'docs/reference/reliability.md') }
    : { SLUICE_CHAOS_ONLY: only }),
};
const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
const options = { cwd: ROOT, stdio: 'inherit', env };
process.exitCode = spawnSync(process.execPath, [vitest, 'run', 'cli/test/chaos'], options).status ?? 1;
