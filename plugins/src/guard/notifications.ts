/** Notifications of calls as texts that come in pieces: what is said in two of them is looked at as said in one. */
import type { Json, JsonObject, Notification } from '@sluice/sdk';
import { changed, type Redactor, StreamRedactor, type Visitor } from '../redaction/index.js';
import { withoutInvisible } from './invisible.js';

/** Streams of sessions that are remembered; with one more those of before are forgotten. */
const MAX_STREAM_COUNT = 1_000;
/** Larger ones cannot be gone through while others wait, and are dropped. */
const MAX_NOTIFICATION_LENGTH = 262_144;
/** Members that are no text for people, and by which notifications are told apart. */
const KEPT: ReadonlySet<string> = new Set([
  'progressToken',
  '_meta',
  'requestId',
  'taskId',
  'elicitationId',
  'uri',
  'level',
  'status',
]);

/** What these say goes on from one to the next. */
const STREAMS: ReadonlySet<string> = new Set(['notifications/progress', 'notifications/message']);

interface Streams {
  of(name: string): StreamRedactor;
}

export interface NotifiedBy {
  readonly session: string | undefined;
  readonly signal: AbortSignal;
}

export class Notifications {
  private readonly ofCalls = new WeakMap<AbortSignal, Map<string, StreamRedactor>>();
  private readonly ofSessions = new Map<string, StreamRedactor>();

  constructor(
    private readonly redactor: Redactor | undefined,
    private readonly stripsInvisible: boolean,
  ) {}

  /** Its parameters as they may go on; the same object when that is as they came. */
  passed({ method, params }: Notification, by: NotifiedBy, found: (id: string) => void): JsonObject | 'drop' {
    if (JSON.stringify(params).length > MAX_NOTIFICATION_LENGTH) return 'drop';
    const streams = this.streams(by, found);
    const { logger, progressToken } = params;
    const own = JSON.stringify(method === 'notifications/message' ? logger : progressToken);
    const isStream = STREAMS.has(method);
    const visitor = this.visitor(
      (text, name) => (isStream ? streams.of(`${method} ${own} ${name}`).feed(text) : text),
      found,
    );
    return changed(params, visitor) as JsonObject;
  }

  private visitor(text: (text: string, name: string) => string, found: (id: string) => void): Visitor {
    const { redactor, stripsInvisible } = this;
    const redaction = redactor?.visitor(found);
    return {
      text(own, name) {
        const seen = stripsInvisible ? withoutInvisible(own) : own;
        // What is whole by itself needs no stream to be found, nor what is encoded.
        return redaction === undefined ? seen : text(redaction.text(seen, name), name);
      },
      ...(redaction !== undefined && {
        name: redaction.name,
        number: redaction.number as (number: number) => Json,
      }),
      isKept: (name) => KEPT.has(name),
    };
  }

  /** A call has streams of its own, and a session where calls are not told apart; no two callers share one. */
  private streams({ session, signal }: NotifiedBy, found: (id: string) => void): Streams {
    const make = () => new StreamRedactor(this.redactor as Redactor, found);
    if (session === undefined) {
      const own = this.ofCalls.get(signal) ?? new Map<string, StreamRedactor>();
      this.ofCalls.set(signal, own);
      return { of: (name) => keptIn(own, name, make) };
    }
    return { of: (name) => keptIn(this.ofSessions, `${session} ${name}`, make) };
  }

  /** Forgets what was said in a session. */
  forget(session: string): void {
    for (const name of this.ofSessions.keys())
      if (name.startsWith(`${session} `)) this.ofSessions.delete(name);
  }
}

function keptIn(all: Map<string, StreamRedactor>, name: string, make: () => StreamRedactor): StreamRedactor {
  const known = all.get(name);
  if (known !== undefined) return known;
  if (all.size >= MAX_STREAM_COUNT) all.delete(all.keys().next().value as string);
  const made = make();
  all.set(name, made);
  return made;
}
