import { expect, it } from 'vitest';
import { MUTANTS } from './mutants.js';
import { runSeed } from './run-seed.js';

/** A fault that so many seeds do not show is not found. */
const MAX_SEEDS_COUNT = 300;
const TIMEOUT_MS = 300_000;

it.each(Object.keys(MUTANTS))(
  'finds that %s',
  async (name) => {
    const takeBack = MUTANTS[name]?.();
    try {
      let seed = 1;
      while (seed <= MAX_SEEDS_COUNT && (await runSeed(seed)).failure === undefined) seed += 1;
      expect(seed, 'seeds until it was found').toBeLessThanOrEqual(MAX_SEEDS_COUNT);
    } finally {
      takeBack?.();
    }
  },
  TIMEOUT_MS,
);
