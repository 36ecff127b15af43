import { expect, test } from 'vitest';
import { clientHeaders } from './header-option.js';

const environment = { TOKEN: 'a-secret', LINE: 'a-secret\n' };
const problemOf = (...lines: string[]) => clientHeaders(lines, environment).problem;

test('names become lower case, variables are put in and named', () => {
  const read = clientHeaders(['X-API-Key: ${TOKEN}', 'X-Team:  red '], environment);
  expect({ ...read.headers }).toEqual({ 'x-api-key': 'a-secret', 'x-team': 'red' });
  expect(read.variables).toEqual(['TOKEN']);
});

test.each([
  ['X-API-Key: ${NOBODY_SETS_THIS}', 'X-API-Key', 'the environment variable NOBODY_SETS_THIS is not set'],
  ['X-API-Key: ${LINE}', 'X-API-Key', 'a value that no header can have'],
  ['X-API-Key: a-secret\nX-Other: 1', 'X-API-Key', 'a value that no header can have'],
  ['Bad Name: a-secret', '', '"Bad Name" is no name of a header field'],
  ['a-secret', '', 'a header has no colon'],
])('%j is refused without its value', (line, path, message) => {
  const problem = problemOf(line);
  expect(problem).toMatchObject({ severity: 'error', origin: '--header', path, message });
  expect(JSON.stringify(problem)).not.toContain('a-secret');
});

test('a field is given once', () => {
  expect(problemOf('X-Team: a', 'x-team: b')?.message).toBe('given twice in different case');
});
