import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, type TestContext, test } from 'vitest';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const CASES = 'data-plane/src/listener/listener.test.ts';
const RUN_MS = 180_000;

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly status: string;
    }[];
  }[];
}

/** Runs the shared cases under another Node.js and resolves with what they said, by the listener they ran on. */
async function runCases(
  node: string,
  onTestFinished: TestContext['onTestFinished'],
): Promise<Map<string, string[]>> {
  const folder = mkdtempSync(join(tmpdir(), 'listener-cases-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'report.json');
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  // What this run tells its own workers must not reach the other one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')));
  const output = await new Promise<string>((resolve) => {
    const args = [vitest, 'run', CASES, '--reporter=json', `--outputFile=${file}`];
    execFile(node, args, { cwd: ROOT, env, timeout: RUN_MS }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
  if (!existsSync(file)) throw new Error(`${node} did not run the cases: ${output}`);
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  const groups = new Map<string, string[]>();
  for (const { ancestorTitles, status } of report.testResults.flatMap((result) => result.assertionResults)) {
    const title = ancestorTitles[0] ?? '';
    groups.set(title, [...(groups.get(title) ?? []), status]);
  }
  return groups;
}

// The cases wait most of the time, so all versions wait at once.
describe.concurrent('other Node.js versions', () => {
  for (const major of [22, 24]) {
    const node = join(ROOT, `cli/test/node-versions/node_modules/node-${major}/bin/node`);
    const isHere = existsSync(node);
    const name = isHere ? `Node.js ${major}` : `Node.js ${major} (cli/test/node-versions is not installed)`;
    test.skipIf(!isHere)(
      `${name}: the cases pass, and the listener is chosen by what loads`,
      async ({ onTestFinished }) => {
        const groups = await runCases(node, onTestFinished);
        const failed = [...groups].filter(([, statuses]) => statuses.includes('failed'));
        expect(failed.map(([title]) => title)).toEqual([]);
        for (const title of ['node', 'choice']) expect(groups.get(title)).toContain('passed');
        const [uws = ''] = [...groups.keys()].filter((title) => title.startsWith('uws'));
        const ran = groups.get(uws)?.includes('passed');
        // Where its binary does not load, the cases say why they were left out.
        expect(uws).toMatch(ran ? /^uws$/ : new RegExp(`no binary that loads on Node\\.js ${major}\\.`));
      },
      RUN_MS,
    );
  }
});
