/** The page that says what was broken, and what was counted. */
import { type ChaosRow, CONVERGENCE_TARGET_MS } from './run-chaos.js';

export function reliabilityPage(rows: readonly ChaosRow[]): string {
  const sum = (of: (row: ChaosRow) => number) => rows.reduce((total, row) => total + of(row), 0);
  const calls = sum(({ tally }) => tally.callCount).toLocaleString('en');
  const failures = sum(({ tally }) => tally.failures.length);
  const lost = sum(({ tally }) => tally.lostSessions.length);
  const wrong = sum(({ tally }) => tally.wrongStates.length);
  const late = rows.filter(({ convergenceMs }) =>
    convergenceMs.some((ms) => !(ms !== undefined && ms <= CONVERGENCE_TARGET_MS)),
  );
  return `<!-- Written by \`npm run chaos\`; do not edit. -->
# Reliability

What was done to a cluster of two control planes, three nodes, an etcd and a NATS while clients called it without a
pause, and what was counted. \`npm run chaos\` does it again and writes this page; \`npm test\` does some of it.

Three clients call without sessions and six in a session of the legacy era, each at one node after the other. A client
makes a call once more, at the next node, when the connection breaks, the answer is 502, 503 or 504, or it says that the
node which served it is gone (-31004), as any client or balancer can whose calls may run twice; it gives up after 15 s.
Somebody changes the configuration again and again, with 0.2 s in between. What each node serves is looked at all the
time. Processes are real, and so are their ends; the network is cut by proxies on every way between them, a full disk is a
limit on the size of files, and a clock that jumps is one that is given to Node.js before the program.

**${calls} calls, of which ${failures} failed; ${lost} lost sessions; ${wrong} times a node served what was not committed, or went back.**
Each time a change that began after mending was served by every node, at most ${gapMs(rows)} ms after it was stored.${
    late.length === 0
      ? ` Within ${CONVERGENCE_TARGET_MS / 1_000} s of mending that was so everywhere.`
      : ` It was later than ${CONVERGENCE_TARGET_MS / 1_000} s after mending, here: ${late.map(({ fault }) => fault).join('; ')}.`
  }

| what | rounds | calls | made once more | failed | lost sessions | revisions | refused changes | wrong states | next change stored after, ms | served by all after, ms |
|---|---|---|---|---|---|---|---|---|---|---|
${rows.map(line).join('\n')}

- *made once more*: attempts beyond the first, of all calls together.
- *refused changes*: the admin API said that it cannot, or did not answer within 3 s: while the store is away nothing
  can be changed.
- *wrong states*: a node served a change that the history does not have, or an older one than before in the same life;
  one that was killed begins with what it had written to its disk by then.
- *next change stored after*, *served by all after*: from the moment at which what was broken answers again, the longest
  of the rounds. A change that hangs when it is mended is given up after 3 s, and the next one begins.
`;
}

function line({ fault, roundCount, tally, commitMs, convergenceMs }: ChaosRow): string {
  const { callCount, retryCount, failures, lostSessions, writeCount, refusedWriteCount, wrongStates } = tally;
  const lost = [failures.length, lostSessions.length];
  const counts = [callCount, retryCount, ...lost, writeCount, refusedWriteCount, wrongStates.length];
  const cells = [roundCount, ...counts].map((count) => count.toLocaleString('en'));
  return `| ${[fault, ...cells, longest(commitMs), longest(convergenceMs)].join(' | ')} |`;
}

/** From a change's being stored to the last node that served it, at the longest. */
function gapMs(rows: readonly ChaosRow[]): string {
  const gaps = rows.flatMap(({ commitMs, convergenceMs }) =>
    convergenceMs.map((ms, round) => (ms ?? Number.POSITIVE_INFINITY) - (commitMs[round] ?? 0)),
  );
  return Math.round(Math.max(...gaps)).toLocaleString('en');
}

function longest(all: readonly (number | undefined)[]): string {
  return all.includes(undefined) ? 'never' : Math.round(Math.max(...(all as number[]))).toLocaleString('en');
}
