import { describe, expect, it } from 'vitest';
import { ofRequests } from '../sessions/node-bus.cases.js';
import type { BusMessage } from '../sessions/node-bus.js';
import { ackOf, dataOf, Frame, typeOf } from './frames.js';
import { MAX_WAITING_BYTES, NatsPipe, type PipeEnd } from './nats-pipe.js';

/* A pipe whose frames the test carries. */

function pipe() {
  const frames: Buffer[] = [];
  const ends: PipeEnd[] = [];
  const heard: BusMessage[] = [];
  let isUp = true;
  let closedCount = 0;
  const made = new NatsPipe('12345678', 'a.0', 'b.0', {
    send(frame) {
      if (isUp) frames.push(Buffer.from(frame));
      return isUp;
    },
    maxFrameBytes: 1_024,
    ended: (_, end) => ends.push(end),
  });
  made.onMessage((message) => heard.push(message));
  made.onClose(() => closedCount++);
  return {
    pipe: made,
    ends,
    heard,
    taken: () => frames.splice(0),
    setUp: (up: boolean) => {
      isUp = up;
    },
    get closedCount() {
      return closedCount;
    },
  };
}

const written = (chunk: Uint8Array): BusMessage => ofRequests({ type: 'write', id: 1, chunk });
const end = (id: number): BusMessage => ofRequests({ type: 'end', id });

function carry(frames: readonly Buffer[], to: NatsPipe): void {
  for (const frame of frames) {
    if (typeOf(frame) === Frame.Ack) to.acknowledged(ackOf(frame));
    else {
      const { number, isLast, piece } = dataOf(frame);
      to.received(number, isLast, piece);
    }
  }
}

describe('a pipe over NATS', () => {
  it('sends no frame larger than NATS takes, and puts the pieces together again', () => {
    const [a, b] = [pipe(), pipe()];
    const chunk = new Uint8Array(10_000).map((_, index) => index % 251);
    a.pipe.post(written(chunk));
    const frames = a.taken();
    expect(frames.length).toBeGreaterThan(9);
    expect(Math.max(...frames.map(({ length }) => length))).toBeLessThanOrEqual(1_024);
    carry(frames, b.pipe);
    expect(b.heard).toEqual([written(chunk)]);
  });

  it.each([
    ['the first', 0],
    ['one in the middle', 3],
  ])('closes when %s of its pieces is missing, and says nothing of what came after', (_, missing) => {
    const [a, b] = [pipe(), pipe()];
    for (let id = 0; id < 6; id++) a.pipe.post(end(id));
    carry(a.taken().toSpliced(missing, 1), b.pipe);
    expect(b.heard).toEqual(Array.from({ length: missing }, (_, id) => end(id)));
    expect([b.ends, b.closedCount]).toEqual([['gap'], 1]);
  });

  it('takes a piece that comes twice once', () => {
    const [a, b] = [pipe(), pipe()];
    a.pipe.post(end(1));
    const frames = a.taken();
    carry([...frames, ...frames], b.pipe);
    expect([b.heard, b.ends]).toEqual([[end(1)], []]);
  });

  it('closes when nothing came of what the other end sent last', () => {
    const [a, b] = [pipe(), pipe()];
    a.pipe.post(end(1));
    b.pipe.compare(a.pipe.state);
    expect(b.ends).toEqual(['gap']);
  });

  it('stays open while the other end has sent nothing but what came', () => {
    const [a, b] = [pipe(), pipe()];
    a.pipe.post(end(1));
    carry(a.taken(), b.pipe);
    b.pipe.compare(a.pipe.state);
    a.pipe.compare(b.pipe.state);
    expect([a.ends, b.ends]).toEqual([[], []]);
  });

  it('has no more under way than the other end keeps up with, and loses nothing of it', () => {
    const [a, b] = [pipe(), pipe()];
    const chunk = new Uint8Array(100_000);
    const count = 100;
    for (let i = 0; i < count; i++) a.pipe.post(written(chunk));
    let rounds = 0;
    for (; b.heard.length < count && rounds < 1_000; rounds++) {
      const frames = a.taken();
      expect(frames.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(1.2 * 1_024 * 1_024);
      carry(frames, b.pipe);
      carry(b.taken(), a.pipe);
    }
    expect(b.heard.length).toBe(count);
    expect(rounds).toBeGreaterThan(5);
  });

  it('keeps what is posted while NATS is away, and sends it later', () => {
    const [a, b] = [pipe(), pipe()];
    a.setUp(false);
    a.pipe.post(end(1));
    expect(a.taken()).toEqual([]);
    a.setUp(true);
    a.pipe.compare(b.pipe.state);
    carry(a.taken(), b.pipe);
    expect(b.heard).toEqual([end(1)]);
  });

  it('closes when too much waits for an end that does not keep up', () => {
    const a = pipe();
    const chunk = new Uint8Array(8 * 1_024 * 1_024);
    let count = 0;
    while (a.ends.length === 0 && count < 100) {
      a.pipe.post(written(chunk));
      count++;
    }
    expect(a.ends).toEqual(['overflow']);
    expect(count).toBe(Math.floor(MAX_WAITING_BYTES / chunk.length));
    a.pipe.post(end(1));
    expect(a.closedCount).toBe(1);
  });
});
