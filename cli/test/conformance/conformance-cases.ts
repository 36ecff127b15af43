import { expect, it } from 'vitest';
import {
  expectConcurrentRequestsAreAnswered,
  expectListsAreComplete,
  expectMalformedInputIsAskedForAgain,
} from './real-answers.js';
import { CONFORMANCE_SETS, complaints, runConformance } from './run.mjs';

type ConformanceSet = (typeof CONFORMANCE_SETS)[number];

/** How many scenarios each set requires. A number that moves means that the suite was changed. */
const REQUIRED_SCENARIOS: Record<ConformanceSet, number> = {
  '2025-06-18': 27,
  '2025-11-25': 30,
  '2026-07-28': 37,
};

const SET_LIMIT_MS = 120_000;

/**
 * Declares the tests that everything has to pass through which the fixture is reached.
 *
 * @param url asked when a test runs, because a server's port is not known before
 */
export function itConforms(url: () => string, sets: readonly ConformanceSet[] = CONFORMANCE_SETS): void {
  it.each(sets)(
    'passes every scenario of %s',
    async (set) => {
      const { required } = await runConformance({ url: url(), set });
      expect(complaints(required)).toEqual([]);
      expect(required).toHaveLength(REQUIRED_SCENARIOS[set]);
    },
    SET_LIMIT_MS,
  );

  if (!sets.includes('2026-07-28')) return;
  it('answers a list completely', () => expectListsAreComplete(url()));
  it('asks again for input of the wrong shape', () => expectMalformedInputIsAskedForAgain(url()));
  it('answers several requests at once', () => expectConcurrentRequestsAreAnswered(url()));
}
