import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { describeUnless } from '../servers/describe-unless.js';
import { NO_ETCD } from '../servers/etcd.js';
import { NO_NATS } from '../servers/nats.js';
import { FAULTS, FEW_FAULTS } from './faults.js';
import { reliabilityPage } from './reliability-page.js';
import { runChaos } from './run-chaos.js';

/* "Whatever breaks, my clients do not notice." */

/** Set by `npm run chaos`: the page to write, or a part of the names of what is to be broken. */
const { SLUICE_CHAOS_PAGE: PAGE, SLUICE_CHAOS_ONLY: ONLY } = process.env;
const IS_FULL = process.env.SLUICE_TEST_FULL === '1';
const FULL_ROUND_COUNT = 3;
const LIMIT_MS = 20 * 60_000;

describeUnless(NO_ETCD ?? NO_NATS, 'a cluster in which things break', () => {
  it(
    'fails no call, loses no session, and serves nothing that was not committed',
    async () => {
      const faults = (IS_FULL ? FAULTS : FEW_FAULTS).filter(({ name }) => name.includes(ONLY ?? ''));
      const note = (text: string) => IS_FULL && process.stderr.write(`${text} ...\n`);
      const rows = await runChaos(faults, IS_FULL ? FULL_ROUND_COUNT : 1, note);
      if (PAGE !== undefined) writeFileSync(PAGE, reliabilityPage(rows));
      if (ONLY !== undefined) console.log(reliabilityPage(rows), rows[0]?.tally.retryReasons);
      const wrong = rows.flatMap(({ fault, tally, convergenceMs }) => [
        ...tally.failures.map((failure) => `${fault}: failed: ${failure}`),
        ...tally.lostSessions.map((lost) => `${fault}: lost session: ${lost}`),
        ...tally.wrongStates.map((state) => `${fault}: ${state}`),
        ...(convergenceMs.includes(undefined)
          ? [`${fault}: not all nodes came to run the newest revision`]
          : []),
      ]);
      expect(wrong).toEqual([]);
      for (const { fault, tally } of rows)
        expect(Math.min(tally.callCount, tally.lookCount), fault).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );
});
