import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderReference } from './reference.js';

test('docs/reference/cli.md says what the command line is (else run node cli/scripts/reference.mjs)', () => {
  const page = readFileSync(new URL('../../docs/reference/cli.md', import.meta.url), 'utf8');
  expect(page).toBe(renderReference());
});
