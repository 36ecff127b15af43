/**
 * A JSON document of an issuer (its key set, its metadata), fetched when it is needed and kept: renewed beside the
 * calls that use it, once for all that wait, with a back-off, and the last good one while the issuer is away.
 */
import type { JsonObject, PluginHost } from '@sluice/sdk';

/** From this age on it is renewed. */
const FRESH_MS = 600_000;
/** From this age on callers wait for the renewal: nobody called for a while, and much may have changed. */
const IDLE_MS = 2 * FRESH_MS;
/** How long the last good one counts while no other can be had. */
const LAST_GOOD_MS = 24 * 3_600_000;
/** Between two renewals that tokens with unknown keys ask for: whoever sends them does not steer our requests. */
const RENEWAL_PAUSE_MS = 10_000;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;

/** There is none, and none can be had at this moment. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';

  constructor(
    message: string,
    readonly retryAfterMs: number,
    cause: unknown,
  ) {
    super(message, { cause });
  }
}

export class RemoteDocument<T> {
  private last: { readonly value: T; readonly atMs: number } | undefined;
  private running: Promise<void> | undefined;
  private triedAtMs = Number.NEGATIVE_INFINITY;
  private failureCount = 0;
  private failure: unknown;

  /** @param what names it in messages: `the keys of https://issuer.example.com` */
  constructor(
    private readonly what: string,
    private readonly host: PluginHost,
    private readonly load: (last: T | undefined) => Promise<T>,
  ) {}

  /** The document as it is known, without waiting; undefined when there is none. Begins a renewal when one is due. */
  known(): T | undefined {
    const { last, ageMs } = this;
    if (ageMs >= FRESH_MS && !this.isBackingOff) void this.renewal();
    return ageMs < LAST_GOOD_MS ? last?.value : undefined;
  }

  /** The document. Throws {@link Unavailable}. */
  async get(): Promise<T> {
    if (!this.isBackingOff && (this.ageMs >= LAST_GOOD_MS || this.isOverdue)) await this.renewal();
    const value = this.known();
    if (value !== undefined) return value;
    throw this.unavailable();
  }

  /**
   * True when nobody called for a while, so that it is to be waited for. While the issuer fails, callers who can go on
   * with the last good one do not wait for its timeouts.
   */
  get isOverdue(): boolean {
    return this.failureCount === 0 && this.ageMs >= IDLE_MS;
  }

  /** Throws {@link Unavailable} while the issuer fails. */
  assertReachable(): void {
    if (this.failureCount > 0) throw this.unavailable();
  }

  private unavailable(): Unavailable {
    const inMs = Math.max(1_000, this.triedAtMs + this.backoffMs - this.host.clock.now());
    return new Unavailable(`${this.what} cannot be had at this moment`, inMs, this.failure);
  }

  /** The document as it is now, for a caller who misses something in it; the known one where that was just asked. */
  async renewed(): Promise<T> {
    const isPaused = this.host.clock.now() - this.triedAtMs < RENEWAL_PAUSE_MS;
    if (this.running !== undefined || !(isPaused || this.isBackingOff)) await this.renewal();
    return this.get();
  }

  private get ageMs(): number {
    return this.last === undefined ? Number.POSITIVE_INFINITY : this.host.clock.now() - this.last.atMs;
  }

  private get backoffMs(): number {
    return this.failureCount === 0
      ? 0
      : Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (this.failureCount - 1));
  }

  private get isBackingOff(): boolean {
    return this.host.clock.now() < this.triedAtMs + this.backoffMs;
  }

  /** One at a time. Never rejects. */
  private renewal(): Promise<void> {
    this.running ??= this.renew().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async renew(): Promise<void> {
    const { host, what } = this;
    try {
      const value = await this.load(this.last?.value);
      this.last = { value, atMs: host.clock.now() };
      this.failureCount = 0;
      this.failure = undefined;
    } catch (failure) {
      this.failureCount += 1;
      this.failure = failure;
      const inUse = this.last === undefined ? 'there is none' : 'the last good one stays in use';
      host.log.warn({ err: failure }, `${what} could not be fetched; ${inUse}`);
      host.metrics.count('issuer_failures_total', 'Documents of issuers that could not be fetched.');
    }
    this.triedAtMs = host.clock.now();
  }
}

/** Fetches a JSON object. Throws an Error that says what came instead. */
export async function fetchObject(host: PluginHost, url: string): Promise<JsonObject> {
  const { status, text } = await host.fetch(url, { headers: { accept: 'application/json' } });
  if (status !== 200) throw new Error(`${url} answered with status ${status}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${url} answered with something that is no JSON`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${url} answered with JSON that is no object`);
  return value as JsonObject;
}
