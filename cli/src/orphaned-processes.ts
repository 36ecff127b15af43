/*
 * Subprocesses of a data plane that was killed. Their stdin has ended with it, and most end then; one that does not
 * would stay for good, and hold what the next one of its kind needs. Nobody but the parent can know of them.
 */

/** From the end of their stdin to SIGTERM, and from there to SIGKILL. */
const GRACE_MS = 2_000;
/** How often they are looked at meanwhile. */
const LOOK_MS = 100;

export class OrphanedProcesses {
  /** Leaders of the groups that the data plane which runs has. */
  readonly #owned = new Set<number>();
  /** Those of data planes that are gone, and what comes next for each. */
  readonly #orphaned = new Map<number, { signal: 'SIGTERM' | 'SIGKILL'; dueAtMs: number }>();
  #timer: NodeJS.Timeout | undefined;

  /** A group of the data plane that runs has begun, or has ended. */
  note(leaderPid: number, lives: boolean): void {
    if (lives) this.#owned.add(leaderPid);
    else this.#owned.delete(leaderPid);
  }

  /** The data plane is gone: what it has left behind is ended in steps. */
  dataPlaneEnded(): void {
    const dueAtMs = Date.now() + GRACE_MS;
    for (const leaderPid of this.#owned) this.#orphaned.set(leaderPid, { signal: 'SIGTERM', dueAtMs });
    this.#owned.clear();
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  /** Nobody stays to wait for them. */
  kill(): void {
    clearInterval(this.#timer);
    for (const leaderPid of [...this.#owned, ...this.#orphaned.keys()]) signalGroup(leaderPid, 'SIGKILL');
    this.#owned.clear();
    this.#orphaned.clear();
  }

  #look(): void {
    const now = Date.now();
    for (const [leaderPid, { signal, dueAtMs }] of this.#orphaned) {
      if (!signalGroup(leaderPid, now < dueAtMs ? 0 : signal)) this.#orphaned.delete(leaderPid);
      else if (now < dueAtMs) continue;
      else if (signal === 'SIGKILL') this.#orphaned.delete(leaderPid);
      else this.#orphaned.set(leaderPid, { signal: 'SIGKILL', dueAtMs: now + GRACE_MS });
    }
    if (this.#orphaned.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** False when nobody is there. Windows has no groups: there the leader is all. */
function signalGroup(leaderPid: number, signal: 'SIGTERM' | 'SIGKILL' | 0): boolean {
  try {
    process.kill(process.platform === 'win32' ? leaderPid : -leaderPid, signal);
    return true;
  } catch {
    return false;
  }
}
