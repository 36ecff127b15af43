/** What a stream of an upstream needs to be taken up again where it broke (2025-11-25, basic/transports, "Resumability"). */

/** Wait before a broken stream is opened again, when the server did not say. */
export const RECONNECT_MIN_MS = 500;
/** A `retry` that is shorter would keep both sides busy with nothing else, one that is longer is not believed. */
const MIN_RETRY_MS = 100;
const MAX_RETRY_MS = 60_000;
/** An event id is sent back in a header; a longer one is not. */
const EVENT_ID = /^[\x20-\x7e]{1,1024}$/;

/** The header line that says from where to go on; undefined when an id cannot stand in one. */
export function resumptionLine(lastEventId: string): string | undefined {
  return EVENT_ID.test(lastEventId) ? `last-event-id: ${lastEventId}\r\n` : undefined;
}

/** A server's `retry` as the wait that is kept, in milliseconds. */
export function believable(retryMs: number): number {
  return Math.min(Math.max(retryMs, MIN_RETRY_MS), MAX_RETRY_MS);
}
