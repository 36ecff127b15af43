import type { ResolvedConfiguration, ResolvedUpstream } from '@sluice/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Delta, deltaOf, WrongBaseError, withDelta } from './delta.js';

function atOnce<T>(work: Generator<void, T, void>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

const pool = Array.from({ length: 30 }, (_, index) => ({ name: `u${index}` }) as ResolvedUpstream);

const of = (upstreams: readonly ResolvedUpstream[], revision: number) =>
  ({
    gateway: { log: { level: 'info' } },
    revision,
    upstreams,
    servers: [],
    plugins: [],
  }) as unknown as ResolvedConfiguration;

/** As it comes to another thread. */
const sent = (delta: Delta): Delta => ({
  ...delta,
  runs: structuredClone(delta.runs),
  inside: structuredClone(delta.inside),
  bytes: delta.bytes.slice(),
  ...(delta.trial && { trial: { ...delta.trial, delta: sent(delta.trial.delta) } }),
});

describe('what changes from one configuration to the next', () => {
  it('gives the next one there, with the very objects of the one before, and holds only what is new', () => {
    const lists = fc.uniqueArray(fc.integer({ min: 0, max: 29 }));
    fc.assert(
      fc.property(lists, lists, (one, other) => {
        const here = of(
          one.map((index) => pool[index] as ResolvedUpstream),
          1,
        );
        const next = of(
          other.map((index) => pool[index] as ResolvedUpstream),
          2,
        );
        const there = structuredClone(here);
        const delta = atOnce(deltaOf(here, next, { base: 4, edition: 5 }));
        const got = atOnce(withDelta(there, 4, sent(delta)));
        expect(got).toEqual(next);
        for (const [place, index] of other.entries()) {
          const before = one.indexOf(index);
          if (before >= 0) expect(got.upstreams[place]).toBe(there.upstreams[before]);
        }
        expect(delta.ends.length).toBe(1 + other.filter((index) => !one.includes(index)).length);
      }),
    );
  });

  it('leaves lists alone that are the same', () => {
    const here = of(pool, 1);
    const delta = atOnce(deltaOf(here, { ...here, revision: 2 }, { base: 0, edition: 1 }));
    expect(delta.runs).toEqual({});
    expect(atOnce(withDelta(here, 0, delta)).upstreams).toBe(pool);
  });

  it('holds of a long list inside of a plugin only the entries that are new', () => {
    const keys = Array.from({ length: 400 }, (_, index) => ({ prefix: `k${index}`, scopes: ['a'] }));
    const plugin = (name: string, list: readonly object[]) => ({
      name,
      config: { before: 1, keys: list, after: [2] },
    });
    const with_ = (...plugins: object[]) => ({ ...of([], 1), plugins }) as unknown as ResolvedConfiguration;
    const lists = fc.uniqueArray(fc.integer({ min: 0, max: 399 }), { minLength: 40, maxLength: 90 });
    fc.assert(
      fc.property(lists, lists, fc.boolean(), (one, other, isThere) => {
        const listOf = (indexes: readonly number[]) => indexes.map((index) => keys[index] as object);
        const here = with_(plugin('first', []), plugin(isThere ? 'known' : 'another', listOf(one)));
        const next = with_(plugin('known', listOf(other)), plugin('last', []));
        const there = structuredClone(here);
        const delta = atOnce(deltaOf(here, next, { base: 4, edition: 5 }));
        const got = atOnce(withDelta(there, 4, sent(delta)));
        expect(got).toEqual(next);
        expect(JSON.stringify(got)).toBe(JSON.stringify(next));
        if (other.length < 50 || !isThere) return;
        const [before, after] = [there.plugins[1], got.plugins[0]].map(
          (each) => each?.config.keys as object[],
        );
        for (const [place, index] of other.entries()) {
          const earlier = one.indexOf(index);
          if (earlier >= 0) expect(after?.[place]).toBe(before?.[earlier]);
          else expect(Object.isFrozen(after?.[place])).toBe(true);
        }
        expect(delta.ends.length).toBe(3 + other.filter((index) => !one.includes(index)).length);
      }),
    );
  });

  it('brings what some callers are given, with the very objects of what all others are', () => {
    const [kept, other, fresh] = [pool[0], pool[1], { name: 'u1', id: 'changed' } as ResolvedUpstream];
    const here = of([kept as ResolvedUpstream], 1);
    const stable = of([kept, other] as ResolvedUpstream[], 2);
    const trial = {
      rollout: 'r',
      principalsPercent: 5,
      configuration: of([kept as ResolvedUpstream, fresh], 3),
    };
    const there = structuredClone(here);
    const delta = atOnce(deltaOf(here, { ...stable, trial }, { base: 4, edition: 5 }));
    const got = atOnce(withDelta(there, 4, sent(delta)));
    expect(got).toEqual({ ...stable, trial });
    expect(got.trial?.configuration.upstreams[0]).toBe(there.upstreams[0]);
    expect(delta.trial?.delta.ends.length).toBe(2);
    // It ends with the next one that has none.
    expect(atOnce(withDelta(got, 5, sent(atOnce(deltaOf(got, stable, { base: 5, edition: 6 })))))).toEqual(
      stable,
    );
  });

  it('is refused where something else runs', () => {
    const here = of(pool, 1);
    const delta = atOnce(deltaOf(here, of([], 2), { base: 3, edition: 4 }));
    expect(() => atOnce(withDelta(here, 2, delta))).toThrow(WrongBaseError);
  });
});
