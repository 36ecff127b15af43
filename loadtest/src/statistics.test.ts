import { expect, test } from 'vitest';
import { percentile, shuffled, spread } from './statistics.js';

test('a percentile is the value at its nearest rank', () => {
  const values = Float64Array.from({ length: 100 }, (_, i) => i + 1);
  expect(percentile(values, 0.5)).toBe(50);
  expect(percentile(values, 0.99)).toBe(99);
  expect(percentile(values, 1)).toBe(100);
  expect(percentile([7], 0.01)).toBe(7);
  expect(percentile([], 0.5)).toBeUndefined();
});

test('a spread is the median with its range, whatever the order', () => {
  expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
  expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 });
  expect(spread([])).toBeUndefined();
});

test('shuffling keeps every value and leaves the original alone', () => {
  const values = Array.from({ length: 50 }, (_, i) => i);
  const result = shuffled(values);
  expect(values).toEqual(Array.from({ length: 50 }, (_, i) => i));
  expect([...result].sort((a, b) => a - b)).toEqual(values);
});
