import { expect, test } from 'vitest';
import { restartDelayMs } from './restart-delay.js';

test('the first crashes are followed by a restart at once, then waits double up to ten seconds', () => {
  const delays = Array.from({ length: 10 }, (_, index) => restartDelayMs(index + 1));
  expect(delays).toEqual([0, 0, 0, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
});

test('a loop of crashes that goes on for days still waits ten seconds', () => {
  expect(restartDelayMs(100_000)).toBe(10_000);
});
