import { ROWS, type Row } from './relays/relay.js';
import type {
  BenchmarkResult,
  IdleMemory,
  LatencyCell,
  LatencySummary,
  LoadCell,
  LoadSummary,
  Summary,
  TargetVerdict,
} from './result.js';
import { spread } from './statistics.js';

/** Processor time of one relayed call against nginx in the same round. */
const MAX_CPU_TIMES_NGINX = { '/mcp/{upstream}': 2.0, '/mcp': 2.5 };
/** What the gateway may add to the median call at one connection. */
const MAX_ADDED_P50_MICROS = 150;
/** What the plugins of `chain.ts` may add to the processor time of a call. */
const MAX_PLUGINS_CPU_MICROS = 5;
/** Resident memory of an idle gateway with one worker, both processes together; MB are millions of bytes. */
const MAX_IDLE_MB = 120;
const BYTES_PER_MB = 1_000_000;

type Measured = Pick<BenchmarkResult, 'rows' | 'connections' | 'cells' | 'latency' | 'idleMemory'>;

/** Medians over the rounds, ratios within each round, and the targets. */
export function summarise(measured: Measured): Summary {
  const rows = ROWS.filter(({ id }) =>
    measured.rows.some((row) => row.id === id && row.state === 'measured'),
  );
  const load = rows.flatMap((row) =>
    measured.connections.map((count) => loadSummary(row, count, measured.cells)),
  );
  const latency = rows.map((row) => latencySummary(row, measured.latency));
  return {
    load,
    latency,
    targets: targetVerdicts(rows, load, latency, measured.idleMemory),
    problems: problemsOf(measured),
  };
}

function loadSummary(row: Row, connections: number, all: readonly LoadCell[]): LoadSummary {
  const cells = all.filter((cell) => cell.row === row.id && cell.connections === connections);
  const sound = cells.filter(isSound);
  const values = (pick: (cell: LoadCell) => number | undefined) => spread(sound.map(pick).filter(isFigure));
  const againstNginx = (pick: (cell: LoadCell) => number | undefined) =>
    values((cell) => {
      const same = (other: LoadCell) =>
        isSound(other) && other.round === cell.round && other.connections === connections;
      const nginx = all.find((other) => other.row === `nginx-${row.era}` && same(other));
      const [mine, theirs] = [pick(cell), nginx && pick(nginx)];
      return mine === undefined || !theirs ? undefined : mine / theirs;
    });
  const overBare = values((cell) => {
    const bare = all.find(
      (other) =>
        other.row === `sluice-upstream-${row.era}` &&
        other.round === cell.round &&
        other.connections === connections &&
        isSound(other),
    );
    const [mine, theirs] = [cell.relayCpuMicrosPerRequest, bare?.relayCpuMicrosPerRequest];
    return mine === undefined || theirs === undefined ? undefined : mine - theirs;
  });
  const sum = (pick: (cell: LoadCell) => number) => cells.reduce((total, cell) => total + pick(cell), 0);
  return {
    row: row.id,
    connections,
    requestsPerSecond: values((cell) => cell.requestsPerSecond),
    p50Micros: values((cell) => cell.p50Micros),
    p99Micros: values((cell) => cell.p99Micros),
    relayCpuMicrosPerRequest: values((cell) => cell.relayCpuMicrosPerRequest),
    cpuTimesNginx: againstNginx((cell) => cell.relayCpuMicrosPerRequest),
    throughputTimesNginx: againstNginx((cell) => cell.requestsPerSecond),
    addedCpuMicros: row.plugins ? overBare : undefined,
    relayRssBytes: values((cell) => cell.relayRssBytes),
    requests: sum((cell) => cell.requests),
    checkedAnswers: sum((cell) => cell.checkedAnswers),
    errors: sum(errorsIn),
  };
}

/** A wrong status usually comes with a wrong body: the larger of the two counts, not both. */
function errorsIn(cell: LoadCell): number {
  return Math.max(cell.non2xx, cell.wrongAnswers) + cell.connectionErrors;
}

/** What went wrong is reported as such and is no figure. */
function isSound(cell: LoadCell): boolean {
  return cell.requests > 0 && errorsIn(cell) === 0;
}

function latencySummary(row: Row, all: readonly LatencyCell[]): LatencySummary {
  const sound = all.filter((cell) => cell.problem === undefined);
  const cells = sound.filter((cell) => cell.row === row.id);
  const added = cells.map((cell) => {
    const sameTurn = (other: LatencyCell) => other.round === cell.round && other.part === cell.part;
    const direct = sound.find((other) => other.row === `direct-${row.era}` && sameTurn(other));
    const [mine, theirs] = [cell.p50Micros, direct?.p50Micros];
    return mine === undefined || theirs === undefined ? undefined : mine - theirs;
  });
  return {
    row: row.id,
    p50Micros: spread(cells.map((cell) => cell.p50Micros).filter(isFigure)),
    p99Micros: spread(cells.map((cell) => cell.p99Micros).filter(isFigure)),
    addedP50Micros: row.relay === 'direct' ? undefined : spread(added.filter(isFigure)),
  };
}

function targetVerdicts(
  rows: readonly Row[],
  load: readonly LoadSummary[],
  latency: readonly LatencySummary[],
  idle: readonly IdleMemory[],
): TargetVerdict[] {
  const sluice = rows.filter(({ relay, plugins }) => relay === 'sluice' && !plugins);
  const plugins = rows
    .filter((row) => row.plugins)
    .flatMap((row) =>
      load
        .filter((summary) => summary.row === row.id)
        .map(({ connections, addedCpuMicros }) => ({
          what: `processor time that plugins add, ${connections === 1 ? '1 connection' : `${connections} connections`}`,
          row: row.id,
          limit: MAX_PLUGINS_CPU_MICROS,
          unit: 'µs',
          measured: addedCpuMicros,
        })),
    );
  const cpu = sluice.flatMap((row) =>
    load
      .filter((summary) => summary.row === row.id)
      .map(({ connections, cpuTimesNginx }) => ({
        what: `processor time of a call, ${connections === 1 ? '1 connection' : `${connections} connections`}`,
        row: row.id,
        limit: row.path === '/mcp' ? MAX_CPU_TIMES_NGINX['/mcp'] : MAX_CPU_TIMES_NGINX['/mcp/{upstream}'],
        unit: '× nginx',
        measured: cpuTimesNginx,
      })),
  );
  const added = sluice.map((row) => ({
    what: 'added p50 at one connection',
    row: row.id,
    limit: MAX_ADDED_P50_MICROS,
    unit: 'µs',
    measured: latency.find((summary) => summary.row === row.id)?.addedP50Micros,
  }));
  const memory = idle.map(({ relay, era, rssBytes }) => ({
    what: 'resident memory when idle',
    row: `${relay}-${era}`,
    limit: MAX_IDLE_MB,
    unit: 'MB',
    measured: spread([rssBytes / BYTES_PER_MB]),
  }));
  return [...cpu, ...plugins, ...added, ...memory];
}

/** What did not run or answered wrongly. That something is slow or not installed is no problem. */
function problemsOf({ rows, cells, latency }: Measured): string[] {
  const reasons = new Map<string, string[]>();
  for (const { id, state, reason = '' } of rows) {
    if (state === 'failed') reasons.set(reason, [...(reasons.get(reason) ?? []), id]);
  }
  const failed = [...reasons].map(([reason, ids]) => `${ids.join(', ')} did not run: ${reason}`);
  const wrong = cells
    .filter((cell) => !isSound(cell))
    .map((cell) => {
      const where = `${cell.row}, ${cell.connections} connections, round ${cell.round}`;
      return `${where}: ${errorsIn(cell)} errors in ${cell.requests} answers; first: ${cell.firstProblem ?? 'no answer at all'}`;
    });
  const lost = cells
    .filter((cell) => !cell.row.startsWith('direct-') && cell.relayCpuMicrosPerRequest === undefined)
    .map((cell) => `${cell.row}, round ${cell.round}: a process of the relay ended or began during the cell`);
  const unanswered = latency
    .filter(({ problem }) => problem !== undefined)
    .map(({ row, round, problem }) => `${row}, one call after the other, round ${round}: ${problem}`);
  return [...failed, ...wrong, ...lost, ...unanswered];
}

function isFigure(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value);
}
