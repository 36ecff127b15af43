import { type ChildProcess, spawn } from 'node:child_process';
import { afterEach, describe, expect, test } from 'vitest';
import {
  canReadProcessUsage,
  cpuMicrosBetween,
  readProcessTree,
  residentBytes,
  stillRuns,
} from './process-usage.js';

let child: ChildProcess | undefined;
afterEach(() => child?.kill('SIGKILL'));

/** Starts a process that burns 300 ms of processor time, starts a child of its own, says so, and waits. */
async function startParent(): Promise<number> {
  const grandchild = `process.stdin.on('end', () => process.exit()).resume(); console.log('ready')`;
  const script = `
    const c = require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(grandchild)}], { stdio: ['pipe', 'pipe', 'ignore'] });
    const used = () => { const { user, system } = process.cpuUsage(); return user + system; };
    const start = used(); while (used() - start < 300000);
    c.stdout.once('data', () => console.log('ready'));
    setInterval(() => {}, 1000);`;
  child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child?.stdout?.once('data', resolve));
  return child.pid ?? 0;
}

describe.runIf(canReadProcessUsage())('on Linux', () => {
  test('a tree holds the process and what it started, with time and memory', async () => {
    const pid = await startParent();
    const tree = readProcessTree(pid);
    expect(tree).toHaveLength(2);
    expect(tree[0]?.pid).toBe(pid);
    expect(tree[0]?.cpuMicros).toBeGreaterThanOrEqual(290_000);
    expect(residentBytes(tree)).toBeGreaterThan(20_000_000);
    expect(tree.every(stillRuns)).toBe(true);

    child?.kill('SIGKILL');
    await new Promise((resolve) => child?.once('exit', resolve));
    expect(tree[0] && stillRuns(tree[0])).toBe(false);
    expect(readProcessTree(pid)).toEqual([]);
  });
});

test('time between two readings is summed over the tree', () => {
  const usage = (pid: number, cpuMicros: number) => ({ pid, startTicks: pid * 10, cpuMicros, rssBytes: 0 });
  const before = [usage(1, 1_000), usage(2, 5_000)];
  expect(cpuMicrosBetween(before, [usage(1, 4_000), usage(2, 5_500)])).toBe(3_500);
  // A process that ended, and one with the same number that began later: their time is not known.
  expect(cpuMicrosBetween(before, [usage(1, 4_000)])).toBeUndefined();
  expect(cpuMicrosBetween(before, [usage(1, 4_000), { ...usage(2, 100), startTicks: 99 }])).toBeUndefined();
  expect(cpuMicrosBetween([], [])).toBeUndefined();
});
