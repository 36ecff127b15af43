import { readdirSync, readFileSync } from 'node:fs';

/** Processes as the kernel shows them. */

/** Whether there is such a process; a zombie counts. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export interface ProcessState {
  pid: number;
  ppid: number;
  /** `R`, `S`, `Z` for a zombie (proc(5)). */
  state: string;
}

/** Children of a process, and their children. */
export function descendants(pid: number): ProcessState[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(readState)
    .filter((each) => each !== undefined);
  const found: ProcessState[] = [];
  const parents = new Set([pid]);
  // A child may have a lower pid than its parent, so that one walk does not find all.
  for (let size = 0; size !== parents.size; ) {
    size = parents.size;
    for (const each of all) {
      if (!parents.has(each.ppid) || parents.has(each.pid)) continue;
      parents.add(each.pid);
      found.push(each);
    }
  }
  return found;
}

function readState(name: string): ProcessState | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${name}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The program's name stands in parentheses and may hold anything.
  const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { pid: Number(name), ppid: Number(ppid), state: state as string };
}
