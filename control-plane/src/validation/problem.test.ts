import { describe, expect, it } from 'vitest';
import { formatProblem, type Problem } from './problem.js';

const problem: Problem = {
  severity: 'error',
  path: 'gateway.listen.port',
  message: 'out of range',
  hint: 'write less',
};

describe('formatProblem', () => {
  it.each([
    [{}, 'error: gateway.listen.port: out of range'],
    [{ file: 'a.yaml' }, 'a.yaml: error: gateway.listen.port: out of range'],
    [{ file: 'a.yaml', line: 3 }, 'a.yaml:3: error: gateway.listen.port: out of range'],
    [{ file: 'a.yaml', line: 3, column: 9 }, 'a.yaml:3:9: error: gateway.listen.port: out of range'],
    [{ origin: '--port' }, '--port: error: gateway.listen.port: out of range'],
    [{ severity: 'warning' as const, path: '' }, 'warning: out of range'],
  ])('%j', (more, head) => {
    expect(formatProblem({ ...problem, ...more })).toBe(`${head}\n  hint: write less`);
  });

  it('has colour only when asked', () => {
    expect(formatProblem(problem)).not.toContain('\u001b');
    expect(formatProblem(problem, { colour: true })).toBe(
      '\u001b[31merror:\u001b[0m gateway.listen.port: out of range\n\u001b[2m  hint: write less\u001b[0m',
    );
  });
});
