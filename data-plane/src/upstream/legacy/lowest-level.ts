/**
 * The log level of a connection that many use: a legacy server knows one for a session, so it is told the lowest that
 * anybody asked for, and each caller is given what it wants of that.
 */
import { LOG_LEVELS } from '../../protocol/log-levels.js';

export class LowestLevel {
  /** What the server was told; nothing yet. */
  private told: number = LOG_LEVELS.length;
  private telling: Promise<unknown> | undefined;

  /** @param tell sends `logging/setLevel`; how it ends changes nothing, since messages are filtered here all the same */
  constructor(private readonly tell: (level: string) => Promise<unknown>) {}

  /** Somebody wants messages from this level on. Undefined when the server knows; else resolves when it has heard. */
  want(level: string): Promise<unknown> | undefined {
    const index = LOG_LEVELS.indexOf(level);
    if (index < 0) return undefined;
    if (index >= this.told) return this.telling;
    this.told = index;
    const telling = this.tell(level)
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
