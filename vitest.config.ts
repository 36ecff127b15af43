import { defineConfig } from 'vitest/config';

/** Unit tests lie beside their sources; stories that drive the whole product lie in `cli/test`. */
export default defineConfig({
  test: {
    include: ['*/src/**/*.test.ts', 'cli/test/**/*.test.ts', 'loadtest/test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
