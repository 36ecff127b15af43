import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const BENCH = fileURLToPath(new URL('../bin/bench.js', import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-bench-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the command to its end, or until `signalOn` appears in its progress, and gives what it left. */
async function runBench(args: string[], signalOn?: RegExp) {
  const child = spawn(process.execPath, [BENCH, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr, signalled] = ['', '', false];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    if (!signalled && signalOn?.test(stderr)) signalled = child.kill('SIGINT');
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

test('a small run measures direct calls in both eras and writes its figures', async () => {
  const out = join(folder, 'result.json');
  const args = [
    '--only',
    'direct',
    '--rounds',
    '1',
    '--seconds',
    '0.3',
    '--connections',
    '1,3',
    '--out',
    out,
  ];
  const { code, stdout, stderr } = await runBench(args);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stderr).toMatch(/round 1: direct-legacy, 3 connections/);
  expect(stdout).toContain('| relay  | era    | conn. |');

  const result = JSON.parse(readFileSync(out, 'utf8'));
  expect(result).toMatchObject({ formatVersion: 1, rounds: 1, secondsPerCell: 0.3, connections: [1, 3] });
  expect(result.rows.map((row: { id: string; state: string }) => [row.id, row.state])).toEqual([
    ['direct-modern', 'measured'],
    ['direct-legacy', 'measured'],
  ]);
  expect(result.cells).toHaveLength(4);
  for (const cell of result.cells) {
    expect(cell).toMatchObject({ non2xx: 0, connectionErrors: 0, wrongAnswers: 0 });
    expect(cell.requests).toBeGreaterThan(0);
    expect(cell.checkedAnswers).toBeGreaterThan(0);
    expect(cell.p50Micros).toBeGreaterThan(0);
    expect(cell.upstreamCpuMicrosPerRequest).toBeGreaterThan(0);
  }
  expect(
    result.latency.every(
      (cell: { calls: number; p50Micros: number }) => cell.calls > 0 && cell.p50Micros > 0,
    ),
  ).toBe(true);
  expect(new Set(result.latency.map(({ row }: { row: string }) => row))).toEqual(
    new Set(['direct-modern', 'direct-legacy']),
  );
  expect(result.summary.load).toHaveLength(4);
  expect(result.summary.problems).toEqual([]);
}, 60_000);

test('Ctrl-C ends the run, its processes and its files', async () => {
  const out = join(folder, 'result.json');
  const args = [
    '--only',
    'direct-modern',
    '--seconds',
    '20',
    '--rounds',
    '1',
    '--connections',
    '1',
    '--out',
    out,
  ];
  const { code, stdout, stderr } = await runBench(args, /warming up/);
  // The streams close only when no process that holds them is left: the children's output goes through the command.
  expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
  expect(stderr).toContain('interrupted; nothing was written');
  expect(() => readFileSync(out)).toThrow('ENOENT');
}, 60_000);

test('a wrong option is refused before anything starts', async () => {
  const { code, stderr } = await runBench(['--connections', 'ten']);
  expect(code).toBe(2);
  expect(stderr).toContain('--connections: "ten" is not a whole number from 1 to 512');
});

test('--streams tells what an idle stream costs, and that nothing of it is left', async () => {
  const out = join(folder, 'result.json');
  const { code, stdout, stderr } = await runBench([
    '--streams',
    '30',
    '--only',
    'legacy-upstream',
    '--out',
    out,
  ]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stderr).toContain('30 of 30 streams are open');
  expect(stdout).toContain('## 30 idle streams on one gateway');
  const { kinds, problems } = JSON.parse(readFileSync(out, 'utf8'));
  expect(problems).toEqual([]);
  expect(kinds).toMatchObject([{ kind: 'stream-legacy-upstream-legacy', state: 'measured' }]);
  const [{ figures }] = kinds;
  const { before, open, closed, bytesPerStream } = figures;
  // A socket of the client and one to the server.
  expect(open.descriptors - before.descriptors).toBeGreaterThanOrEqual(2 * 30);
  expect(closed.descriptors).toBeLessThan(before.descriptors);
  expect(bytesPerStream).toBeCloseTo((open.rssBytes - before.rssBytes) / 30);
  expect(figures.lostStreams).toBe(0);
}, 120_000);

test('streams for which there are not enough file descriptors are refused with what would do', async () => {
  const child = spawn(
    'sh',
    ['-c', `ulimit -n 500 && exec "$0" "$@"`, process.execPath, BENCH, '--streams', '1000'],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(1);
  expect(stderr).toContain(
    '1000 streams need 1300 file descriptors in one process, and 500 are allowed: raise `ulimit -n`, or ask for --streams 200',
  );
});

test('a small cluster is measured with NATS and without', async () => {
  const out = join(folder, 'result.json');
  const args = ['--propagation', '--nodes', '2', '--resources', '100', '--changes', '2', '--out', out];
  const { code, stdout, stderr } = await runBench(args);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stdout).toContain('5 nodes');
  const { cells, problems } = JSON.parse(readFileSync(out, 'utf8'));
  expect(problems).toEqual([]);
  expect(cells).toHaveLength(8);
  for (const { lastAckMs, callMs, receivedBytes, changeBytes } of cells) {
    for (const [index, bytes] of changeBytes.entries()) {
      // What goes to a node is the change, not the configuration.
      expect(receivedBytes[index] / 2).toBeGreaterThan(bytes);
      expect(receivedBytes[index] / 2).toBeLessThan(2 * bytes + 1_000);
      expect(lastAckMs[index]).toBeGreaterThan(0);
      expect(callMs[index]).toBeGreaterThan(0);
    }
  }
}, 120_000);
