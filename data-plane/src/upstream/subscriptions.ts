/**
 * What an upstream tells outside of calls, heard once and told to many: changes of its lists and of resources that
 * somebody watches. One subscription for each upstream, in whatever era it speaks; where an upstream may tell one
 * principal what it does not tell another, one for each of them.
 */
import type { Logger } from 'pino';
import { Cancellation } from '../exchange/exchange.js';
import { rethrowLater } from '../exchange/rethrow-later.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { type Envelope, scanMessage } from '../protocol/scan.js';
import { parsed, stringOf } from '../protocol/text.js';
import type { Message } from '../protocol/translate.js';
import { resultOf } from './own-request.js';
import type { Upstream } from './upstream.js';

/** Wait before a broken subscription is opened again, doubled up to the maximum. */
const REOPEN_MIN_MS = 500;
const REOPEN_MAX_MS = 30_000;

/** What is needed of the upstream, or of one principal's connection to it. */
export type SubscribedUpstream = Pick<Upstream, 'name' | 'era' | 'facts' | 'listen' | 'ask'>;

export type Listener = (message: Message) => void;

/** Why an upstream will not tell of a resource; undefined when it will. */
export type Refusal = RpcError | undefined;

interface Watch {
  count: number;
  answer: Promise<Refusal>;
}

export class UpstreamSubscriptions {
  private readonly listeners = new Set<Listener>();
  private readonly watched = new Map<string, Watch>();
  /** The stream that a modern upstream has acknowledged, and the one that is to take over from it. */
  private current: Stream | undefined;
  private next: Stream | undefined;
  private reopening: Promise<Acknowledged> | undefined;
  private interrupted = false;
  private attempts = 0;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly upstream: SubscribedUpstream,
    private readonly log: Logger,
    /** Called when changes may have been missed. */
    private readonly onGap: () => void,
  ) {}

  on(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A notification that came on the upstream's own way (legacy), or on the subscription (modern). */
  heard(bytes: Buffer, envelope: Envelope): void {
    const message = { bytes, envelope };
    for (const listener of [...this.listeners]) {
      try {
        listener(message);
      } catch (thrown) {
        rethrowLater(thrown);
      }
    }
  }

  /** Begins to listen once the upstream has been reached; called again after it was reached anew. */
  start(): void {
    if (this.stopped) return;
    if (this.upstream.era === 'modern') {
      void this.reopen();
      return;
    }
    this.endStreams();
    if (this.upstream.era !== 'legacy') return;
    this.upstream.listen();
    for (const [uri, watch] of this.watched) {
      watch.answer = this.subscribeLegacy(uri);
      void watch.answer.then((refusal) => {
        // It may have changed while nobody listened.
        if (refusal === undefined) this.tellUpdated(uri);
        else
          this.log.warn(
            { upstream: this.upstream.name, uri, reason: refusal.message },
            'upstream does not take a resource subscription again',
          );
      });
    }
  }

  /** One more wants to hear of a resource. Resolves when the upstream has answered, or cannot be asked. */
  watch(uri: string): Promise<Refusal> {
    const watch = this.watched.get(uri);
    if (watch !== undefined) {
      watch.count++;
      return watch.answer;
    }
    const answer =
      this.upstream.era === 'legacy'
        ? this.subscribeLegacy(uri)
        : this.reopen().then((uris) =>
            uris.has(uri)
              ? undefined
              : new RpcError(
                  ErrorCode.InvalidParams,
                  `upstream ${JSON.stringify(this.upstream.name)} does not tell of changes of ${uri.slice(0, 200)}`,
                ),
          );
    this.watched.set(uri, { count: 1, answer });
    return answer;
  }

  unwatch(uri: string): void {
    const watch = this.watched.get(uri);
    if (watch === undefined || --watch.count > 0) return;
    this.watched.delete(uri);
    if (this.stopped) return;
    if (this.upstream.era === 'legacy')
      this.upstream.ask('resources/unsubscribe', { uri }).catch(() => undefined);
    else void this.reopen();
  }

  /**
   * Whether an update concerns who watches these resources. It may name a part of what is watched (2025-11-25,
   * server/resources, "Subscriptions"), and only the upstream knows what is a part of what; but what somebody else
   * watches by this very name is theirs.
   */
  concerns(updated: string, uris: readonly string[]): boolean {
    return uris.some((uri) => isPartOf(updated, uri)) || (uris.length > 0 && !this.watched.has(updated));
  }

  /** True while somebody watches a resource. */
  get isWatching(): boolean {
    return this.watched.size > 0;
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.endStreams();
    this.listeners.clear();
  }

  private tellUpdated(uri: string): void {
    const { bytes, envelope } = resourceUpdated(uri);
    this.heard(bytes, envelope);
  }

  private subscribeLegacy(uri: string): Promise<Refusal> {
    return this.upstream.ask('resources/subscribe', { uri }).then(
      (reply) => {
        if (reply.envelope.error === undefined) return undefined;
        try {
          resultOf(reply);
        } catch (thrown) {
          return RpcError.from(thrown);
        }
        return undefined;
      },
      (thrown: unknown) => RpcError.from(thrown),
    );
  }

  /** Soon, so that a thousand changes of what is wanted make one stream and not a thousand. */
  private reopen(): Promise<Acknowledged> {
    this.reopening ??= new Promise((resolve) => {
      setImmediate(() => {
        this.reopening = undefined;
        resolve(this.openStream());
      });
    });
    return this.reopening;
  }

  /** One stream that names everything that is wanted; it takes over from an older one when it is acknowledged. */
  private openStream(): Promise<Acknowledged> {
    clearTimeout(this.timer);
    const before = this.next;
    this.next = undefined;
    const filter = this.filter();
    if (this.stopped || this.upstream.era !== 'modern' || Object.keys(filter).length === 0) {
      before?.end();
      this.endStreams();
      return Promise.resolve(NOTHING);
    }
    const stream = new Stream();
    this.next = stream;
    // Whoever waits for the one that never took over waits for this one, which names the same and more.
    before?.acknowledge(stream.acknowledged);
    before?.end();
    this.upstream
      .ask(
        'subscriptions/listen',
        { notifications: filter },
        (bytes, envelope) => this.onStream(stream, bytes, envelope),
        stream.cancellation,
      )
      .then(
        // An upstream that does not know the method offers no changes; that will not get better.
        (reply) => this.streamEnded(stream, reply.envelope.error === undefined),
        () => this.streamEnded(stream, true),
      );
    return stream.acknowledged;
  }

  private onStream(stream: Stream, bytes: Buffer, envelope: Envelope): void {
    if (stream.ended) return;
    if (envelope.method !== 'notifications/subscriptions/acknowledged') {
      this.attempts = 0;
      this.heard(bytes, envelope);
      return;
    }
    stream.acknowledge(acknowledgedUris(bytes, envelope));
    if (stream !== this.next) return;
    this.next = undefined;
    this.current?.end();
    this.current = stream;
    if (!this.interrupted) return;
    this.interrupted = false;
    this.onGap();
    for (const uri of this.watched.keys()) this.tellUpdated(uri);
  }

  private streamEnded(stream: Stream, again: boolean): void {
    stream.acknowledge(NOTHING);
    if (stream === this.next) this.next = undefined;
    else if (stream === this.current) this.current = undefined;
    else return;
    if (!again || this.stopped || this.next !== undefined) return;
    this.interrupted = true;
    if (Date.now() - stream.openedAt > REOPEN_MAX_MS) this.attempts = 0;
    const wait = Math.min(REOPEN_MIN_MS * 2 ** this.attempts++, REOPEN_MAX_MS);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.openStream(), wait);
    this.timer.unref();
  }

  private endStreams(): void {
    const { current, next } = this;
    this.current = undefined;
    this.next = undefined;
    current?.end();
    next?.end();
  }

  private filter(): Record<string, unknown> {
    const capabilities = this.upstream.facts?.capabilities ?? {};
    const filter: Record<string, unknown> = {};
    for (const kind of ['tools', 'prompts', 'resources'] as const) {
      const capability = capabilities[kind] as { listChanged?: unknown } | undefined;
      if (capability?.listChanged === true) filter[`${kind}ListChanged`] = true;
    }
    if (this.watched.size > 0) filter.resourceSubscriptions = [...this.watched.keys()];
    return filter;
  }
}

/** The URIs that a modern upstream agreed to tell of. */
type Acknowledged = ReadonlySet<string>;

const NOTHING: Acknowledged = new Set();

/** One `subscriptions/listen` at a modern upstream. */
class Stream {
  readonly cancellation = new Cancellation();
  readonly openedAt = Date.now();
  readonly acknowledged: Promise<Acknowledged>;
  /** The first call counts. */
  readonly acknowledge: (uris: Acknowledged | Promise<Acknowledged>) => void;

  constructor() {
    let resolveWith: typeof this.acknowledge = () => {};
    this.acknowledged = new Promise((resolve) => {
      resolveWith = resolve;
    });
    this.acknowledge = resolveWith;
  }

  get ended(): boolean {
    return this.cancellation.cancelled;
  }

  /** Closes it at the upstream as well. */
  end(): void {
    this.cancellation.cancel();
  }
}

function acknowledgedUris(bytes: Buffer, { params }: Envelope): Acknowledged {
  const { notifications } = (params === undefined ? {} : parsed(bytes, params)) as {
    notifications?: { resourceSubscriptions?: unknown } | null;
  };
  const uris = notifications?.resourceSubscriptions;
  return new Set(Array.isArray(uris) ? uris.filter((uri) => typeof uri === 'string') : []);
}

function isPartOf(uri: string, whole: string): boolean {
  return (
    uri.startsWith(whole) &&
    (uri === whole || whole.endsWith('/') || '/?#'.includes(uri.charAt(whole.length)))
  );
}

export function resourceUpdated(uri: string): Message {
  const params = { uri };
  const bytes = Buffer.from(
    JSON.stringify({ jsonrpc: '2.0', method: 'notifications/resources/updated', params }),
  );
  return { bytes, envelope: scanMessage(bytes) };
}

/** The resource that `notifications/resources/updated` names. */
export function updatedUri({ bytes, envelope }: Message): string | undefined {
  return envelope.method === 'notifications/resources/updated' ? stringOf(bytes, envelope.uri) : undefined;
}
