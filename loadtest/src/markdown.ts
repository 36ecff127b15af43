import { ROWS } from './relays/relay.js';
import type { BenchmarkResult, RowProfile } from './result.js';
import { type Spread, spread } from './statistics.js';

export const BYTES_PER_MB = 1_000_000;
export const NOT_MEASURED = '–';
/** A machine that others use this much gives figures to be read with care. */
const BUSY_SHARE = 0.1;

/** The report that is printed: Markdown tables whose source is also readable. */
export function renderMarkdown(result: BenchmarkResult): string {
  return [
    '## MCP relays: one `tools/call`, echo, 120 bytes of arguments',
    circumstances(result),
    '### Under load',
    'Median over the rounds (smallest–largest). Processor time is that of the relay alone.',
    loadTable(result),
    '### One connection, one call after the other',
    latencyTable(result),
    ...(result.idleMemory.length > 0 ? ['### Memory of an idle gateway', memoryTable(result)] : []),
    ...(result.summary.targets.length > 0 ? ['### Targets', targetTable(result)] : []),
    ...result.profiles.flatMap(profileSection),
    ...problemSection(result.summary.problems),
  ].join('\n\n');
}

function circumstances({ machine, rounds, secondsPerCell, cells }: BenchmarkResult): string {
  const others = spread(cells.map(({ othersCpuShare }) => othersCpuShare));
  const gateway = machine.gatewayListener === undefined ? '' : `, gateways on ${machine.gatewayListener}`;
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node.js ${machine.node}; ${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${secondsPerCell} s a cell; upstream on ${machine.upstreamListener}${gateway}.`,
  ];
  if (others) {
    const share = (value: number) => `${Math.round(value * 100)} %`;
    const busy = others.median > BUSY_SHARE ? ' The machine was busy: repeat this when it is quiet.' : '';
    lines.push(
      `Other programs used ${share(others.median)} of the processors (${share(others.min)}–${share(others.max)}).${busy}`,
    );
  }
  return lines.join('\n');
}

function loadTable({ rows, summary, connections }: BenchmarkResult): string {
  const header = [
    'relay',
    'era',
    'conn.',
    'req/s',
    'p50 µs',
    'p99 µs',
    'CPU µs/req',
    'CPU × nginx',
    'req/s × nginx',
    'RSS MB',
    'errors',
  ];
  const lines = rows.flatMap((row) => {
    if (row.state !== 'measured') {
      const why = row.state === 'failed' ? 'failed, see Problems' : row.state;
      return [[row.title, row.era, NOT_MEASURED, why, ...Array<string>(7).fill('')]];
    }
    return connections.map((count) => {
      const load = summary.load.find((entry) => entry.row === row.id && entry.connections === count);
      return [
        row.title,
        row.era,
        String(count),
        figure(load?.requestsPerSecond, 0),
        figure(load?.p50Micros, 0),
        figure(load?.p99Micros, 0),
        figure(load?.relayCpuMicrosPerRequest, 1),
        row.relay === 'nginx' ? '1' : figure(load?.cpuTimesNginx, 2),
        row.relay === 'nginx' ? '1' : figure(load?.throughputTimesNginx, 2),
        figure(load?.relayRssBytes, 0, BYTES_PER_MB),
        load ? `${load.errors} (${load.checkedAnswers} bodies read)` : NOT_MEASURED,
      ];
    });
  });
  return table(header, lines);
}

function latencyTable({ rows, summary }: BenchmarkResult): string {
  const lines = rows
    .filter(({ state }) => state === 'measured')
    .map((row) => {
      const latency = summary.latency.find((entry) => entry.row === row.id);
      return [
        row.title,
        row.era,
        figure(latency?.p50Micros, 0),
        figure(latency?.p99Micros, 0),
        figure(latency?.addedP50Micros, 0),
      ];
    });
  return table(['relay', 'era', 'p50 µs', 'p99 µs', 'added p50 µs'], lines);
}

function memoryTable({ idleMemory }: BenchmarkResult): string {
  const megabytes = (bytes: number | undefined) =>
    bytes === undefined ? NOT_MEASURED : (bytes / BYTES_PER_MB).toFixed(1);
  const lines = idleMemory.flatMap(({ relay, era, processes, rssBytes }) => [
    ...processes.map(({ role, pid, rssBytes: own, pssBytes }) => [
      `${relay} ${era}`,
      `${role} (pid ${pid})`,
      megabytes(own),
      megabytes(pssBytes),
    ]),
    [`${relay} ${era}`, 'together', megabytes(rssBytes), megabytes(sumOfPss(processes))],
  ]);
  return table(['gateway', 'process', 'RSS MB', 'PSS MB'], lines);
}

function sumOfPss(processes: readonly { pssBytes?: number }[]): number | undefined {
  let sum = 0;
  for (const { pssBytes } of processes) {
    if (pssBytes === undefined) return undefined;
    sum += pssBytes;
  }
  return sum;
}

function targetTable({ summary }: BenchmarkResult): string {
  const lines = summary.targets.map(({ what, row, limit, unit, measured }) => {
    const verdict = measured === undefined ? 'not measured' : measured.median <= limit ? 'met' : 'missed';
    const digits = unit === '× nginx' ? 2 : unit === 'MB' || limit < 10 ? 1 : 0;
    return [what, row, `≤ ${limit} ${unit}`, figure(measured, digits), verdict];
  });
  return table(['target', 'row', 'limit', 'measured', ''], lines);
}

function profileSection({ row, thread, file, sampledMillis, idleShare, top }: RowProfile): string[] {
  const title = ROWS.find(({ id }) => id === row)?.id ?? row;
  const busy = `${Math.round((1 - idleShare) * 100)} % busy in ${(sampledMillis / 1000).toFixed(1)} s`;
  const lines = top.map(({ name, place, selfMillis, share }) => [
    `${(share * 100).toFixed(1)} %`,
    selfMillis.toFixed(0),
    `\`${name}\``,
    place,
  ]);
  return [
    `### Where the time goes: ${title}, thread ${thread}`,
    `${busy}; \`${file}\` opens in the developer tools of Chrome.`,
    table(['self', 'ms', 'function', 'where'], lines),
  ];
}

export function problemSection(problems: readonly string[]): string[] {
  if (problems.length === 0) return [];
  return ['### Problems', problems.map((problem) => `- ${problem.replaceAll('\n', '\n  ')}`).join('\n')];
}

function figure(values: Spread | undefined, digits: number, divisor = 1): string {
  if (!values) return NOT_MEASURED;
  const text = (value: number) =>
    (value / divisor).toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
  const median = text(values.median);
  return values.min === values.max ? median : `${median} (${text(values.min)}–${text(values.max)})`;
}

/** Columns are padded so that the source reads as a table too. */
export function table(header: string[], lines: string[][]): string {
  const widths = header.map((title, i) =>
    Math.max(title.length, 3, ...lines.map((line) => (line[i] ?? '').length)),
  );
  const row = (cells: string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [row(header), row(widths.map((width) => '-'.repeat(width))), ...lines.map(row)].join('\n');
}
