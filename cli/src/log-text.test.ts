import { expect, test } from 'vitest';
import { formatLogLine } from './log-text.js';

const time = new Date(2026, 6, 28, 9, 5, 3, 42).getTime();
const line = (record: object) => `${JSON.stringify({ level: 30, time, pid: 1, hostname: 'h', ...record })}\n`;

test('a line has time, level, message and fields, and leaves out what is always the same', () => {
  expect(formatLogLine(line({ url: 'http://127.0.0.1:8080', workers: 1, msg: 'listening' }), false)).toBe(
    '09:05:03.042  info   listening   url=http://127.0.0.1:8080 workers=1\n',
  );
});

test('values with spaces are quoted, objects are JSON', () => {
  expect(formatLogLine(line({ reason: 'not there', where: { line: 3 }, msg: 'refused' }), false)).toContain(
    'refused   reason="not there" where={"line":3}\n',
  );
});

test('an error follows with its stack, indented', () => {
  const err = { type: 'Error', message: 'boom', stack: 'Error: boom\n    at somewhere' };
  expect(formatLogLine(line({ level: 50, err, msg: 'failed' }), false)).toBe(
    '09:05:03.042  error  failed\n    Error: boom\n        at somewhere\n',
  );
});

test('what an upstream writes cannot rewrite the terminal', () => {
  expect(formatLogLine(line({ text: '\u001b[2J', msg: 'said\u0007' }), false)).not.toMatch(/[\u001b\u0007]/);
});

test('colours only when asked for', () => {
  expect(formatLogLine(line({ msg: 'x' }), true)).toContain('\u001b[36minfo \u001b[39m');
});

test.each(['plain text\n', '[1'])('what is not a record passes as it is: %j', (text) => {
  expect(formatLogLine(text, false)).toBe(`${text.trimEnd()}\n`);
});
