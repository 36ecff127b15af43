/** What a record costs a worker, and the thread that writes, at a rate that is kept up. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { openForReading } from '@sluice/plugins/audit';
import {
  BENCHES,
  type BenchCase,
  benchSubject,
  type PluginBench,
  type Subject,
} from '@sluice/plugins/benches';
import type { AuditOptions } from '../options.js';
import type { Progress } from '../progress.js';
import { type Spread, spread } from '../statistics.js';

export const RECORDS_PER_SECOND = 20_000;
const STEP_MS = 2;
const WARM_UP_SECONDS = 2;
const NANOS_PER_MICRO = 1_000;

export interface AuditCell {
  readonly name: string;
  /** Of the worker's thread, beyond what the same costs without the plugin; nanoseconds an exchange. */
  readonly workerNanos: Spread;
  /** Of all threads, in the same way. */
  readonly allNanos: Spread;
  /** Reached in the slowest round. */
  readonly recordsPerSecond: number;
  readonly callCount: number;
  readonly recordCount: number;
}

export interface AuditResult {
  readonly formatVersion: 1;
  readonly measures: 'audit';
  readonly startedAt: string;
  readonly processor: string;
  readonly node: string;
  readonly rounds: number;
  readonly secondsPerCase: number;
  readonly cases: readonly AuditCell[];
}

interface Round {
  readonly workerNanos: number;
  readonly allNanos: number;
  readonly callsPerSecond: number;
}

export async function measureAudit(options: AuditOptions, progress: Progress): Promise<AuditResult> {
  const startedAt = new Date().toISOString();
  const { rounds, seconds } = options;
  const { plugin, cases } = BENCHES.find((each) => each.plugin.name === 'audit') as PluginBench;
  progress.plan(cases.length, cases.length * 2 * (WARM_UP_SECONDS + rounds * seconds));
  const cells: AuditCell[] = [];
  for (const each of cases) {
    progress.step(each.name, 2 * (WARM_UP_SECONDS + rounds * seconds));
    cells.push(await measureCase(benchSubject(plugin, each), benchSubject(undefined, each), each, options));
  }
  return {
    formatVersion: 1,
    measures: 'audit',
    startedAt,
    processor: cpus()[0]?.model ?? 'unknown processor',
    node: process.versions.node,
    rounds,
    secondsPerCase: seconds,
    cases: cells,
  };
}

async function measureCase(
  own: Subject,
  without: Subject,
  bench: BenchCase,
  { rounds, seconds }: AuditOptions,
): Promise<AuditCell> {
  let callCount = 0;
  const measured = async (subject: Subject, forSeconds: number): Promise<Round> => {
    const count = Math.round(RECORDS_PER_SECOND * forSeconds);
    if (subject === own) callCount += count;
    return run(subject, count);
  };
  await measured(own, WARM_UP_SECONDS);
  await measured(without, WARM_UP_SECONDS);
  const all: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    const [one, other] = [await measured(own, seconds), await measured(without, seconds)];
    all.push({
      workerNanos: one.workerNanos - other.workerNanos,
      allNanos: one.allNanos - other.allNanos,
      callsPerSecond: one.callsPerSecond,
    });
  }
  await own.end();
  const { file } = bench.config as { file: string };
  const database = openForReading(file);
  const sql = "SELECT count(*) AS count FROM records WHERE open ->> '$.kind' = 'exchange'";
  const { count: recordCount } = database.prepare(sql).get() as { count: number };
  database.close();
  return {
    name: bench.name,
    workerNanos: spread(all.map(({ workerNanos }) => workerNanos)) as Spread,
    allNanos: spread(all.map(({ allNanos }) => allNanos)) as Spread,
    recordsPerSecond: Math.min(...all.map(({ callsPerSecond }) => callsPerSecond)),
    callCount,
    recordCount,
  };
}

/** So many calls, spread over the time that they may take; where the machine is too slow they take longer. */
async function run(subject: Subject, count: number): Promise<Round> {
  const [cpuBefore, allBefore, began] = [threadNanos(), process.cpuUsage(), performance.now()];
  for (let done = 0; done < count; ) {
    const due = Math.min(count, Math.ceil(((performance.now() - began) / 1_000) * RECORDS_PER_SECOND));
    for (; done < due; done++) void subject.once();
    if (done < count) await pause(STEP_MS);
  }
  const elapsedMs = performance.now() - began;
  const { user, system } = process.cpuUsage(allBefore);
  return {
    workerNanos: (threadNanos() - cpuBefore) / count,
    allNanos: ((user + system) * NANOS_PER_MICRO) / count,
    callsPerSecond: (count / elapsedMs) * 1_000,
  };
}

/** Processor time of this thread alone; see proc(5). */
function threadNanos(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0]);
}
