import { describe, expect, it } from 'vitest';
import { RecordingReply } from '../recording-reply.js';
import { Answer, type AnswerOptions } from './answer.js';
import type { EventStream } from './stream.js';

function answering(options: Partial<AnswerOptions> = {}) {
  const reply = new RecordingReply();
  const streams: EventStream[] = [];
  const ends: number[] = [];
  const answer = new Answer(reply, {
    streamId: 'p1',
    limits: { replayMessageCount: 10, replayBytes: 10_000 },
    primes: false,
    mayStream: true,
    responseCount: 1,
    batch: false,
    onStream: (stream) => streams.push(stream),
    onEnd: () => ends.push(1),
    ...options,
  });
  return { reply, answer, streams, ends };
}

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
const messages = (reply: RecordingReply) => reply.events.map(({ message }) => message);

describe('one request', () => {
  it('is answered with JSON when nothing else comes', () => {
    const { reply, answer, streams, ends } = answering();
    answer.response(bytes({ id: 1 }));
    expect([reply.status, reply.headers, reply.json]).toEqual([
      200,
      { 'content-type': 'application/json' },
      { id: 1 },
    ]);
    expect([answer.ended, streams, ends]).toEqual([true, [], [1]]);
  });

  it('is answered with a stream from the first message on, which ends with the response', () => {
    const { reply, answer, streams } = answering();
    expect(answer.message(bytes({ n: 1 }))).toBe(true);
    expect(streams).toHaveLength(1);
    answer.response(bytes({ id: 1 }));
    expect(messages(reply)).toEqual([{ n: 1 }, { id: 1 }]);
    expect([reply.hasEnded, streams[0]?.hasEnded]).toEqual([true, true]);
  });

  it('has no place for a message where the client takes no stream, or is gone, or has its answer', () => {
    const json = answering({ mayStream: false });
    expect(json.answer.message(bytes({ n: 1 }))).toBe(false);
    json.answer.response(bytes({ id: 1 }));
    expect(json.reply.json).toEqual({ id: 1 });
    const gone = answering();
    gone.reply.leave();
    expect(gone.answer.message(bytes({ n: 1 }))).toBe(false);
    const ended = answering();
    ended.answer.response(bytes({ id: 1 }));
    expect(ended.answer.message(bytes({ n: 1 }))).toBe(false);
  });

  it('whose stream broke is told the rest when it is resumed', () => {
    const { reply, answer, streams } = answering();
    answer.message(bytes({ n: 1 }));
    reply.leave();
    expect(answer.message(bytes({ n: 2 }))).toBe(true);
    answer.response(bytes({ id: 1 }));
    const resumed = new RecordingReply();
    streams[0]?.attach(resumed, 1, false);
    expect([messages(resumed), resumed.hasEnded]).toEqual([[{ n: 2 }, { id: 1 }], true]);
  });

  it('that takes long gets a stream, primed where the client knows that', () => {
    const { reply, answer } = answering({ primes: true });
    answer.keepAlive(1_000, 5_000, 0);
    expect(reply.status).toBe(0);
    answer.keepAlive(5_000, 5_000, 0);
    expect([reply.status, reply.events]).toEqual([200, [{ id: 'p1_0', message: undefined }]]);
    const json = answering({ mayStream: false });
    json.answer.keepAlive(5_000, 5_000, 0);
    expect(json.reply.status).toBe(0);
  });

  it('has one response', () => {
    const { reply, answer, ends } = answering();
    answer.response(bytes({ id: 1 }));
    answer.response(bytes({ id: 2 }));
    expect([reply.json, ends]).toEqual([{ id: 1 }, [1]]);
  });
});

describe('a batch', () => {
  it('is answered with all its responses as one array', () => {
    const { reply, answer, ends } = answering({ responseCount: 2, batch: true });
    answer.response(bytes({ id: 1 }));
    expect([reply.status, ends]).toEqual([0, []]);
    answer.response(bytes({ id: 2 }));
    expect([reply.json, ends]).toEqual([[{ id: 1 }, { id: 2 }], [1]]);
  });

  it('of one request is answered with an array too', () => {
    const { reply, answer } = answering({ batch: true });
    answer.response(bytes({ id: 1 }));
    expect(reply.json).toEqual([{ id: 1 }]);
  });

  it('that becomes a stream tells first the responses that were there', () => {
    const { reply, answer } = answering({ responseCount: 3, batch: true });
    answer.response(bytes({ id: 1 }));
    answer.message(bytes({ n: 1 }));
    answer.response(bytes({ id: 2 }));
    expect(reply.hasEnded).toBe(false);
    answer.response(bytes({ id: 3 }));
    expect(messages(reply)).toEqual([{ id: 1 }, { n: 1 }, { id: 2 }, { id: 3 }]);
    expect(reply.hasEnded).toBe(true);
  });
});
