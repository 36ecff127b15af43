/**
 * The tokens that legacy clients hold for their sessions. A token is sealed and carries what `initialize` settled, so
 * that a worker which never saw the session can go on with it when the one that had it is gone. It says which
 * session, never who: the principal is compared on every request.
 */
import { randomBytes } from 'node:crypto';
import type { WorkerAddress } from './node-bus.js';
import type { Sealer } from './seal.js';

/** Random part of a token; nobody guesses 2^128. */
const RANDOM_BYTES = 16;
/** Tokens whose owner is remembered, so that each is opened once. */
const MAX_REMEMBERED_COUNT = 10_000;
/** A token goes into a header of every request. What does not fit is left out, and the session cannot be moved. */
const MAX_PAYLOAD_BYTES = 2_048;
/** No session is older; a client that works for longer begins a new one. */
export const MAX_SESSION_AGE_MS = 7 * 24 * 60 * 60_000;

/** What `initialize` settled. */
export interface SettledSession {
  /** Path of the endpoint. */
  readonly path: string;
  readonly principal: string;
  readonly revision: string;
  /** The client's capabilities as JSON (binary text); undefined when they were too long for a token. */
  readonly capabilities: string | undefined;
  /** Name and version of the client as JSON (binary text). */
  readonly clientInfo: string | undefined;
}

export interface TokenContent extends SettledSession {
  /** Names the session among all of all nodes. */
  readonly id: string;
  /** The worker at which it began. */
  readonly owner: WorkerAddress;
  /** From then on it means nothing; milliseconds of the clock. */
  readonly expiresAt: number;
}

/** On the wire, with names of one letter. */
interface Payload {
  readonly i: string;
  readonly o: WorkerAddress;
  readonly x: number;
  readonly e: string;
  readonly p: string;
  readonly r: string;
  readonly c?: string | undefined;
  readonly n?: string | undefined;
}

export class SessionTokens {
  private readonly owners = new Map<string, WorkerAddress>();

  constructor(
    private readonly sealer: Sealer,
    private readonly self: WorkerAddress,
  ) {}

  mint(session: SettledSession): { token: string; id: string } {
    const id = randomBytes(RANDOM_BYTES).toString('base64url');
    const least: Payload = {
      i: id,
      o: this.self,
      x: Date.now() + MAX_SESSION_AGE_MS,
      e: session.path,
      p: session.principal,
      r: session.revision,
    };
    const movable: Payload = { ...least, c: session.capabilities };
    const payload = [{ ...movable, n: session.clientInfo }, movable, least]
      .map((each) => JSON.stringify(each))
      .find((text) => text.length <= MAX_PAYLOAD_BYTES);
    const token = this.sealer.seal('session', payload ?? JSON.stringify(least));
    return { token, id };
  }

  /** What a token holds; undefined for one that was not made here or is too old. */
  open(token: string): TokenContent | undefined {
    const sealed = this.sealer.open('session', token);
    if (sealed === undefined) return undefined;
    const { i, o, x, e, p, r, c, n } = JSON.parse(sealed.toString()) as Payload;
    if (x < Date.now()) return undefined;
    return {
      id: i,
      owner: o,
      expiresAt: x,
      path: e,
      principal: p,
      revision: r,
      capabilities: c,
      clientInfo: n,
    };
  }

  /** The worker that has the session, as far as is known here; undefined for a token that was not made here. */
  owner(token: string): WorkerAddress | undefined {
    const remembered = this.owners.get(token);
    if (remembered !== undefined) return remembered;
    const owner = this.open(token)?.owner;
    if (owner !== undefined) this.remember(token, owner);
    return owner;
  }

  /** The session has moved. */
  remember(token: string, owner: WorkerAddress): void {
    if (this.owners.size >= MAX_REMEMBERED_COUNT) this.owners.clear();
    this.owners.set(token, owner);
  }
}
