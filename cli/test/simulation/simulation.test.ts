import { describe, expect, it } from 'vitest';
import { runSeed } from './run-seed.js';

const isFull = process.env.SLUICE_TEST_FULL === '1';
const SEEDS_COUNT = isFull ? 3_000 : 300;
const SHARES_COUNT = 10;
const TIMEOUT_MS = isFull ? 1_800_000 : 300_000;

describe('a cluster in which everything goes wrong', () => {
  const perShare = SEEDS_COUNT / SHARES_COUNT;
  it.each(Array.from({ length: SHARES_COUNT }, (_, share) => 1 + share * perShare))(
    `keeps its promises in ${perShare} seeds from %i on`,
    async (from) => {
      const failures: string[] = [];
      for (let seed = from; seed < from + perShare; seed++) {
        const { failure } = await runSeed(seed);
        if (failure !== undefined) failures.push(`npm run simulate -- --seed ${seed} --trace: ${failure}`);
      }
      expect(failures).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it('goes the same way when its seed is run again, and another way with another', async () => {
    const first = await runSeed(7, true);
    const again = await runSeed(7, true);
    expect(again.trace.split('\n')).toEqual(first.trace.split('\n'));
    expect(again.digest).toBe(first.digest);
    expect((await runSeed(8)).digest).not.toBe(first.digest);
  });
});
