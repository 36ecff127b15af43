/**
 * A request whose call another worker has parked goes there as the POST that it would have been over HTTP, and what
 * is answered comes back as messages.
 */
import type { Cancellable } from '../../exchange/exchange.js';
import type { Reply, RequestHead } from '../../listener/listener.js';
import { MODERN_REVISION } from '../../protocol/revisions.js';
import { type Envelope, scanMessage } from '../../protocol/scan.js';
import { SseDecoder, type SseEvents } from '../../protocol/sse.js';
import { stringOf } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import { encodeHeaderValue } from '../../routing/param-headers.js';
import type { Beginning } from './connection.js';

/** The other worker's listener would not have taken more, and neither do the servers' limits let more through. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/** Who waits for the answer. */
export interface AnswerReader {
  notification(message: Buffer): void;
  /** Called once; `envelope` undefined when the other worker went away before it answered. */
  response(message: Buffer, envelope: Envelope | undefined): void;
}

/** The head of a POST with this message. */
export function headOf(
  path: string,
  { bytes, envelope }: Message,
  { headers, principal, admission }: Beginning,
): RequestHead {
  const own: Record<string, string | undefined> = Object.assign(Object.create(null), headers);
  own['content-type'] = 'application/json';
  own.accept = 'application/json, text/event-stream';
  own['mcp-protocol-version'] = MODERN_REVISION;
  own['mcp-method'] = envelope.method;
  const name = stringOf(bytes, envelope.name ?? envelope.uri);
  if (name !== undefined) own['mcp-name'] = encodeHeaderValue(name);
  return {
    method: 'POST',
    path,
    query: '',
    headers: own,
    repeated: undefined,
    remoteAddress: '',
    principal,
    admission,
  };
}

/** The reply to such a POST. */
export class HandedOver implements Reply, SseEvents, Cancellable {
  private over = false;
  private decoder: SseDecoder | undefined;
  private readonly listeners: (() => void)[] = [];

  constructor(private readonly reader: AnswerReader) {}

  get open(): boolean {
    return !this.over;
  }

  send(_status: number, _headers: readonly (readonly [string, string])[], body: Uint8Array | string): void {
    if (this.over) return;
    const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : Buffer.from(body);
    this.finish(bytes, scanMessage(bytes));
  }

  begin(): void {
    this.decoder = new SseDecoder(this, MAX_MESSAGE_BYTES);
  }

  write(chunk: Uint8Array | string): number {
    if (!this.over) this.decoder?.push(typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk));
    return 0;
  }

  /** There is no head to put it into. */
  addHeader(): void {}

  end(): void {
    if (!this.over) this.finish(Buffer.alloc(0), undefined);
  }

  close(): void {
    this.end();
  }

  onAborted(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** The client wants nothing of it any more. */
  cancel(): void {
    if (this.over) return;
    this.over = true;
    for (const listener of this.listeners) listener();
  }

  event(data: Buffer): void {
    if (this.over) return;
    const envelope = scanMessage(data);
    if (envelope.kind === 'notification') this.reader.notification(data);
    else this.finish(data, envelope);
  }

  retry(): void {
    // Streams of modern requests are not resumed.
  }

  primed(): void {
    // See above.
  }

  private finish(message: Buffer, envelope: Envelope | undefined): void {
    this.over = true;
    this.reader.response(message, envelope);
  }
}
