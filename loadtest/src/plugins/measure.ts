import { cpus } from 'node:os';
import {
  BENCHES,
  type BenchCase,
  benchSubject,
  type PluginBench,
  type Subject,
} from '@sluice/plugins/benches';
import type { PluginOptions } from '../options.js';
import type { Progress } from '../progress.js';
import { type Spread, shuffled, spread } from '../statistics.js';
import type { PluginCell, PluginResult } from './result.js';

/** What an empty layer may cost. */
const EMPTY_LAYER_LIMIT_NANOS = 100;
const EMPTY_LAYER = 'empty';
/** Calls before anything is measured, so that what is compiled while it runs has been compiled. */
const WARM_UP_CALLS = 30_000;
const NANOS_PER_MICRO = 1_000;
const NANOS_PER_SECOND = 1e9;
/** With and without the plugin. */
const SIDES = 2;

interface Measured {
  readonly plugin: string;
  readonly bench: BenchCase;
  readonly with: Subject;
  readonly without: Subject;
  /** Calls of one measurement. */
  calls: number;
  readonly rounds: PluginCell['rounds'];
}

/**
 * Measures all cases in rounds. Within a round every case is measured once, in random order, beside the same requests
 * without the plugin, so that what changes on the machine meanwhile meets both alike.
 * @throws Error when no case is asked for, or one does not go as its name says.
 */
export async function measurePlugins(options: PluginOptions, progress: Progress): Promise<PluginResult> {
  const startedAt = new Date().toISOString();
  const { rounds, seconds } = options;
  const all = BENCHES.flatMap((bench) => chosen(bench, options.only));
  if (all.length === 0) throw new Error(`--only: there are ${namesOf(BENCHES)}`);
  progress.plan(all.length, all.length * seconds);
  for (const each of all) {
    progress.step(`warming up ${each.plugin}, ${each.bench.name}`, seconds);
    await warmUp(each, seconds);
  }
  progress.plan(rounds, rounds * all.length * seconds);
  for (let round = 1; round <= rounds; round++) {
    progress.step(`round ${round}`, all.length * seconds);
    for (const each of shuffled(all)) await measureCase(each);
  }
  for (const each of all) await Promise.all([each.with.end(), each.without.end()]);
  return {
    formatVersion: 1,
    measures: 'plugins',
    startedAt,
    finishedAt: new Date().toISOString(),
    rounds,
    secondsPerCase: seconds,
    processor: cpus()[0]?.model ?? 'unknown processor',
    node: process.versions.node,
    cases: all.map(cellOf),
  };
}

function chosen({ plugin, cases }: PluginBench, only: readonly string[]): Measured[] {
  return cases
    .filter(({ name }) => only.length === 0 || only.some((text) => `${plugin.name}, ${name}`.includes(text)))
    .map((bench) => ({
      plugin: plugin.name,
      bench,
      with: benchSubject(plugin, bench),
      without: benchSubject(undefined, bench),
      calls: 0,
      rounds: [],
    }));
}

function namesOf(benches: readonly PluginBench[]): string {
  return benches.map(({ plugin }) => plugin.name).join(', ');
}

async function warmUp(each: Measured, seconds: number): Promise<void> {
  await run(each.without, WARM_UP_CALLS);
  const nanos = await run(each.with, WARM_UP_CALLS);
  const seen = await each.with.look();
  if (!each.bench.isAsExpected(seen))
    throw new Error(`${each.plugin}, ${each.bench.name}: it did not go as its name says`);
  each.calls = Math.max(1, Math.round((seconds * NANOS_PER_SECOND) / SIDES / nanos));
}

async function measureCase({ with: own, without, calls, rounds }: Measured): Promise<void> {
  const withoutNanos = await run(without, calls);
  const withNanos = await run(own, calls);
  rounds.push({ withNanos, withoutNanos, calls });
}

/** Processor time of one call, of all threads of this process: what is thrown away is collected by others. */
async function run({ once }: Subject, calls: number): Promise<number> {
  const before = process.cpuUsage();
  for (let index = 0; index < calls; index++) {
    const answer = once();
    if (answer instanceof Promise) await answer;
  }
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * NANOS_PER_MICRO) / calls;
}

function cellOf({ plugin, bench, rounds }: Measured): PluginCell {
  const limitNanos = plugin === EMPTY_LAYER ? EMPTY_LAYER_LIMIT_NANOS : bench.limitNanos;
  return {
    plugin,
    name: bench.name,
    stage: bench.stage,
    addedNanos: spread(rounds.map(({ withNanos, withoutNanos }) => withNanos - withoutNanos)) as Spread,
    rounds,
    ...(limitNanos !== undefined && { limitNanos }),
  };
}
