/** What tools were when they were seen for the first time, kept for as long as the store keeps it. */
import { createHash } from 'node:crypto';
import type { PluginLog, PluginStore } from '@sluice/sdk';

/** Kept at hand; with one more it is asked for anew. */
const MAX_AT_HAND_COUNT = 20_000;

export class FirstSeen {
  private readonly atHand = new Map<string, string>();
  private readonly underWay = new Map<string, Promise<string | undefined>>();

  constructor(
    private readonly store: PluginStore,
    private readonly log: PluginLog,
  ) {}

  /** What is at hand of it. */
  known(key: string): string | undefined {
    return this.atHand.get(key);
  }

  /**
   * What was seen first; this text when nothing was. Undefined when that could not be remembered, so that nothing is
   * taken for accepted that may be another tomorrow.
   */
  async of(key: string, text: string): Promise<string | undefined> {
    const known = this.atHand.get(key);
    if (known === text) return known;
    // Another worker may have been first, or the one thing that is at hand has been taken back.
    const asking = this.underWay.get(key) ?? this.ask(key, text);
    return asking;
  }

  private ask(key: string, text: string): Promise<string | undefined> {
    const asking = this.kept(key, text).finally(() => this.underWay.delete(key));
    this.underWay.set(key, asking);
    return asking;
  }

  private async kept(key: string, text: string): Promise<string | undefined> {
    const name = `first:${createHash('sha256').update(key).digest('base64url')}`;
    let first = await this.store.get(name);
    if (first === undefined) {
      try {
        await this.store.set(name, text);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        this.log.warn({ tool: key, err: error }, 'a tool cannot be remembered, so it waits to be accepted');
        return undefined;
      }
      // Of two that were first at once the store has one.
      first = await this.store.get(name);
    }
    if (first === undefined) return undefined;
    if (this.atHand.size >= MAX_AT_HAND_COUNT) this.atHand.clear();
    this.atHand.set(key, first);
    return first;
  }
}
