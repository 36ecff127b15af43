/** The tokens that legacy clients hold for their sessions: sealed, and they say which worker has the session. */
import { randomBytes } from 'node:crypto';
import type { Sealer } from './seal.js';

/** Random part of a token; nobody guesses 2^128. */
const RANDOM_BYTES = 16;
/** Tokens of other workers whose owner is remembered, so that each is opened once. */
const MAX_REMEMBERED_COUNT = 10_000;

export class SessionTokens {
  private readonly owners = new Map<string, number>();

  constructor(
    private readonly sealer: Sealer,
    private readonly worker: number,
  ) {}

  mint(): string {
    return this.sealer.seal(
      'session',
      Buffer.concat([Buffer.from([this.worker]), randomBytes(RANDOM_BYTES)]),
    );
  }

  /** The worker that has the session; undefined for a token that was not made here. */
  owner(token: string): number | undefined {
    const remembered = this.owners.get(token);
    if (remembered !== undefined) return remembered;
    const payload = this.sealer.open('session', token);
    const owner = payload?.[0];
    if (owner === undefined) return undefined;
    if (this.owners.size >= MAX_REMEMBERED_COUNT) this.owners.clear();
    this.owners.set(token, owner);
    return owner;
  }
}
