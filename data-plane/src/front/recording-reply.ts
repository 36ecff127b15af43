/** A reply that notes what it is told, for tests of what stands in front of a listener. */
import type { Reply } from '../listener/listener.js';
import { SseDecoder } from '../protocol/sse.js';

/** An event as a client reads it. */
export interface ReadEvent {
  readonly id: string | undefined;
  /** Parsed; undefined for an event that only primes. */
  readonly message: unknown;
}

export class RecordingReply implements Reply {
  status = 0;
  headers: Readonly<Record<string, string>> = {};
  /** Everything that was sent or written. */
  body = '';
  hasEnded = false;
  private isGone = false;
  private readonly added: [string, string][] = [];
  private readonly listeners: (() => void)[] = [];

  get open(): boolean {
    return !this.hasEnded && !this.isGone;
  }

  send(status: number, headers: readonly (readonly [string, string])[], body: Uint8Array | string): void {
    if (!this.open || this.status !== 0) return;
    this.begin(status, headers);
    this.body = Buffer.from(body as string).toString();
    this.hasEnded = true;
  }

  begin(status: number, headers: readonly (readonly [string, string])[]): void {
    if (!this.open || this.status !== 0) return;
    this.status = status;
    this.headers = Object.fromEntries([...headers, ...this.added]);
  }

  write(chunk: Uint8Array | string): number {
    if (this.open && this.status !== 0) this.body += Buffer.from(chunk as string).toString();
    return 0;
  }

  addHeader(name: string, value: string): void {
    this.added.push([name, value]);
  }

  end(): void {
    if (this.status !== 0) this.hasEnded = true;
  }

  close(): void {
    this.isGone = true;
  }

  onAborted(listener: () => void): void {
    if (this.isGone) listener();
    else this.listeners.push(listener);
  }

  /** The client goes away. */
  leave(): void {
    if (!this.open) return;
    this.isGone = true;
    for (const listener of this.listeners) listener();
  }

  /** The body, parsed. */
  get json(): unknown {
    return JSON.parse(this.body);
  }

  /** The body's events. */
  get events(): ReadEvent[] {
    const events: ReadEvent[] = [];
    const decoder = new SseDecoder(
      {
        event: (data, id) => events.push({ id, message: JSON.parse(data.toString()) }),
        primed: (id) => events.push({ id, message: undefined }),
        retry() {},
      },
      1_000_000,
    );
    decoder.push(Buffer.from(this.body));
    return events;
  }
}
