import process from 'node:process';

/** The signals that end a process group here. */
type EndSignal = 'SIGTERM' | 'SIGKILL';

/** Groups that may still have members: at most one for each subprocess that runs. */
const living = new Set<ProcessGroup>();

/**
 * Hears which groups would be left behind if this process were killed: `lives` says whether one has begun, or needs
 * nobody to end it any more.
 */
export type ProcessGroupListener = (leaderPid: number, lives: boolean) => void;

let listener: ProcessGroupListener | undefined;

/** There is one listener for each thread; it is to be there before the first subprocess is. */
export function onProcessGroups(told: ProcessGroupListener | undefined): void {
  listener = told;
}

/**
 * A subprocess with its descendants. What is started by way of `npx`, `uvx` or a shell is a chain of processes, of
 * which only the first is known here; in a group of their own they can all be reached. Windows has no such groups:
 * there the first one is all.
 */
export class ProcessGroup {
  static readonly supported = process.platform !== 'win32';

  constructor(private readonly leaderPid: number) {
    if (living.size === 0) process.on('exit', killAll);
    living.add(this);
    listener?.(leaderPid, true);
  }

  /** Whether a process of the group exists, a zombie included. */
  get exists(): boolean {
    return this.send(0);
  }

  /** Sends the signal to all that are still there. */
  kill(signal: EndSignal): void {
    this.send(signal);
  }

  /** No longer to be ended with this process. */
  release(): void {
    if (!living.delete(this)) return;
    if (living.size === 0) process.off('exit', killAll);
    listener?.(this.leaderPid, false);
  }

  private send(signal: EndSignal | 0): boolean {
    try {
      process.kill(ProcessGroup.supported ? -this.leaderPid : this.leaderPid, signal);
      return true;
    } catch (error) {
      // EPERM: somebody is there who has changed its user.
      return (error as NodeJS.ErrnoException).code === 'EPERM';
    }
  }
}

/** When this process ends, nobody is left to wait for its children: no grace. */
function killAll(): void {
  for (const group of living) group.kill('SIGKILL');
}
