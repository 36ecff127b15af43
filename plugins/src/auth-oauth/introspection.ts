/** Asks an authorization server what an opaque token stands for (RFC 7662). */
import { durationMs, type JsonObject, type MaybePromise, type PluginHost } from '@sluice/sdk';
import { LRUCache } from 'lru-cache';
import { Unavailable } from '../tokens/document.js';
import { digestOf } from '../tokens/verified.js';
import type { Introspection } from './config.js';

/** Answers that are remembered for one server. */
const MAX_ANSWER_COUNT = 10_000;
/** Tokens that are asked about at a time: whoever sends many invented ones does not bring the server down. */
const MAX_ASKED_COUNT = 64;
/** After a failure the server is left alone for so long. */
const PAUSE_MS = 1_000;
/** Claims of one answer. */
const MAX_ANSWER_BYTES = 65_536;

export interface Introspected {
  /** The claims of an active token; undefined for one that is not, for whatever reason. */
  readonly claims: JsonObject | undefined;
  /** When it has to be asked about again. */
  readonly untilMs: number;
}

export class Introspector {
  private readonly answers = new LRUCache<string, Introspected>({ max: MAX_ANSWER_COUNT });
  /** Apart from the others: invented tokens push out no good ones. */
  private readonly refusals = new LRUCache<string, Introspected>({ max: MAX_ANSWER_COUNT });
  private readonly asked = new Map<string, Promise<Introspected>>();
  private readonly ttlMs: number;
  private pausedUntilMs = Number.NEGATIVE_INFINITY;
  private failure: unknown;

  constructor(
    private readonly issuer: string,
    private readonly config: Introspection,
    private readonly host: PluginHost,
    private readonly locate: () => MaybePromise<string>,
  ) {
    this.ttlMs = durationMs(config.cache_ttl);
  }

  /** Throws {@link Unavailable} when the server does not say. */
  claimsOf(token: string): MaybePromise<Introspected> {
    const digest = digestOf(token);
    const nowMs = this.host.clock.now();
    const known = this.answers.get(digest) ?? this.refusals.get(digest);
    if (known !== undefined && nowMs < known.untilMs) return known;
    const running = this.asked.get(digest);
    if (running !== undefined) return running;
    if (nowMs < this.pausedUntilMs) throw this.unavailable(this.failure);
    if (this.asked.size >= MAX_ASKED_COUNT)
      throw this.unavailable(new Error('too many tokens are asked about'));
    const asking = this.ask(token, digest).finally(() => this.asked.delete(digest));
    this.asked.set(digest, asking);
    return asking;
  }

  private async ask(token: string, digest: string): Promise<Introspected> {
    const { clock, log } = this.host;
    try {
      const claims = await this.request(token);
      const answer = { claims, untilMs: clock.now() + this.ttlMs };
      (claims === undefined ? this.refusals : this.answers).set(digest, answer);
      return answer;
    } catch (failure) {
      this.failure = failure;
      this.pausedUntilMs = clock.now() + PAUSE_MS;
      log.warn({ err: failure }, `${this.issuer} could not be asked about a token`);
      throw this.unavailable(failure);
    }
  }

  private unavailable(cause: unknown): Unavailable {
    return new Unavailable(`${this.issuer} cannot be asked about tokens at this moment`, PAUSE_MS, cause);
  }

  private async request(token: string): Promise<JsonObject | undefined> {
    const { client_id, client_secret, client_auth } = this.config;
    const form = new URLSearchParams({ token, token_type_hint: 'access_token' });
    const headers: Record<string, string> = {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
    };
    if (client_auth === 'post') {
      form.set('client_id', client_id);
      form.set('client_secret', client_secret);
    } else headers.authorization = `Basic ${basic(client_id, client_secret)}`;
    const { status, text } = await this.host.fetch(await this.locate(), {
      method: 'POST',
      headers,
      body: form.toString(),
      maxBytes: MAX_ANSWER_BYTES,
    });
    if (status !== 200) throw new Error(`the introspection endpoint answered with status ${status}`);
    const answer = parsed(text);
    if (typeof answer?.active !== 'boolean')
      throw new Error('the introspection endpoint does not say what is active');
    return answer.active ? answer : undefined;
  }
}

/** RFC 6749, section 2.3.1: both are encoded as in a form before they are put together. */
function basic(id: string, secret: string): string {
  const encoded = [id, secret].map((each) => new URLSearchParams({ '': each }).toString().slice(1));
  return Buffer.from(encoded.join(':')).toString('base64');
}

function parsed(text: string): JsonObject | undefined {
  try {
    return JSON.parse(text) as JsonObject;
  } catch {
    // What came may repeat the token, so it stays out of the error.
    return undefined;
  }
}
