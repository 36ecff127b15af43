/**
 * `npm run simulate`: runs the clusters of many seeds, or shows what happens in one.
 *
 *   npm run simulate -- --seeds 1000000 --from 1
 *   npm run simulate -- --seed 4711 --trace
 */
import { parseArgs } from 'node:util';
import { runSeed } from './run-seed.js';

/** How often it says how far it is; milliseconds. */
const PROGRESS_INTERVAL_MS = 10_000;
/** Failures that are told; the rest is counted. */
const MAX_TOLD_COUNT = 10;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});

if (values.seed !== undefined) await one(wholeNumber('seed', values.seed), values.trace);
else await many(wholeNumber('from', values.from), wholeNumber('seeds', values.seeds));

async function one(seed: number, showsTrace: boolean): Promise<void> {
  const outcome = await runSeed(seed, showsTrace);
  if (showsTrace) console.log(outcome.trace);
  console.log(
    `seed ${seed}: ${outcome.failure ?? 'as it should be'} (${outcome.eventsCount} events, digest ${outcome.digest})`,
  );
  if (outcome.failure !== undefined) process.exitCode = 1;
}

async function many(from: number, count: number): Promise<void> {
  let [failedCount, commitsCount, eventsCount, longestMs] = [0, 0, 0, 0];
  let saidAtMs = performance.now();
  for (let seed = from; seed < from + count; seed++) {
    const outcome = await runSeed(seed);
    commitsCount += outcome.commitsCount;
    eventsCount += outcome.eventsCount;
    longestMs = Math.max(longestMs, outcome.convergedMs);
    if (outcome.failure !== undefined && ++failedCount <= MAX_TOLD_COUNT)
      console.log(`seed ${seed}: ${outcome.failure}`);
    if (performance.now() - saidAtMs < PROGRESS_INTERVAL_MS) continue;
    saidAtMs = performance.now();
    console.log(`${seed - from + 1} of ${count} seeds, ${failedCount} failed`);
  }
  console.log(
    `${count} seeds from ${from}: ${failedCount} failed; ${commitsCount} commits, ${eventsCount} events, ` +
      `longest way of the last change ${(longestMs / 1_000).toFixed(1)} s`,
  );
  if (failedCount > 0) {
    console.log('`npm run simulate -- --seed N --trace` shows what happened in one of them.');
    process.exitCode = 1;
  }
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  console.error(`--${name} ${text}: give a whole number, such as --${name} 1000`);
  process.exit(2);
}
