import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../docs/pages.js';
import { renderErasPage, renderSeen } from './eras-page.js';
import { CELLS, MatrixRun, nameOf, PAIRS, SHORT_RUN } from './matrix.js';
import { titleOf } from './pair.js';

/* "Whatever my client and the server behind the gateway are, I see the same." */

const PAGE = join(ROOT, 'docs/reference/eras.md');

/** A cell waits for its turn and for those before it, on a machine that may have more to do. */
const CELL_LIMIT_MS = 60_000;

let matrix: MatrixRun;

beforeAll(async () => {
  matrix = await MatrixRun.start();
});
afterAll(() => matrix?.stop());

for (const pair of PAIRS) {
  describe(titleOf(pair), () => {
    for (const cell of CELLS.filter((each) => each.pair === pair)) {
      it(nameOf(cell), { timeout: CELL_LIMIT_MS }, async () => {
        const outcome = await matrix.outcome(cell);
        if (outcome.saw === 'fault') throw outcome.error;
      });
    }
  });
}

it('docs/reference/eras.md says what was seen (else run SLUICE_UPDATE_DOCS=1 npm test -- matrix)', async () => {
  const seen = await Promise.all(CELLS.map(async (cell) => ({ cell, outcome: await matrix.outcome(cell) })));
  console.log(renderSeen(seen));
  const faults = seen.filter(({ outcome }) => outcome.saw === 'fault').length;
  expect(faults, 'cells that failed; the page is of a run in which none does').toBe(0);
  const page = renderErasPage(seen.filter(({ cell }) => SHORT_RUN.has(cell)));
  if (process.env.SLUICE_UPDATE_DOCS) writeFileSync(PAGE, page);
  expect(readFileSync(PAGE, 'utf8')).toBe(page);
});
