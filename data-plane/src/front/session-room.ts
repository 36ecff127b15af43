/** Places for legacy sessions, of all fronts of a worker together. */
import type { Caller } from '../exchange/exchange.js';

export interface SeatedSession {
  readonly caller: Caller;
  /** True while something is under way. */
  readonly busy: boolean;
  readonly lastUsedAt: number;
  end(reason: string): void;
}

export interface SessionPlaces {
  readonly maxSessionCount: number;
  readonly maxSessionPerPrincipalCount: number;
}

export class SessionRoom {
  private readonly sessions = new Set<SeatedSession>();

  /** @param places as they are now: they may change while the gateway runs. */
  constructor(private readonly places: () => SessionPlaces) {}

  get size(): number {
    return this.sessions.size;
  }

  /**
   * Seats a session. Where all places are taken, the longest idle one makes room: of the same principal, when that
   * one has as many as it may. Where there are fewer places than before, all that have none any more end now.
   */
  add(session: SeatedSession): void {
    this.makeRoom(session.caller.principal);
    this.sessions.add(session);
  }

  delete(session: SeatedSession): void {
    this.sessions.delete(session);
  }

  private makeRoom(principal: string): void {
    const { maxSessionCount, maxSessionPerPrincipalCount } = this.places();
    if (this.sessions.size < Math.min(maxSessionCount, maxSessionPerPrincipalCount)) return;
    const own = [...this.sessions].filter(({ caller }) => caller.principal === principal);
    endLongestIdle(own, own.length + 1 - maxSessionPerPrincipalCount);
    endLongestIdle([...this.sessions], this.sessions.size + 1 - maxSessionCount);
  }
}

function endLongestIdle(sessions: SeatedSession[], count: number): void {
  if (count <= 0) return;
  // With a full house every new session comes here for one place, and is not to sort thousands for it.
  const leaving =
    count === 1
      ? [sessions.reduce((first, other) => (byIdleness(other, first) < 0 ? other : first))]
      : sessions.sort(byIdleness).slice(0, count);
  for (const session of leaving) session.end('made room for a new session');
}

function byIdleness(one: SeatedSession, other: SeatedSession): number {
  return Number(one.busy) - Number(other.busy) || one.lastUsedAt - other.lastUsedAt;
}
