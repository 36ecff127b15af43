/**
 * That an upstream changed a list which it shows only to clients that can be asked something. Whether it did is seen
 * when what it shows to everybody has been read again, and is the same as before.
 */
import type { Caller } from '../exchange/exchange.js';
import { LIST_KINDS, type ListKind } from '../upstream/offers.js';
import { canBeAsked } from '../upstream/parked/parked-calls.js';

/** Whether somebody is to be told of a change. */
export type Audience = (caller: Caller) => boolean;

export const EVERYBODY: Audience = () => true;

export class OfferNews {
  /** Whose lists may have changed since everybody's were read, by kind; undefined stands for all principals. */
  private readonly principals = new Map<ListKind, Set<string | undefined>>();

  /**
   * @param kind undefined when any of the lists may have changed
   * @param principal whose sessions heard of it; undefined when it was heard outside of sessions
   */
  heard(kind: ListKind | undefined, principal: string | undefined): void {
    for (const each of kind === undefined ? LIST_KINDS : [kind]) {
      const heard = this.principals.get(each);
      if (heard === undefined) this.principals.set(each, new Set([principal]));
      else heard.add(principal);
    }
  }

  /** Who is to be told of what, beside those lists that everybody is told of. Forgets it. */
  take(told: readonly ListKind[]): readonly (readonly [ListKind, Audience])[] {
    const news = [...this.principals].filter(([kind]) => !told.includes(kind));
    this.principals.clear();
    return news.map(([kind, principals]) => [
      kind,
      (caller) => canBeAsked(caller) && (principals.has(undefined) || principals.has(caller.principal)),
    ]);
  }
}
