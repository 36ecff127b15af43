import { expect, it } from 'vitest';
import { LowestLevel } from './lowest-level.js';

function setUp() {
  const told: string[] = [];
  let answer: () => void = () => {};
  const level = new LowestLevel((each) => {
    told.push(each);
    return new Promise<void>((resolve) => {
      answer = resolve;
    });
  });
  return { level, told, answer: () => answer() };
}

it('tells a level once, and only a lower one again', async () => {
  const { level, told, answer } = setUp();
  const first = level.want('info');
  const second = level.want('error');
  expect(second).toBe(first);
  answer();
  await first;
  expect(level.want('warning')).toBeUndefined();
  void level.want('debug');
  expect(told).toEqual(['info', 'debug']);
});

it('tells it again to a session that is a new one, and knows no other words', () => {
  const { level, told } = setUp();
  void level.want('info');
  level.forget();
  void level.want('error');
  expect(level.want('loud')).toBeUndefined();
  expect(told).toEqual(['info', 'info']);
});

it('takes nothing from those who have asked for no level', () => {
  const { level, told } = setUp();
  void level.want('emergency');
  expect(told).toEqual(['info']);
});

it('goes on when the server refuses', async () => {
  const level = new LowestLevel(() => Promise.reject(new Error('no')));
  await level.want('info');
  expect(level.want('info')).toBeUndefined();
});
