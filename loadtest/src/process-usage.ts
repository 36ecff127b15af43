import { readdirSync, readFileSync } from 'node:fs';

/** What one process has used up to now. */
export interface ProcessUsage {
  pid: number;
  /** Start of the process in clock ticks since boot: with the pid it names one process and no later one. */
  startTicks: number;
  /** User and system time of all its threads, ended ones included. */
  cpuMicros: number;
  /** Resident memory. */
  rssBytes: number;
}

interface ProcessStat extends ProcessUsage {
  parentPid: number;
}

/** USER_HZ: the unit of times in /proc, 100 a second on every Linux that Node.js runs on. */
const MICROS_PER_TICK = 10_000;
/** Size of a page in /proc/<pid>/stat. VmRSS would be in kB, but needs a second read. */
const PAGE_BYTES = readPageBytes();

function readPageBytes(): number {
  // AT_PAGESZ (6) in the auxiliary vector: pairs of machine words, key and value.
  try {
    const auxv = readFileSync('/proc/self/auxv');
    for (let offset = 0; offset + 16 <= auxv.length; offset += 16) {
      if (auxv.readBigUInt64LE(offset) === 6n) return Number(auxv.readBigUInt64LE(offset + 8));
    }
  } catch {
    // Not Linux: reading a process will say so.
  }
  return 4096;
}

/** Whether this system has what the benchmark reads processor time from. */
export function canReadProcessUsage(): boolean {
  return readStat(process.pid) !== undefined;
}

/** Fields of /proc/<pid>/stat, see proc(5); absent when the process is gone. */
function readStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The second field, the command in parentheses, may hold spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  return {
    pid,
    parentPid: field(4),
    cpuMicros: (field(14) + field(15)) * MICROS_PER_TICK,
    startTicks: field(22),
    rssBytes: field(24) * PAGE_BYTES,
  };
}

/** The process and all its descendants, the process itself first; empty when it is gone. */
export function readProcessTree(rootPid: number): ProcessUsage[] {
  const root = readStat(rootPid);
  if (!root) return [];
  const byParent = new Map<number, ProcessStat[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(entry)) continue;
    const stat = readStat(Number(entry));
    if (!stat) continue;
    const siblings = byParent.get(stat.parentPid);
    if (siblings) siblings.push(stat);
    else byParent.set(stat.parentPid, [stat]);
  }
  const tree: ProcessStat[] = [root];
  for (let i = 0; i < tree.length; i++) tree.push(...(byParent.get((tree[i] as ProcessStat).pid) ?? []));
  return tree.map(({ parentPid: _, ...usage }) => usage);
}

/** Whether this very process still runs (a zombie counts as ended). */
export function stillRuns(usage: ProcessUsage): boolean {
  const now = readStat(usage.pid);
  if (!now || now.startTicks !== usage.startTicks) return false;
  return !/^[0-9]+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${usage.pid}/stat`, 'latin1'));
}

/**
 * Processor time that passed between two readings of a tree. Absent when a process of the first reading is
 * missing in the second (its time is lost then) or is a new one, which means a restart under load.
 */
export function cpuMicrosBetween(
  before: readonly ProcessUsage[],
  after: readonly ProcessUsage[],
): number | undefined {
  if (before.length === 0 || before.length !== after.length) return undefined;
  let micros = 0;
  for (const then of before) {
    const now = after.find((usage) => usage.pid === then.pid && usage.startTicks === then.startTicks);
    if (!now) return undefined;
    micros += now.cpuMicros - then.cpuMicros;
  }
  return micros;
}

/** Resident memory of a tree. Pages that processes share, such as the text of the program, count once in each. */
export function residentBytes(tree: readonly ProcessUsage[]): number {
  return tree.reduce((sum, usage) => sum + usage.rssBytes, 0);
}

/** Proportional memory of a process: shared pages are divided among those who share them. Absent where unreadable. */
export function proportionalBytes(pid: number): number | undefined {
  try {
    const match = /^Pss:\s+([0-9]+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'));
    return match ? Number(match[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}

/** Processor time that the whole machine has spent working since boot. */
export function machineCpuMicros(): number {
  const line = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] as string;
  // cpu user nice system idle iowait irq softirq steal: all but idle and iowait is work.
  const [user, nice, system, , , irq, softirq, steal] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number) as number[];
  return (
    [user, nice, system, irq, softirq, steal].reduce<number>((sum, n) => sum + (n ?? 0), 0) * MICROS_PER_TICK
  );
}
