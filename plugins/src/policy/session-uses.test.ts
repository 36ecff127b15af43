import type { PluginStore } from '@sluice/sdk';
import { TestClock } from '@sluice/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SessionUses, TooManyTools } from './session-uses.js';

/* However requests race over workers, a limit is never passed. */

/** A store of several workers, each of whose answers takes as many turns as `turns` says. */
function slowStore(turns: () => number): PluginStore {
  const kept = new Map<string, string>();
  const wait = async () => {
    for (let left = turns(); left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
  };
  const slowly =
    <A extends unknown[], T>(work: (...args: A) => T) =>
    async (...args: A): Promise<T> => {
      await wait();
      const value = work(...args);
      await wait();
      return value;
    };
  return {
    get: slowly((key) => kept.get(key)),
    set: slowly((key, value) => void kept.set(key, value)),
    delete: slowly((key) => void kept.delete(key)),
    keys: slowly((prefix) => [...kept.keys()].filter((key) => key.startsWith(prefix)).sort()),
  };
}

const WINDOW_MS = 60_000;

function workers(count: number, turns = () => 0) {
  const clock = new TestClock(1_700_000_000_000);
  const store = slowStore(turns);
  const make = () =>
    new SessionUses({ store, clock, windowMs: WINDOW_MS, rules: ['a', 'b'], failed: () => undefined });
  return { clock, store, make, all: Array.from({ length: count }, make) };
}

const schedule = fc.record({
  workers: fc.integer({ min: 1, max: 4 }),
  requests: fc.array(fc.record({ worker: fc.nat(3), tool: fc.constantFrom('x:a', 'x:b') }), {
    minLength: 1,
    maxLength: 12,
  }),
  turns: fc.array(fc.nat(3), { minLength: 1 }),
});

function turnsOf(list: readonly number[]) {
  let at = 0;
  return () => list[at++ % list.length] as number;
}

describe('uses of a session', () => {
  it('are never more than a limit, wherever requests race', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, fc.integer({ min: 1, max: 5 }), async (plan, limit) => {
        const { all } = workers(plan.workers, turnsOf(plan.turns));
        let passed = 0;
        await Promise.all(
          plan.requests.map(async ({ worker, tool }) => {
            const reserved = await (all[worker % plan.workers] as SessionUses).reserve('s', true, tool);
            if (reserved.before.count >= limit) return reserved.release();
            passed++;
            reserved.confirm(['a']);
          }),
        );
        expect(passed).toBeLessThanOrEqual(limit);
        if (plan.workers === 1) expect(passed).toBe(Math.min(limit, plan.requests.length));
      }),
      { numRuns: 60 },
    );
  });

  it('are never more by one rule than a limit, wherever requests race', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, fc.integer({ min: 1, max: 4 }), async (plan, limit) => {
        const { all } = workers(plan.workers, turnsOf(plan.turns));
        let passed = 0;
        await Promise.all(
          plan.requests.map(async ({ worker, tool }) => {
            const reserved = await (all[worker % plan.workers] as SessionUses).reserve('s', true, tool);
            const rule = tool === 'x:a' ? 'a' : 'b';
            const isFull = ({ rules }: typeof reserved.before) => (rules.a as number) >= limit;
            if (rule === 'b') return reserved.confirm([rule]);
            if (isFull(reserved.before) || isFull(await reserved.claim([rule]))) return reserved.release();
            passed++;
            reserved.confirm([rule]);
          }),
        );
        expect(passed).toBeLessThanOrEqual(limit);
        const only = plan.requests.filter(({ tool }) => tool === 'x:a').length;
        if (plan.workers === 1 && only <= limit) expect(passed).toBe(only);
      }),
      { numRuns: 60 },
    );
  });

  it('never hold two tools of which one excludes the other', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, async (plan) => {
        const { all } = workers(plan.workers, turnsOf(plan.turns));
        const passed = new Set<string>();
        await Promise.all(
          plan.requests.map(async ({ worker, tool }) => {
            const other = tool === 'x:a' ? 'x:b' : 'x:a';
            const reserved = await (all[worker % plan.workers] as SessionUses).reserve('s', true, tool);
            if (reserved.before.tools.includes(other)) return reserved.release();
            passed.add(tool);
            reserved.confirm([]);
          }),
        );
        expect(passed.size).toBeLessThanOrEqual(1);
      }),
      { numRuns: 60 },
    );
  });

  it('are counted exactly one after the other, whichever worker serves them', async () => {
    const { all, make } = workers(3);
    for (let index = 0; index < 9; index++) {
      const reserved = await (all[index % 3] as SessionUses).reserve('s', true, `x:${index % 2}`);
      expect(reserved.before.count).toBe(index);
      expect(reserved.before.rules).toEqual({ a: Math.ceil(index / 2), b: Math.floor(index / 2) });
      reserved.confirm([index % 2 === 0 ? 'a' : 'b']);
    }
    const { count, tools } = await make().before('s', true);
    expect([count, [...tools].sort()]).toEqual([9, ['x:0', 'x:1']]);
    expect((await make().before('t', true)).count).toBe(0);
  });

  it('count for the window where no session ends', async () => {
    const { clock, all, make } = workers(2);
    const [one, two] = all as [SessionUses, SessionUses];
    (await one.reserve('s', false, 'x:a')).confirm([]);
    clock.advance(WINDOW_MS / 2);
    (await two.reserve('s', false, 'x:b')).confirm([]);
    const now = async () => {
      const { count, tools } = await make().before('s', false);
      return [count, ...tools];
    };
    expect(await now()).toEqual([2, 'x:a', 'x:b']);
    clock.advance(WINDOW_MS / 2 + WINDOW_MS / 30);
    expect(await now()).toEqual([1, 'x:b']);
    clock.advance(WINDOW_MS);
    expect(await now()).toEqual([0]);
  });

  it('that were taken back are none, and the own one is none either', async () => {
    const { all } = workers(2);
    const [one, two] = all as [SessionUses, SessionUses];
    const first = await one.reserve('s', true, 'x:a');
    expect([first.before.count, first.before.tools]).toEqual([0, []]);
    const second = await two.reserve('s', true, 'x:a');
    expect([second.before.count, second.before.tools]).toEqual([1, ['x:a']]);
    first.release();
    second.release();
    await new Promise((resolve) => setImmediate(resolve));
    const third = await one.reserve('s', true, 'x:b');
    expect([third.before.count, third.before.tools]).toEqual([0, []]);
  });

  it('are refused beyond so many tools, and the session is told', async () => {
    const { all } = workers(1);
    const [one] = all as [SessionUses];
    for (let index = 0; index < 500; index++) (await one.reserve('s', true, `x:${index}`)).confirm([]);
    await expect(one.reserve('s', true, 'x:one more')).rejects.toThrow(TooManyTools);
    expect((await one.reserve('s', true, 'x:1')).before.count).toBe(500);
  });

  it('keep little of names that are long', async () => {
    const { all, store } = workers(1);
    const [one] = all as [SessionUses];
    for (let index = 0; index < 3; index++)
      (await one.reserve('s', true, `x:${'a'.repeat(1_000_000)}${index}`)).confirm([]);
    const { tools } = (await one.reserve('s', true, 'x:b')).before;
    expect([tools.length, tools.every(({ length }) => length < 600)]).toEqual([3, true]);
    const [key] = await store.keys('');
    expect((await store.get(key as string))?.length).toBeLessThan(10_000);
  });

  it('are forgotten when the session has ended, also what was on its way', async () => {
    const { all, make, store } = workers(2, () => 1);
    const [one, two] = all as [SessionUses, SessionUses];
    (await one.reserve('s', true, 'x:a')).confirm([]);
    (await two.reserve('s', true, 'x:b')).confirm([]);
    one.forget('s');
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect([(await make().before('s', true)).count, await store.keys('')]).toEqual([0, []]);
  });

  it('fail when the store does, and hold nothing back then', async () => {
    const { store, clock } = workers(1);
    let fails = true;
    const uses = new SessionUses({
      store: { ...store, set: (...args) => (fails ? Promise.reject(new Error('away')) : store.set(...args)) },
      clock,
      windowMs: WINDOW_MS,
      rules: [],
      failed: () => undefined,
    });
    await expect(uses.reserve('s', true, 'x:a')).rejects.toThrow('away');
    fails = false;
    expect((await uses.reserve('s', true, 'x:a')).before).toMatchObject({ count: 0, tools: [] });
  });
});
