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

/** Unit tests lie beside their sources; stories that drive the whole product lie in `cli/test`. */
export default defineConfig({
  test: {
    include: ['*/src/**/*.test.ts', 'cli/test/**/*.test.ts', 'loadtest/test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', ...(isFull ? [] : ONLY_FULL)],
    pool: 'forks',
    // Stories wait most of the time: for processes, pauses and each other.
    maxWorkers: 3,
    // Real processes on a shared machine: one more try tells a busy machine from a fault. Locally a fault shows at once.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
