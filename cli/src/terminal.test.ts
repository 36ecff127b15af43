import { describe, expect, test } from 'vitest';
import { alignColumns, palette, printable, usesColour } from './terminal.js';

describe('colours', () => {
  const terminal = { isTTY: true };
  const pipe = {};

  test.each([
    ['a terminal', terminal, {}, true],
    ['a pipe', pipe, {}, false],
    ['a terminal that can do nothing', terminal, { TERM: 'dumb' }, false],
    ['NO_COLOR on a terminal', terminal, { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR, which the convention says is none', terminal, { NO_COLOR: '' }, true],
    ['FORCE_COLOR on a pipe', pipe, { FORCE_COLOR: '1' }, true],
    ['FORCE_COLOR=0 on a terminal', terminal, { FORCE_COLOR: '0' }, false],
    ['both', terminal, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
  ])('%s', (_, stream, env, expected) => {
    expect(usesColour(stream, env)).toBe(expected);
  });

  test('an uncoloured palette changes nothing', () => {
    expect(palette(false).red('x')).toBe('x');
    expect(palette(true).red('x')).toBe('\u001b[31mx\u001b[39m');
  });
});

describe('alignColumns', () => {
  test('text stands at the left, numbers at the right, and no line ends in spaces', () => {
    expect(
      alignColumns([
        ['a', 5, 'x'],
        ['long', 100, ''],
      ]),
    ).toEqual(['a        5   x', 'long   100']);
  });

  test('colours do not count as width', () => {
    const { green } = palette(true);
    expect(
      alignColumns([
        [green('ok'), 1],
        ['failed', 2],
      ]),
    ).toEqual([`${green('ok')}       1`, 'failed   2']);
  });
});

test('control characters from outside cannot move the cursor', () => {
  expect(printable('a\u001b[2Jb\nc\u009b')).toBe('a\\x1b[2Jb\\x0ac\\x9b');
  expect(printable('a\u202eb')).toBe('a\\u202eb');
});
