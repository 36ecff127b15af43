/**
 * What an upstream tells outside of calls, heard once and told to many: changes of its lists and of resources that
 * somebody watches. One subscription for each upstream, in whatever era it speaks.
 */
import type { Logger } from 'pino';
import type { Envelope } from '../protocol/scan.js';
import { stringOf } from '../protocol/text.js';
import type { Message } from '../protocol/translate.js';
import type { Upstream } from './upstream.js';

/** Wait before a broken subscription is opened again, doubled up to the maximum. */
const REOPEN_MIN_MS = 500;
const REOPEN_MAX_MS = 30_000;

export type Listener = (upstream: Upstream, message: Message) => void;

export class UpstreamSubscriptions {
  private readonly listeners = new Set<Listener>();
  private readonly watched = new Map<string, number>();
  private generation = 0;
  private attempts = 0;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly upstream: Upstream,
    private readonly log: Logger,
  ) {}

  on(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A notification that came on the upstream's own way (legacy), or on the subscription (modern). */
  heard(bytes: Buffer, envelope: Envelope): void {
    const message = { bytes, envelope };
    for (const listener of this.listeners) listener(this.upstream, message);
  }

  /** Begins to listen once the upstream has been reached; called again after it was reached anew. */
  start(): void {
    if (this.stopped) return;
    if (this.upstream.era === 'legacy') {
      this.upstream.listen();
      for (const uri of this.watched.keys()) this.subscribeLegacy(uri);
    } else if (this.upstream.era === 'modern') this.openModern();
  }

  /** One more wants to hear of a resource. */
  watch(uri: string): void {
    const count = this.watched.get(uri) ?? 0;
    this.watched.set(uri, count + 1);
    if (count > 0) return;
    if (this.upstream.era === 'legacy') this.subscribeLegacy(uri);
    else this.openModern();
  }

  unwatch(uri: string): void {
    const count = this.watched.get(uri) ?? 0;
    if (count > 1) {
      this.watched.set(uri, count - 1);
      return;
    }
    this.watched.delete(uri);
    if (this.upstream.era === 'legacy') {
      this.upstream.ask('resources/unsubscribe', { uri }).catch(() => undefined);
    } else this.openModern();
  }

  stop(): void {
    this.stopped = true;
    this.generation++;
    clearTimeout(this.timer);
    this.listeners.clear();
  }

  private subscribeLegacy(uri: string): void {
    this.upstream.ask('resources/subscribe', { uri }).catch((thrown: unknown) => {
      this.log.warn(
        { upstream: this.upstream.name, uri, err: thrown },
        'upstream refused a resource subscription',
      );
    });
  }

  /** One stream that names everything that is wanted; a newer one takes over from an older one. */
  private openModern(): void {
    if (this.stopped || this.upstream.era !== 'modern') return;
    clearTimeout(this.timer);
    const filter = this.filter();
    const generation = ++this.generation;
    if (Object.keys(filter).length === 0) return;
    const again = () => {
      if (generation !== this.generation || this.stopped) return;
      const wait = Math.min(REOPEN_MIN_MS * 2 ** this.attempts++, REOPEN_MAX_MS);
      this.timer = setTimeout(() => this.openModern(), wait);
      this.timer.unref();
    };
    this.upstream
      .ask('subscriptions/listen', { notifications: filter }, (bytes, envelope) => {
        if (generation !== this.generation) return;
        this.attempts = 0;
        if (envelope.method !== 'notifications/subscriptions/acknowledged') this.heard(bytes, envelope);
      })
      .then((reply) => {
        // An upstream that does not know the method offers no changes; that will not get better.
        if (reply.envelope.error === undefined) again();
      }, again);
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

/** The resource that `notifications/resources/updated` names. */
export function updatedUri({ bytes, envelope }: Message): string | undefined {
  return envelope.method === 'notifications/resources/updated' ? stringOf(bytes, envelope.uri) : undefined;
}
