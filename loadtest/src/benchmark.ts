import { cpus } from 'node:os';
import { type Laboratory, setUp } from './laboratory.js';
import { describeMachine } from './machine.js';
import type { Options } from './options.js';
import { cpuMicrosBetween, machineCpuMicros, type ProcessUsage, residentBytes } from './process-usage.js';
import type { Profiler } from './profiler.js';
import type { Progress } from './progress.js';
import type { Relay, Row } from './relays/relay.js';
import type { BenchmarkResult, LatencyCell, LoadCell, RowProfile } from './result.js';
import type { StartedProcesses } from './running-process.js';
import { shuffled } from './statistics.js';
import { summarise } from './summary.js';

/** Load before the first round, so that what is compiled while it runs has been compiled. */
const MAX_WARM_UP_SECONDS = 2;
const WARM_UP_CELLS = 1.5;
/** Calls one after the other, for each row and round. */
const MAX_PING_SECONDS = 1;
const PING_CELLS = 0.5;
/**
 * That time is spread over the round: which cores the kernel puts the processes on changes a median by 40 µs, and
 * it is another choice after every load cell.
 */
const PINGS_PER_ROUND = 3;
/** A shorter profile holds too few samples. */
const MIN_PROFILE_SECONDS = 3;

/** What a run needs from outside. */
export interface Surroundings {
  processes: StartedProcesses;
  progress: Progress;
  /** For files of the processes. */
  folder: string;
  /** Absent when nothing is profiled. */
  profiler?: Profiler;
}

/**
 * Measures all rows in rounds. Within a round every cell is measured once, in random order, so that what changes on the
 * machine meanwhile meets all rows alike.
 * @throws Error when there is nothing to measure with.
 */
export async function runBenchmark(options: Options, surroundings: Surroundings): Promise<BenchmarkResult> {
  const startedAt = new Date().toISOString();
  const { processes, progress, folder, profiler } = surroundings;
  const laboratory = await setUp(processes, {
    rows: options.rows,
    sessions: Math.max(...options.connections),
    folder,
    gatewayEnv: profiler?.environment() ?? {},
    note: (text) => progress.note(text),
  });
  const { cells, latency } = await measure(options, laboratory, progress);
  const profiles = profiler ? await profileRows(options, laboratory, profiler, progress) : [];
  await laboratory.generator.close();
  const measured = {
    rows: laboratory.states,
    connections: options.connections,
    cells,
    latency,
    idleMemory: laboratory.idleMemory,
  };
  return {
    formatVersion: 1,
    startedAt,
    finishedAt: new Date().toISOString(),
    rounds: options.rounds,
    secondsPerCell: options.seconds,
    machine: describeMachine(
      laboratory.upstreamListener,
      laboratory.rows.find(({ relay }) => relay?.listener)?.relay?.listener,
    ),
    ...measured,
    summary: summarise(measured),
    profiles,
  };
}

async function measure(options: Options, laboratory: Laboratory, progress: Progress) {
  const { rounds, seconds, connections } = options;
  const { generator, rows } = laboratory;
  const warmUpSeconds = Math.min(MAX_WARM_UP_SECONDS, seconds * WARM_UP_CELLS);
  const pingSeconds = Math.min(MAX_PING_SECONDS, seconds * PING_CELLS);
  const cellsPerRound = rows.length * connections.length;
  progress.plan(rows.length, rows.length * warmUpSeconds);
  progress.plan(
    rounds * (cellsPerRound + PINGS_PER_ROUND),
    rounds * (cellsPerRound * seconds + rows.length * pingSeconds),
  );

  for (const { row } of rows) {
    progress.step(`warming up ${row.id}`, warmUpSeconds);
    await generator.load(row.id, Math.max(...connections), warmUpSeconds);
  }
  const cells: LoadCell[] = [];
  const latency: LatencyCell[] = [];
  for (let round = 1; round <= rounds; round++) {
    const work = rows.flatMap(({ row, relay }) =>
      connections.map((count) => async () => {
        progress.step(`round ${round}: ${row.id}, ${count} connections`, seconds);
        cells.push(await measureCell(laboratory, row, relay, round, count, seconds));
      }),
    );
    for (let part = 1; part <= PINGS_PER_ROUND; part++) {
      work.push(async () => {
        const secondsEach = pingSeconds / PINGS_PER_ROUND;
        progress.step(`round ${round}: one call after the other`, rows.length * secondsEach);
        const figures = await generator.ping(
          rows.map(({ row }) => row.id),
          secondsEach,
        );
        latency.push(...figures.map((entry) => ({ row: entry.key, round, part, ...entry })));
      });
    }
    for (const cell of shuffled(work)) await cell();
  }
  return { cells, latency };
}

async function measureCell(
  { generator, upstream }: Laboratory,
  row: Row,
  relay: Relay | undefined,
  round: number,
  connections: number,
  seconds: number,
): Promise<LoadCell> {
  const read = () => ({
    time: performance.now(),
    machine: machineCpuMicros(),
    relay: relay?.process.usage() ?? [],
    upstream: upstream.usage(),
    generator: generator.process.usage(),
  });
  const before = read();
  const figures = await generator.load(row.id, connections, seconds);
  const after = read();
  const micros = (pick: (reading: typeof before) => ProcessUsage[]) =>
    cpuMicrosBetween(pick(before), pick(after));
  const perRequest = (total: number | undefined) =>
    total === undefined || figures.requests === 0 ? undefined : total / figures.requests;
  const [relayMicros, upstreamMicros, generatorMicros] = [
    micros((reading) => reading.relay),
    micros((reading) => reading.upstream),
    micros((reading) => reading.generator),
  ];
  const ours = (relayMicros ?? 0) + (upstreamMicros ?? 0) + (generatorMicros ?? 0);
  const available = (after.time - before.time) * 1000 * cpus().length;
  return {
    row: row.id,
    round,
    connections,
    ...figures,
    relayCpuMicrosPerRequest: perRequest(relayMicros),
    upstreamCpuMicrosPerRequest: perRequest(upstreamMicros),
    generatorCpuMicrosPerRequest: perRequest(generatorMicros),
    othersCpuShare: Math.max(0, (after.machine - before.machine - ours) / available),
    relayRssBytes: relay ? residentBytes(after.relay) : undefined,
  };
}

/** Profiles come after the last round: what they cost is in no figure. */
async function profileRows(
  { seconds, connections }: Options,
  { rows, generator }: Laboratory,
  profiler: Profiler,
  progress: Progress,
): Promise<RowProfile[]> {
  const gateways = rows.filter(({ row }) => row.relay === 'sluice');
  const profileSeconds = Math.max(MIN_PROFILE_SECONDS, seconds);
  progress.plan(gateways.length, gateways.length * profileSeconds);
  const profiles: RowProfile[] = [];
  for (const { row, relay } of gateways) {
    if (!relay) continue;
    progress.step(`profiling ${row.id}`, profileSeconds);
    const work = () => generator.load(row.id, Math.max(...connections), profileSeconds);
    profiles.push(...(await profiler.profile(row.id, relay.process, work)));
  }
  profiler.clean();
  return profiles;
}
