/** The cases that every store of buckets passes, whatever it is made of. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BucketStore, TICKS_PER_MS, type Want } from './bucket-store.js';

/** Time that a case moves. */
export interface CaseClock {
  now(): number;
  set(nowMs: number): void;
}

const PER_SECOND = { intervalTicks: 1_000 * TICKS_PER_MS, burst: 3 };
const want = (key: string, allowance = PER_SECOND): Want => ({ key, allowance });

/** @param make an empty store that reads this clock. */
export function bucketStoreCases(name: string, make: (clock: CaseClock) => BucketStore): void {
  function fresh() {
    let nowMs = 1_700_000_000_000;
    const clock: CaseClock = {
      now: () => nowMs,
      set: (to) => {
        nowMs = to;
      },
    };
    return { clock, store: make(clock), pass: (byMs: number) => clock.set(clock.now() + byMs) };
  }
  const allowed = async (store: BucketStore, ...wants: Want[]) => (await store.take(wants)).isAllowed;

  describe(`${name}, as a store of buckets`, () => {
    it('gives a burst, then what comes back with time', async () => {
      const { store, pass } = fresh();
      for (let i = 0; i < 3; i++) expect(await allowed(store, want('a'))).toBe(true);
      expect(await allowed(store, want('a'))).toBe(false);
      pass(999);
      expect(await allowed(store, want('a'))).toBe(false);
      pass(1);
      expect(await allowed(store, want('a'))).toBe(true);
      expect(await allowed(store, want('a'))).toBe(false);
    });

    it('says what is left, and when there is more', async () => {
      const { store, pass } = fresh();
      expect((await store.take([want('a')])).states).toEqual([
        { isEnough: true, leftCount: 2, nextMs: 1_000 },
      ]);
      pass(400);
      expect((await store.take([want('a')])).states).toEqual([{ isEnough: true, leftCount: 1, nextMs: 600 }]);
      await store.take([want('a')]);
      expect((await store.take([want('a')])).states).toEqual([
        { isEnough: false, leftCount: 0, nextMs: 600 },
      ]);
    });

    it('keeps keys apart', async () => {
      const { store } = fresh();
      for (let i = 0; i < 3; i++) await store.take([want('a')]);
      expect(await allowed(store, want('a'))).toBe(false);
      expect(await allowed(store, want('b'))).toBe(true);
    });

    it('takes from all or from none', async () => {
      const { store } = fresh();
      const one = want('one', { ...PER_SECOND, burst: 1 });
      const many = want('many', { ...PER_SECOND, burst: 5 });
      expect(await allowed(store, many, one)).toBe(true);
      for (let i = 0; i < 10; i++) expect(await allowed(store, many, one)).toBe(false);
      for (let i = 0; i < 10; i++) expect(await allowed(store, one, many)).toBe(false);
      expect((await store.take([many])).states[0]).toMatchObject({ isEnough: true, leftCount: 3 });
    });

    it('names each bucket that had too little, in the order of what was wanted', async () => {
      const { store } = fresh();
      for (let i = 0; i < 3; i++) await store.take([want('a')]);
      const { states } = await store.take([want('b'), want('a'), want('c')]);
      expect(states.map(({ isEnough }) => isEnough)).toEqual([true, false, true]);
    });

    it('takes back what was not used', async () => {
      const { store } = fresh();
      for (let i = 0; i < 20; i++) {
        const taken = await store.take([want('a')]);
        expect(taken.isAllowed).toBe(true);
        await store.giveBack(want('a'), taken);
      }
    });

    it('takes nothing back that came back by itself', async () => {
      const { store, pass } = fresh();
      const taken = await store.take([want('a')]);
      pass(5_000);
      for (let i = 0; i < 3; i++) await store.take([want('a')]);
      await store.giveBack(want('a'), taken);
      expect(await allowed(store, want('a'))).toBe(false);
    });

    it('holds nothing against a key whose allowance became smaller', async () => {
      const { store, pass } = fresh();
      const large = want('a', { intervalTicks: 1_000 * TICKS_PER_MS, burst: 1_000 });
      for (let i = 0; i < 1_000; i++) await store.take([large]);
      expect(await allowed(store, want('a'))).toBe(false);
      pass(1_000_000 - 2_000);
      expect(await allowed(store, want('a'))).toBe(true);
    });

    it('harms nobody when the clock is set back', async () => {
      const { store, pass } = fresh();
      const daily = want('a', { intervalTicks: 86_400 * 1_000 * TICKS_PER_MS, burst: 10 });
      for (let i = 0; i < 4; i++) expect(await allowed(store, daily)).toBe(true);
      pass(-3_600_000);
      for (let i = 0; i < 6; i++) expect(await allowed(store, daily)).toBe(true);
      expect(await allowed(store, daily)).toBe(false);
      pass(86_400_000);
      expect(await allowed(store, daily)).toBe(true);
      expect(await allowed(store, daily)).toBe(false);
    });

    it('gives nothing for a clock that is set back again and again', async () => {
      const { store, pass } = fresh();
      let passedCount = 0;
      for (let i = 0; i < 1_000; i++) {
        if (await allowed(store, want('a'))) passedCount++;
        pass(-60_000);
      }
      expect(passedCount).toBe(3);
    });

    it('lets as many pass as the plain model, for any steps and keys', async () => {
      const step = fc.record({
        waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 5_000 })),
        key: fc.constantFrom('a', 'b', 'c'),
      });
      const shape = fc.record({
        intervalTicks: fc.integer({ min: 100, max: 2_000 * TICKS_PER_MS }),
        burst: fc.integer({ min: 1, max: 20 }),
      });
      await fc.assert(
        fc.asyncProperty(shape, fc.array(step, { maxLength: 120 }), async (allowance, steps) => {
          const { store, pass, clock } = fresh();
          const models = new Map<string, TokenBucket>();
          const passes = new Map<string, number[]>();
          for (const { waitMs, key } of steps) {
            pass(waitMs);
            const model = models.get(key) ?? new TokenBucket(allowance, clock.now());
            models.set(key, model);
            const isAllowed = await allowed(store, want(key, allowance));
            expect(isAllowed).toBe(model.take(clock.now()));
            if (isAllowed) passes.set(key, [...(passes.get(key) ?? []), clock.now()]);
          }
          for (const times of passes.values()) expect(worstExcess(times, allowance)).toBeLessThanOrEqual(0);
        }),
        { numRuns: 200 },
      );
    });
  });
}

/** The bucket as everybody draws it: so many tokens, and some come back with time. */
class TokenBucket {
  private ticks: number;
  constructor(
    private readonly allowance: Want['allowance'],
    private lastMs: number,
  ) {
    this.ticks = allowance.burst * allowance.intervalTicks;
  }
  take(nowMs: number): boolean {
    const { burst, intervalTicks } = this.allowance;
    this.ticks = Math.min(burst * intervalTicks, this.ticks + (nowMs - this.lastMs) * TICKS_PER_MS);
    this.lastMs = nowMs;
    if (this.ticks < intervalTicks) return false;
    this.ticks -= intervalTicks;
    return true;
  }
}

/** By how many more than `burst + elapsed / interval` passed in any stretch; 0 or less when the limit held. */
function worstExcess(timesMs: readonly number[], { burst, intervalTicks }: Want['allowance']): number {
  let worst = Number.NEGATIVE_INFINITY;
  timesMs.forEach((from, first) => {
    timesMs.slice(first).forEach((to, more) => {
      worst = Math.max(worst, more + 1 - burst - ((to - from) * TICKS_PER_MS) / intervalTicks);
    });
  });
  return worst;
}
