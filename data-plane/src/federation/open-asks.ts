/**
 * What one upstream asks a legacy client on that client's own session, until it is answered. Where several upstreams
 * ask one client, ids and progress tokens get a prefix, because each upstream counts for itself.
 */
import { SparseMap } from '../exchange/sparse-map.js';
import { idKey, idKeyOf } from '../protocol/ids.js';
import type { Span } from '../protocol/scan.js';
import { binaryOf, replace, splice } from '../protocol/text.js';
import { type Message, rewritten } from '../protocol/translate.js';

/** Asks of one upstream that wait for the client; one more is refused. */
export const MAX_OPEN_ASK_COUNT = 256;

interface Ask {
  /** Id and progress token at the upstream (JSON text). */
  readonly id: string;
  readonly token: string | undefined;
  /** The client's request in the middle of which was asked, where that is known. */
  readonly requestId: string | undefined;
  /** That request is over: hardly anybody waits for the answer. */
  stale: boolean;
}

export class OpenAsks {
  /** By the id that the client sees. */
  private readonly asks = new SparseMap<string, Ask>();
  private count = 0;
  private generation = 0;

  /** @param prefix stands in front of ids; undefined leaves them alone. */
  constructor(private readonly prefix: string | undefined) {}

  /** The ask as the client gets it; undefined when too many are open. `onEvicted` gets the id of one that made room. */
  open(
    message: Message,
    requestId: string | undefined,
    onEvicted: (id: string) => void,
  ): Message | undefined {
    if (this.asks.size >= MAX_OPEN_ASK_COUNT && !this.evict(onEvicted)) return undefined;
    const { bytes, envelope } = message;
    const span = envelope.id as Span;
    const id = binaryOf(bytes, span);
    const token = envelope.metaProgressToken;
    const exposed = this.expose(id);
    this.asks.set(idKeyOf(exposed), {
      id,
      token: token === undefined ? undefined : binaryOf(bytes, token),
      requestId,
      stale: false,
    });
    if (exposed === id) return message;
    const edits = [replace(span, exposed)];
    if (token !== undefined) edits.push(replace(token, exposed));
    return rewritten(bytes, envelope, edits);
  }

  /** The client's answer as the upstream gets it (binary text); undefined when the upstream did not ask. */
  answer({ bytes, envelope }: Message): string | undefined {
    const span = envelope.id;
    if (span === undefined) return undefined;
    const key = idKey(bytes, span);
    const ask = this.asks.get(key);
    if (ask === undefined) return undefined;
    this.asks.delete(key);
    return splice(bytes, envelope, this.isExposedAsIs(key, ask) ? [] : [replace(span, ask.id)]);
  }

  /** The upstream does not want to know any more: its notification as the client gets it, if the client was asked. */
  cancel({ bytes, envelope }: Message, span: Span): Message | undefined {
    const id = idKey(bytes, span);
    for (const [key, ask] of this.asks) {
      if (idKeyOf(ask.id) !== id) continue;
      this.asks.delete(key);
      return rewritten(bytes, envelope, this.isExposedAsIs(key, ask) ? [] : [replace(span, key)]);
    }
    return undefined;
  }

  /** The client's progress with an ask, as the upstream gets it (binary text); undefined when it is not this upstream's. */
  progress({ bytes, envelope }: Message): string | undefined {
    const span = envelope.progressToken;
    if (span === undefined) return undefined;
    const key = idKey(bytes, span);
    const ask = this.asks.get(key);
    if (ask !== undefined && !this.isExposedAsIs(key, ask))
      return ask.token === undefined ? undefined : splice(bytes, envelope, [replace(span, ask.token)]);
    return this.prefix === undefined ? splice(bytes, envelope, []) : undefined;
  }

  /** A request of the client is over. */
  requestEnded(requestId: string): void {
    for (const ask of this.asks.values()) if (ask.requestId === requestId) ask.stale = true;
  }

  /** The upstream's session is gone, and a new one counts from the beginning: no old answer may meet a new ask. */
  renew(): void {
    this.asks.clear();
    this.generation++;
  }

  private expose(id: string): string {
    if (this.prefix === undefined && this.generation === 0) return id;
    return JSON.stringify(`${this.prefix ?? 'again/'}${++this.count}`);
  }

  private isExposedAsIs(key: string, ask: Ask): boolean {
    return key === idKeyOf(ask.id);
  }

  private evict(onEvicted: (id: string) => void): boolean {
    for (const [key, ask] of this.asks) {
      if (!ask.stale) continue;
      this.asks.delete(key);
      onEvicted(ask.id);
      return true;
    }
    return false;
  }
}
