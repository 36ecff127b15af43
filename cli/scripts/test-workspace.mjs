import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installServers } from './debian-servers.mjs';
import { runStep } from './steps.mjs';
import { build, install, installNodeVersions, ROOT } from './workspace.mjs';

const FULL = '--full';

/**
 * @param {string[]} args what was typed after `npm test --`
 * @returns {Promise<number>} the exit code
 */
export async function test(args) {
  // Without these two nothing else can run.
  if (!(await section('install', install))) return 1;
  if (!(await section('other releases of Node.js', installNodeVersions))) return 1;
  await section('servers that tests start', async () => {
    await installServers();
    return true;
  });
  if (!(await section('build and types', build))) return 1;
  const types = await section('types of the tests', () =>
    check('Checking types', 'typescript/bin/tsc', ['-p', 'tsconfig.tests.json']),
  );
  const style = await section('lint', lint);
  const behaviour = await section('tests', () => runTests(args));
  if (!types) console.log('types of the tests: failed, see above');
  if (!style) console.log('lint: failed, see above');
  console.log(`${behaviour.passed} passed, ${behaviour.failed} failed`);
  return types && style && behaviour.ok ? 0 : 1;
}

/** Style, and what nobody uses or declares. Both run, so that one report does not hide the other. */
async function lint() {
  const style = await check('Checking style', '@biomejs/biome/bin/biome', ['check', '.']);
  const unused = await check('Looking for what nobody uses', 'knip/bin/knip.js', []);
  return style && unused;
}

async function section(title, work) {
  console.log(`\n── ${title} ${'─'.repeat(Math.max(0, 60 - title.length))}`);
  const startedAt = performance.now();
  const result = await work();
  if (result?.ok === undefined) {
    console.log(
      `${title}: ${result ? 'ok' : 'failed'} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
    );
  }
  return result;
}

/** Runs vitest, which prints its own summary, and counts from its report. */
async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  const report = join(folder, 'report.json');
  try {
    const ok = await run(
      'vitest/vitest.mjs',
      [
        'run',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        ...args.filter((a) => a !== FULL),
      ],
      args.includes(FULL) ? { SLUICE_TEST_FULL: '1' } : {},
    );
    const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    // A file that cannot even be loaded has no tests in the report, and counts as one that failed.
    const unloaded = testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    );
    return { ok, passed: numPassedTests, failed: numFailedTests + unloaded.length };
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    // vitest ended before it ran anything, and has said why.
    return { ok: false, passed: 0, failed: 0 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the program of an installed package, and shows what it wrote when it ended with anything but 0. */
function check(title, bin, args) {
  return runStep(title, process.execPath, [join(ROOT, 'node_modules', bin), ...args], { cwd: ROOT });
}

/** Runs the program of an installed package in view. Resolves to whether it ended with 0. */
async function run(bin, args, env = {}) {
  const script = join(ROOT, 'node_modules', bin);
  const child = spawn(process.execPath, [script, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: 'inherit',
  });
  const [code] = await once(child, 'close');
  return code === 0;
}
