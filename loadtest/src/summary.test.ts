import { expect, test } from 'vitest';
import type { LatencyCell, LoadCell, RowState } from './result.js';
import { summarise } from './summary.js';

const rows: RowState[] = [
  { id: 'direct-modern', title: '', relay: 'direct', era: 'modern', state: 'measured' },
  { id: 'nginx-modern', title: '', relay: 'nginx', era: 'modern', state: 'measured' },
  { id: 'sluice-upstream-modern', title: '', relay: 'sluice', era: 'modern', state: 'measured' },
];

function cell(row: string, round: number, cpu: number | undefined, change: Partial<LoadCell> = {}): LoadCell {
  return {
    row,
    round,
    connections: 10,
    requests: 1000,
    seconds: 1,
    requestsPerSecond: 1000,
    p50Micros: 100,
    p99Micros: 200,
    non2xx: 0,
    connectionErrors: 0,
    checkedAnswers: 60,
    wrongAnswers: 0,
    relayCpuMicrosPerRequest: cpu,
    othersCpuShare: 0,
    ...change,
  };
}
function latencyCell(row: string, part: number, p50Micros: number): LatencyCell {
  return { row, key: row, round: 1, part, calls: 100, p50Micros, p99Micros: 2 * p50Micros };
}
function summariseCells(cells: LoadCell[], latency: LatencyCell[] = []) {
  return summarise({ rows, connections: [10], cells, latency, idleMemory: [] });
}

test('a ratio is taken within a round, and then the median of ratios', () => {
  const { load, targets, problems } = summariseCells([
    cell('nginx-modern', 1, 10),
    cell('sluice-upstream-modern', 1, 30),
    cell('sluice-upstream-modern', 2, 30),
    cell('nginx-modern', 2, 30),
    cell('nginx-modern', 3, 20),
    cell('sluice-upstream-modern', 3, 30),
  ]);
  const sluice = load.find(({ row }) => row === 'sluice-upstream-modern');
  expect(sluice?.cpuTimesNginx).toEqual({ median: 1.5, min: 1, max: 3 });
  expect(targets).toContainEqual({
    what: 'processor time of a call, 10 connections',
    row: 'sluice-upstream-modern',
    limit: 2,
    unit: '× nginx',
    measured: { median: 1.5, min: 1, max: 3 },
  });
  expect(problems).toEqual([]);
});

test('without nginx in a round there is no ratio', () => {
  const { load } = summariseCells([cell('nginx-modern', 1, 10), cell('sluice-upstream-modern', 2, 30)]);
  expect(load.find(({ row }) => row === 'sluice-upstream-modern')?.cpuTimesNginx).toBeUndefined();
});

test('added time is over direct in the same turn', () => {
  const { latency } = summariseCells(
    [],
    [
      latencyCell('direct-modern', 1, 20),
      latencyCell('sluice-upstream-modern', 1, 100),
      latencyCell('direct-modern', 2, 60),
      latencyCell('sluice-upstream-modern', 2, 110),
    ],
  );
  const sluice = latency.find(({ row }) => row === 'sluice-upstream-modern');
  expect(sluice?.addedP50Micros).toEqual({ median: 65, min: 50, max: 80 });
});

test('a cell with errors is a problem and no figure', () => {
  const broken = { non2xx: 3, wrongAnswers: 2, connectionErrors: 1, firstProblem: 'HTTP status 502' };
  const { load, problems } = summariseCells([
    cell('nginx-modern', 1, 10),
    cell('nginx-modern', 2, 99, broken),
    cell('sluice-upstream-modern', 1, undefined),
  ]);
  const nginx = load.find(({ row }) => row === 'nginx-modern');
  expect(nginx?.relayCpuMicrosPerRequest).toEqual({ median: 10, min: 10, max: 10 });
  expect(nginx?.errors).toBe(4);
  expect(problems).toEqual([
    'nginx-modern, 10 connections, round 2: 4 errors in 1000 answers; first: HTTP status 502',
    'sluice-upstream-modern, round 1: a process of the relay ended or began during the cell',
  ]);
});

test('rows that failed for one reason are named together', () => {
  const failed = ['sluice-upstream-modern', 'sluice-merged-modern'].map((id) => ({
    ...(rows[2] as RowState),
    id,
    state: 'failed' as const,
    reason: 'it did not start',
  }));
  const { problems } = summarise({ rows: failed, connections: [10], cells: [], latency: [], idleMemory: [] });
  expect(problems).toEqual(['sluice-upstream-modern, sluice-merged-modern did not run: it did not start']);
});
