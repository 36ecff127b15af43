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
   * one has as many as it may.
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
    if (own.length >= maxSessionPerPrincipalCount) endOldest(own);
    else if (this.sessions.size >= maxSessionCount) endOldest(this.sessions);
  }
}

function endOldest(sessions: Iterable<SeatedSession>): void {
  let oldest: SeatedSession | undefined;
  for (const session of sessions) {
    if (
      oldest === undefined ||
      (oldest.busy && !session.busy) ||
      (oldest.busy === session.busy && session.lastUsedAt < oldest.lastUsedAt)
    ) {
      oldest = session;
    }
  }
  oldest?.end('made room for a new session');
}
