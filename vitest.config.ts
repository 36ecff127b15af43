import { defineConfig } from 'vitest/config';

/** Unit tests lie beside their sources; stories that drive the whole product lie in `cli/test`. */
export default defineConfig({
  test: {
    include: ['*/src/**/*.test.ts', 'cli/test/**/*.test.ts', 'loadtest/test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    pool: 'forks',
    // Stories wait most of the time: for processes, pauses and each other.
    maxWorkers: 3,
    // Real processes on a shared machine: one more try tells a busy machine from a fault. Locally a fault shows at once.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
