import { expect, test } from 'vitest';
import { EndedSessions } from './ended-sessions.js';

const WEEK_MS = 7 * 24 * 60 * 60_000;

test('what ended is known in order, once each', () => {
  const ended = new EndedSessions();
  for (const id of ['a', 'b', 'a']) ended.note(id, 0);
  expect(ended.ids(0)).toEqual(['b', 'a']);
});

test('an end is forgotten when its token has expired, and not before', () => {
  const ended = new EndedSessions();
  ended.note('a', 0);
  ended.note('b', 1);
  expect(ended.ids(WEEK_MS)).toEqual(['a', 'b']);
  expect(ended.ids(WEEK_MS + 1)).toEqual(['b']);
  ended.note('c', WEEK_MS + 1);
  // Not only left out: gone.
  expect(ended.ids(0)).toEqual(['b', 'c']);
});

test('of many the last ten thousand are known', () => {
  const ended = new EndedSessions();
  for (let count = 0; count < 10_005; count++) ended.note(String(count), count);
  const ids = ended.ids(10_005);
  expect([ids.length, ids[0], ids.at(-1)]).toEqual([10_000, '5', '10004']);
});
