/**
 * The log level of a connection that many use: a legacy server knows one for a session, so it is told the lowest that
 * anybody asked for, and each caller is given what it wants of that.
 */
import { LOG_LEVELS } from '../../protocol/log-levels.js';

/** Who has not asked for a level is used to hearing this one, and may be on the same connection. */
const USUAL = LOG_LEVELS.indexOf('info');

export class LowestLevel {
  /** What the server was told; nothing yet. */
  private told: number = LOG_LEVELS.length;
  private telling: Promise<unknown> | undefined;

  /** @param tell sends `logging/setLevel`; how it ends changes nothing, since messages are filtered here all the same */
  constructor(private readonly tell: (level: string) => Promise<unknown>) {}

  /** Somebody wants messages from this level on. Undefined when the server knows; else resolves when it has heard. */
  want(level: string): Promise<unknown> | undefined {
    const asked = LOG_LEVELS.indexOf(level);
    if (asked < 0) return undefined;
    const index = Math.min(asked, USUAL);
    if (index >= this.told) return this.telling;
    this.told = index;
    const telling = this.tell(LOG_LEVELS[index] as string)
      .catch(() => undefined)
      .finally(() => {
        if (this.telling === telling) this.telling = undefined;
      });
    this.telling = telling;
    return telling;
  }

  /** The server has forgotten: the session is a new one. */
  forget(): void {
    this.told = LOG_LEVELS.length;
  }
}
