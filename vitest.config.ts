import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/**
 * Left to `npm run test:full`: the same cases as in the files beside them, with two workers on each node. Those of one
 * worker on each of two nodes, over NATS and without, and of two workers in the stories run always.
 */
const ONLY_FULL = [
  'cli/test/cluster/nats-two-workers.test.ts',
  'cli/test/cluster/two-workers.test.ts',
  'cli/test/cluster/shared-process-workers.test.ts',
];
const isFull = process.env.SLUICE_TEST_FULL === '1';

const SOURCES = ['cli', 'control-plane', 'data-plane', 'loadtest', 'plugins', 'proto', 'sdk'];
const UNIT_TESTS = '*/src/**/*.test.ts';
const STORIES = ['cli/test/**/*.test.ts', 'loadtest/test/**/*.test.ts'];

/** Unit tests that replace modules, or measure their process, which nobody else has used then. */
const OWN_PROCESS =
  /\bvi\.(mock|doMock|resetModules)\(|\bprocess\.(memoryUsage|listenerCount)\(|\/proc\/self/;

function withOwnProcess(): string[] {
  return SOURCES.flatMap((source) =>
    readdirSync(join(import.meta.dirname, source, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => join(source, 'src', file))
      .filter((file) => OWN_PROCESS.test(readFileSync(join(import.meta.dirname, file), 'utf8'))),
  );
}

const apart = withOwnProcess();
const always = ['**/node_modules/**', '**/dist/**', ...(isFull ? [] : ONLY_FULL)];

/** Unit tests lie beside their sources; stories that drive the whole product lie in `cli/test`. */
export default defineConfig({
  test: {
    pool: 'forks',
    // Stories wait most of the time: for processes, pauses and each other.
    maxWorkers: 4,
    // Real processes on a shared machine: one more try tells a busy machine from a fault. Locally a fault shows at once.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'stories', include: [...STORIES, ...apart], exclude: always } },
      {
        extends: true,
        // One process after the other runs many of these files: to start each anew took longer than most files do.
        test: { name: 'unit', include: [UNIT_TESTS], exclude: [...always, ...apart], isolate: false },
      },
    ],
  },
});
