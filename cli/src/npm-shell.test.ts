import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { whenNpmShellEnds } from './npm-shell.js';

let parent = 100;
let ended: number;

beforeEach(() => {
  vi.useFakeTimers();
  parent = 100;
  ended = 0;
  vi.spyOn(process, 'ppid', 'get').mockImplementation(() => parent);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** How often the end of the shell was told, when npm had this as its command. */
function toldFor(script: string | undefined): number {
  vi.stubEnv('npm_lifecycle_script', script);
  whenNpmShellEnds(() => ended++);
  vi.advanceTimersByTime(60_000);
  expect(ended).toBe(0);
  parent = 1;
  vi.advanceTimersByTime(60_000);
  return ended;
}

test.each([
  "'sluice'",
  'sluice',
  'sluice serve --config a.yaml',
  './bin/sluice serve',
  'node cli/scripts/start.mjs',
])('%s is told the end of its shell, once', (script) => {
  expect(toldFor(script)).toBe(1);
});

test.each([
  undefined,
  'vitest run',
  'sluice serve & vitest run',
  'build && sluice serve',
  'sluice-other',
  'sluice validate a; b',
])('%s is not', (script) => {
  expect(toldFor(script)).toBe(0);
});
