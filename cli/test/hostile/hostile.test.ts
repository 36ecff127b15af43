/*
 * Hostile changes of a configuration: each is refused with a reason or becomes a revision that nodes of every region can
 * run; never a crash, never half of it. Some of what was accepted is served.
 *
 * SLUICE_HOSTILE_SEED=n runs the change of one seed again, and serves it when it is accepted:
 *
 *   SLUICE_HOSTILE_SEED=n npm test -- cli/test/hostile
 */
import { Role } from '@sluice/proto/admin';
import { expect, it } from 'vitest';
import { compileCheck } from '../../src/compile-check.js';
import { hostileChange } from './hostile-change.js';
import { outcomeOf } from './outcome.js';
import { whyNotServed } from './served.js';

const isFull = process.env.SLUICE_TEST_FULL === '1';
const ONLY_SEED = process.env.SLUICE_HOSTILE_SEED;
const SEED_COUNT = isFull ? 10_000 : 1_500;
const SERVED_COUNT = isFull ? 300 : 60;
const TIME_LIMIT_MS = isFull ? 1_800_000 : 300_000;

const OPERATOR = { name: 'token/test', role: Role.ADMIN, tenants: undefined };

/** What was wrong with the outcome, or undefined. */
async function run(seed: number, count: { accepted: number; refused: number; served: number }) {
  try {
    const outcome = await outcomeOf(hostileChange(seed), OPERATOR);
    count[outcome.kind] += 1;
    if (outcome.kind === 'refused')
      return outcome.reasons.length > 0 ? undefined : 'refused without a reason';
    const problems = await compileCheck()(outcome.state);
    if (problems.length > 0) return `accepted, and not compiled: ${problems[0]?.reason}`;
    if (ONLY_SEED === undefined && count.served >= SERVED_COUNT) return undefined;
    count.served += 1;
    return await whyNotServed(outcome.state);
  } catch (thrown) {
    return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  }
}

it(
  'is refused with a reason, or served',
  async () => {
    const seeds =
      ONLY_SEED === undefined
        ? Array.from({ length: SEED_COUNT }, (_, index) => index + 1)
        : [Number(ONLY_SEED)];
    const count = { accepted: 0, refused: 0, served: 0 };
    const wrong: string[] = [];
    for (const seed of seeds) {
      const why = await run(seed, count);
      if (why !== undefined) wrong.push(`SLUICE_HOSTILE_SEED=${seed} npm test -- cli/test/hostile: ${why}`);
    }
    expect(wrong.slice(0, 10)).toEqual([]);
    if (ONLY_SEED !== undefined) return;
    // A set in which next to nothing is accepted, or refused, shows little.
    expect(count.accepted).toBeGreaterThan(seeds.length / 10);
    expect(count.refused).toBeGreaterThan(seeds.length / 10);
    expect(count.served).toBe(SERVED_COUNT);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  },
  TIME_LIMIT_MS,
);
