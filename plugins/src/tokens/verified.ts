/** Remembers whom a token stood for: to verify a signature or to ask an issuer costs more than all else of a call. */
import { hash } from 'node:crypto';
import type { Identity } from '@sluice/sdk';
import { LRUCache } from 'lru-cache';
import type { KeySource, VerificationKey } from './keys.js';

/** Characters of tokens of one binding that are remembered; their claims take about as many bytes. */
const MAX_REMEMBERED_LENGTH = 16_777_216;

interface Entry {
  readonly identity: Identity;
  readonly untilMs: number;
  readonly key: VerificationKey | undefined;
  readonly source: KeySource | undefined;
}

export class VerifiedTokens {
  private readonly entries = new LRUCache<string, Entry>({ maxSize: MAX_REMEMBERED_LENGTH });

  identityOf(token: string, nowMs: number): Identity | undefined {
    const digest = digestOf(token);
    const entry = this.entries.get(digest);
    if (entry === undefined) return undefined;
    if (nowMs >= entry.untilMs || entry.key?.isWithdrawn === true) {
      this.entries.delete(digest);
      return undefined;
    }
    return entry.source?.keepFresh?.() === false ? undefined : entry.identity;
  }

  /**
   * @param key what verified it, where a key did: with the key the token stops to count
   * @param source where that key came from, to learn of its end
   */
  remember(
    token: string,
    identity: Identity,
    untilMs: number,
    key?: VerificationKey,
    source?: KeySource,
  ): void {
    this.entries.set(digestOf(token), { identity, untilMs, key, source }, { size: token.length });
  }
}

/** Names a token without being one: memory that leaks opens nothing. */
export function digestOf(token: string): string {
  return hash('sha256', token, 'base64url');
}
