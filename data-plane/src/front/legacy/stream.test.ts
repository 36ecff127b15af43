import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordingReply } from '../recording-reply.js';
import { EventStream, readEventId } from './stream.js';

const WIDE = { replayMessageCount: 100, replayBytes: 1_000_000 };
const message = (n: number) => Buffer.from(JSON.stringify({ n }));
const numbers = (reply: RecordingReply) => reply.events.map((event) => (event.message as { n: number }).n);

function attached(stream: EventStream, fromSeq = 0, primes = false): RecordingReply {
  const reply = new RecordingReply();
  stream.attach(reply, fromSeq, primes);
  return reply;
}

describe('a stream', () => {
  it('tells what came before somebody listened, and then what comes', () => {
    const stream = new EventStream('g', WIDE);
    stream.send(message(1));
    const reply = attached(stream);
    stream.send(message(2));
    expect([reply.status, reply.headers['content-type']]).toEqual([200, 'text/event-stream']);
    expect(reply.events).toEqual([
      { id: 'g_1', message: { n: 1 } },
      { id: 'g_2', message: { n: 2 } },
    ]);
  });

  it('primes with the id from which it goes on', () => {
    expect(attached(new EventStream('p1', WIDE), 0, true).events).toEqual([
      { id: 'p1_0', message: undefined },
    ]);
  });

  it('moves to a new connection and ends the old one', () => {
    const stream = new EventStream('g', WIDE);
    const first = attached(stream);
    stream.send(message(1));
    const second = attached(stream, 1);
    stream.send(message(2));
    expect([numbers(first), first.hasEnded, numbers(second), second.open]).toEqual([[1], true, [2], true]);
  });

  it('that has ended tells its rest and ends the connection', () => {
    const stream = new EventStream('p1', WIDE);
    const first = attached(stream);
    stream.send(message(1));
    first.leave();
    stream.send(message(2));
    stream.end(1_234);
    stream.send(message(3));
    const resumed = attached(stream, 1);
    expect([numbers(resumed), resumed.hasEnded, stream.hasEnded, stream.endedAt]).toEqual([
      [2],
      true,
      true,
      1_234,
    ]);
  });

  it('knows whether somebody listens', () => {
    const stream = new EventStream('g', WIDE);
    expect(stream.attached).toBe(false);
    const reply = attached(stream);
    expect(stream.attached).toBe(true);
    reply.leave();
    expect(stream.attached).toBe(false);
  });

  it('says nothing on an idle connection but a comment, each interval', () => {
    const stream = new EventStream('g', WIDE);
    const reply = attached(stream);
    const begun = Date.now();
    stream.keepAlive(begun + 500, 1_000);
    expect(reply.body).toBe('');
    stream.keepAlive(begun + 2_000, 1_000);
    stream.keepAlive(begun + 2_500, 1_000);
    expect(reply.body).toBe(': keep-alive\n\n');
    stream.keepAlive(begun + 3_000, 1_000);
    expect(reply.body).toBe(': keep-alive\n\n'.repeat(2));
  });
});

/** What happens to a stream and its client. */
const step = fc.oneof(
  { weight: 5, arbitrary: fc.constant('send' as const) },
  // The connection breaks, and of what was written to it the client has read only a part.
  { weight: 2, arbitrary: fc.record({ readShare: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  { weight: 2, arbitrary: fc.constant('resume' as const) },
);

describe('resuming', () => {
  it('tells every message exactly once and in order, or refuses because one is not kept any more', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), (steps, kept) => {
        const stream = new EventStream('p1', { ...WIDE, replayMessageCount: kept });
        let sent = 0;
        let read: number[] = [];
        let reply: RecordingReply | undefined = attached(stream);
        const hangUp = (readShare: number) => {
          if (reply === undefined) return;
          const written = numbers(reply);
          read = read.concat(written.slice(0, Math.round(written.length * readShare)));
          reply.leave();
          reply = undefined;
        };
        const resume = () => {
          const from = readEventId(`p1_${read.at(-1) ?? 0}`)?.seq as number;
          const isKept = sent - from <= kept;
          expect(stream.canResume(from)).toBe(isKept);
          if (isKept) reply = attached(stream, from);
          return isKept;
        };
        for (const each of steps) {
          if (each === 'send') stream.send(message(++sent));
          else if (each !== 'resume') hangUp(each.readShare);
          else if (reply === undefined && !resume()) return;
        }
        hangUp(1);
        if (!resume()) return;
        hangUp(1);
        expect(read).toEqual(Array.from({ length: sent }, (_, i) => i + 1));
      }),
      { numRuns: 1_000 },
    );
  });

  it('is bounded in bytes too', () => {
    const stream = new EventStream('g', { replayMessageCount: 100, replayBytes: 3_000 });
    const large = Buffer.from(JSON.stringify({ n: 'a'.repeat(900) }));
    for (let i = 0; i < 5; i++) stream.send(large);
    expect([1, 2, 3, 4, 5, 6].map((seq) => stream.canResume(seq))).toEqual([
      false,
      true,
      true,
      true,
      true,
      false,
    ]);
    expect(attached(stream, 2).events).toHaveLength(3);
  });

  it('is not possible over a message that is larger than all that is kept', () => {
    const stream = new EventStream('g', { replayMessageCount: 100, replayBytes: 100 });
    const reply = attached(stream);
    stream.send(message(1));
    stream.send(Buffer.from(JSON.stringify({ n: 'a'.repeat(200) })));
    stream.send(message(3));
    expect(reply.events).toHaveLength(3);
    expect([0, 1, 2, 3].map((seq) => stream.canResume(seq))).toEqual([false, false, true, true]);
  });
});

describe('event ids', () => {
  it('are read back', () => {
    expect(readEventId('g_0')).toEqual({ streamId: 'g', seq: 0 });
    expect(readEventId('p12_345')).toEqual({ streamId: 'p12', seq: 345 });
  });

  it.each(['', 'g', 'g_', '_1', 'g_-1', 'g_1.5', 'g_1 ', 'G_1', 'g_1_2', `g_${'1'.repeat(16)}`, 'g_1\n'])(
    '%j is none',
    (text) => {
      expect(readEventId(text)).toBeUndefined();
    },
  );
});
