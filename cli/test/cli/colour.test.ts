import { expect, test } from 'vitest';
import { run, writeFile } from './sluice-process.js';

const ESCAPE = '\u001b[';

test.each([
  [{}, false],
  [{ FORCE_COLOR: '1' }, true],
  [{ FORCE_COLOR: '0' }, false],
  [{ NO_COLOR: '1', FORCE_COLOR: '1' }, false],
])('into a pipe with %j', async (env: Record<string, string>, coloured) => {
  const { stderr } = await run(['validate', writeFile('a.yaml', 'upstream: []\n')], env);
  expect(stderr).toContain('did you mean upstreams?');
  expect(stderr.includes(ESCAPE)).toBe(coloured);
});
