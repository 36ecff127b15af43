/** What following a configuration needs of the world: whom to ask, how to hear, and what time it is. */
import type { ConnectRequest, ConnectResponse, PullRequest, PullResponse } from '@sluice/proto/cluster';

/** The control planes. */
export interface DeliveryTransport {
  /** Asks one of them. What is thrown says why there is no answer. */
  pull(request: PullRequest): AsyncIterable<PullResponse>;
  /** Opens a standing stream to one of them; the next call goes to another one. */
  connect(hears: StandingEvents): Standing;
  /** Resolves when what was said has left, or cannot. */
  close(): Promise<void>;
}

export interface StandingEvents {
  heard(response: ConnectResponse): void;
  /** It is over, told once: nothing is heard any more. Not called after `close`. */
  ended(reason: string): void;
}

export interface Standing {
  /** Where it leads, for the log. */
  readonly address: string;
  say(request: ConnectRequest): void;
  close(): void;
}

/** NATS, as far as it brings announcements and takes what nodes say. */
export interface AnnouncementBus {
  /** It can be heard and spoken to now. */
  readonly isUp: boolean;
  /** Called when that changes. */
  onChange(listener: (isUp: boolean) => void): void;
  /** Resolves with how to end it, when everything that is published from now on is heard. */
  subscribe(subject: string, heard: (bytes: Uint8Array) => void): Promise<() => void>;
  publish(subject: string, bytes: Uint8Array): void;
}

export interface Timing {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Calls back once after a time; returns how to prevent it. */
  after(ms: number, what: () => void): () => void;
  /** From 0 to below 1. */
  random(): number;
  /** Runs long work, letting others run in between. */
  run<T>(work: Generator<void, T, void>): Promise<T>;
}

export interface FollowerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
