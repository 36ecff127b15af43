/**
 * Answers that the workers of all nodes keep together, in Redis. It makes no request slower than its time allows and
 * none fail: where Redis is away, or says what nobody here has said, the memory of the worker is all there is.
 *
 * Changes at upstreams are told by generations: each answer names those that it was asked for in, and counts as long
 * as they are the same.
 */
import { randomBytes } from 'node:crypto';
import type { PluginHost, UpstreamChange } from '@sluice/sdk';
import { concerned, type Subject } from './changes.js';
import { MAX_LIFETIME_MS } from './config.js';
import type { KeptAnswer } from './kept-answer.js';
import type { RedisPort } from './redis-port.js';
import type { CacheRequest } from './request-key.js';
import { AnswerSealer, type Generations, SEAL_BYTES } from './sealed-answer.js';

/** What goes wrong in a row until Redis is left alone for a while, and for how long. */
const MAX_FAILURES_IN_A_ROW_COUNT = 3;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** A generation lives longer than any answer that names it. */
const GENERATION_MS = 2 * MAX_LIFETIME_MS;
const MAX_GENERATION_BYTES = 64;
/** Changes that could not be told yet; with more, all answers of before are given up. */
const MAX_UNTOLD_COUNT = 10_000;

export interface SecondLevelOptions {
  readonly redis: RedisPort;
  readonly secret: string;
  readonly prefix: string;
  readonly maxEntryBytes: number;
}

/** What was found, and in which generations that was. */
export interface Found {
  readonly answer: KeptAnswer | undefined;
  /** Undefined where nothing can be kept there now. */
  readonly generations: Generations | undefined;
}

const NOTHING: Found = { answer: undefined, generations: undefined };

export class SecondLevel {
  private readonly sealer: AnswerSealer;
  /** Names of generations that others have not been told of; for those of resources their upstreams. */
  private readonly untold = new Map<string, string | undefined>();
  private telling: Promise<void> | undefined;
  private failureCount = 0;
  private pauseMs = FIRST_PAUSE_MS;
  private pausedUntilMs = 0;
  private isAway = false;

  constructor(
    private readonly options: SecondLevelOptions,
    private readonly host: Pick<PluginHost, 'clock' | 'log' | 'metrics'>,
  ) {
    this.sealer = new AnswerSealer(options.secret);
  }

  /**
   * Never rejects.
   *
   * @param mayBePublic false where nothing is kept for everybody.
   */
  async read(request: CacheRequest, mayBePublic: boolean, subject: Subject, asOf: number): Promise<Found> {
    const { redis } = this.options;
    if (this.isPaused || redis.isStarting) return NOTHING;
    // Until everybody can know what has changed, what lies there may be what was before.
    if (this.untold.size > 0 || this.telling !== undefined) {
      void this.tell();
      return NOTHING;
    }
    const { privateKey } = request;
    const publicKey = mayBePublic || privateKey === undefined ? request.publicKey : undefined;
    const keys = [privateKey, publicKey].filter((key) => key !== undefined);
    const names = this.generationNames(subject);
    try {
      const [sealed, generations] = await Promise.all([
        redis.read(
          keys.map((key) => this.answerName(key)),
          this.maxSealedBytes,
        ),
        this.generations(names),
      ]);
      this.worked();
      return { answer: this.opened(keys, publicKey, sealed, { generations, asOf }, subject), generations };
    } catch (thrown) {
      this.failed(thrown);
      return NOTHING;
    }
  }

  /** Nobody waits for it. */
  write(key: string, answer: KeptAnswer, generations: Generations): void {
    const forMs = Math.ceil(answer.freshUntilMs - this.host.clock.now());
    if (this.isPaused || forMs <= 0) return;
    const sealed = this.sealer.seal(key, answer, generations);
    this.options.redis.write(this.answerName(key), sealed, forMs).catch((thrown) => this.failed(thrown));
  }

  changed(change: UpstreamChange): void {
    const { upstream, kind, uri } = change;
    if (uri === undefined) {
      this.untold.set(this.listName({ kind, upstream }), undefined);
      this.untold.set(this.listName({ kind }), undefined);
    } else for (const each of concerned(uri)) this.untold.set(this.resourceName(upstream, each), upstream);
    if (this.untold.size > MAX_UNTOLD_COUNT) this.giveUp();
    void this.tell();
  }

  close(): void {
    this.options.redis.close();
  }

  private opened(
    keys: readonly string[],
    publicKey: string | undefined,
    sealed: readonly Buffer[],
    known: { readonly generations: Generations; readonly asOf: number },
    subject: Subject,
  ): KeptAnswer | undefined {
    const found = { ...known, nowMs: this.host.clock.now() };
    for (const [index, key] of keys.entries()) {
      const bytes = sealed[index];
      // One that was cut off is that of a node which keeps larger ones.
      if (bytes === undefined || bytes.length === 0 || bytes.length >= this.maxSealedBytes) continue;
      const answer = this.sealer.open(key, bytes, found, subject);
      if (answer === 'forged') this.forged();
      // What is for everybody lies where everybody looks, and only that.
      else if (answer !== undefined && answer.isPublic === (key === publicKey)) return answer;
    }
    return undefined;
  }

  /** Those of now; what never had one gets its first. */
  private async generations(names: readonly [string, ...string[]]): Promise<Generations> {
    const { redis } = this.options;
    const found = (await redis.read(names, MAX_GENERATION_BYTES)).map((each) =>
      each.length === 0 ? null : each.toString('latin1'),
    );
    // Of a resource it is enough that it has none: it lives as long as what it makes old.
    if (found[0] === null) found[0] = await redis.begin(names[0], newGeneration(), GENERATION_MS);
    return found;
  }

  /** Tells of all changes that were not told yet; until that is done nothing is read. */
  private tell(): Promise<void> {
    this.telling ??= this.tellAll().finally(() => {
      this.telling = undefined;
    });
    return this.telling;
  }

  private async tellAll(): Promise<void> {
    const { redis } = this.options;
    while (this.untold.size > 0 && !this.isPaused && !redis.isStarting) {
      const changes = [...this.untold];
      // What changes again meanwhile is told again.
      this.untold.clear();
      try {
        await Promise.all(changes.map(([name]) => redis.write(name, newGeneration(), GENERATION_MS)));
        this.worked();
      } catch (thrown) {
        for (const [name, upstream] of changes) this.untold.set(name, upstream);
        this.failed(thrown);
        return;
      }
    }
  }

  /** Instead of each resource all of its upstream. */
  private giveUp(): void {
    for (const [name, upstream] of [...this.untold]) {
      if (upstream === undefined) continue;
      this.untold.delete(name);
      this.untold.set(this.listName({ kind: 'resources', upstream }), undefined);
    }
  }

  /** A text that takes one byte for a character in memory takes up to twice that as UTF-8. */
  private get maxSealedBytes(): number {
    return 2 * this.options.maxEntryBytes + SEAL_BYTES;
  }

  private get isPaused(): boolean {
    return this.host.clock.now() < this.pausedUntilMs;
  }

  private worked(): void {
    this.failureCount = 0;
    this.pauseMs = FIRST_PAUSE_MS;
    if (!this.isAway) return;
    this.isAway = false;
    this.host.log.info({}, 'Redis is there again');
  }

  private failed(thrown: unknown): void {
    this.host.metrics.count('redis_failures_total', 'What was asked of Redis in vain.');
    if (!this.isAway) {
      this.isAway = true;
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      this.host.log.warn({ reason }, 'Redis is away; only what workers keep in memory is used');
    }
    if (++this.failureCount < MAX_FAILURES_IN_A_ROW_COUNT) return;
    this.failureCount = 0;
    this.pausedUntilMs = this.host.clock.now() + this.pauseMs;
    this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
  }

  private forged(): void {
    this.host.metrics.count('redis_forged_total', 'Answers in Redis that nobody with the key has written.');
    this.host.log.warn(
      {},
      'there is an answer in Redis that was written by nobody with the key, and it is not used',
    );
  }

  private answerName(key: string): string {
    return `${this.options.prefix}a:${this.sealer.nameOf(key)}`;
  }

  private generationNames(subject: Subject): readonly [string, ...string[]] {
    const { upstream, uri } = subject;
    const list = this.listName(subject);
    return upstream === undefined || uri === undefined ? [list] : [list, this.resourceName(upstream, uri)];
  }

  private listName({ kind, upstream }: Subject): string {
    return `${this.options.prefix}g:${kind}${upstream === undefined ? '' : `:${upstream}`}`;
  }

  private resourceName(upstream: string, uri: string): string {
    return `${this.options.prefix}u:${this.sealer.nameOf(`${upstream} ${uri}`)}`;
  }
}

function newGeneration(): Buffer {
  return Buffer.from(randomBytes(12).toString('base64url'));
}
