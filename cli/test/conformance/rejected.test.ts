import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { REJECTIONS, startRejectingServer } from './rejecting-server.js';
import { complaints, runConformance } from './run.mjs';

/*
 * A control: what passes where everything is refused proves nothing by passing. Whoever adds a scenario to
 * these lists has to add to `real-answers.ts` what its answer must hold, and to docs/internals/conformance.md.
 */

/** Passes by the official count against at least one server that refuses everything. */
const PASS_WHEN_REJECTED = {
  '2025-06-18': ['server-session-lifecycle'],
  '2025-11-25': [],
  '2026-07-28': [
    'server-sse-multiple-streams',
    'sep-2164-resource-not-found',
    'input-required-result-missing-input-response',
    'input-required-result-unsupported-methods',
    'input-required-result-ignore-extra-params',
    'input-required-result-validate-input',
  ],
};

/** Passes even when warnings count and something must have gone well. */
const WITHOUT_COMPLAINT_WHEN_REJECTED = {
  '2025-06-18': [],
  '2025-11-25': [],
  '2026-07-28': [
    'server-sse-multiple-streams',
    'input-required-result-unsupported-methods',
    'input-required-result-validate-input',
  ],
};

const PAGE = new URL('../../../docs/internals/conformance.md', import.meta.url);

/** The letters that stand for the sets in the table of that page. */
const LETTERS = { '2025-06-18': 'A', '2025-11-25': 'B', '2026-07-28': 'C' };

/** The scenarios that the page has in a set. */
function documented(letter: string): string[] {
  const rows = [...readFileSync(PAGE, 'utf8').matchAll(/^\| `([^`]+)` \| ([A-C ]+) \|/gm)];
  return rows.filter(([, , sets]) => sets?.includes(letter)).map(([, scenario]) => scenario ?? '');
}

describe.each(['2025-06-18', '2025-11-25', '2026-07-28'] as const)('scenarios of %s', (set) => {
  it('pass where everything is refused only as far as known', async () => {
    const passed = new Set<string>();
    const withoutComplaint = new Set<string>();
    for (const how of REJECTIONS) {
      const server = await startRejectingServer(how);
      const { required } = await runConformance({ url: server.url, set });
      await server.stop();
      expect(documented(LETTERS[set]).sort()).toEqual(required.map(({ scenario }) => scenario).sort());
      for (const result of required) {
        if (result.isPassed) passed.add(result.scenario);
        if (complaints([result]).length === 0) withoutComplaint.add(result.scenario);
      }
    }
    expect([...passed].sort()).toEqual([...PASS_WHEN_REJECTED[set]].sort());
    expect([...withoutComplaint].sort()).toEqual([...WITHOUT_COMPLAINT_WHEN_REJECTED[set]].sort());
  });
});
