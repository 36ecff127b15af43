import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { exchange, ScriptedUpstream } from './scripted-upstream.js';

/* Deadlines by a virtual clock, bytes over real sockets. */

const TIMEOUT_MS = 60_000;
const STEP_MS = 50_000;
const HALF_HOUR_MS = 30 * 60_000;
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

let upstream: ScriptedUpstream;
let arrived: Promise<Socket>;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  let arrive: (socket: Socket) => void = () => {};
  arrived = new Promise((resolve) => {
    arrive = resolve;
  });
  upstream = await ScriptedUpstream.start((socket) => arrive(socket));
});
afterEach(async () => {
  await upstream.stop();
  vi.useRealTimers();
});

const eventually = (condition: () => boolean) =>
  vi.waitFor(() => expect(condition()).toBe(true), { timeout: 10_000, interval: 1 });

/** A call that the upstream has begun to answer. */
async function begin() {
  const sent = exchange(upstream.client(), { silenceTimeoutMs: TIMEOUT_MS });
  const socket = await arrived;
  const say = async (text: string) => {
    const before = sent.answer.body.length;
    socket.write(chunk(text));
    await eventually(() => sent.answer.body.length === before + text.length);
  };
  socket.write(HEAD);
  await eventually(() => sent.answer.status === 200);
  return { ...sent, socket, say };
}

it.each([
  ['progress', 'data: {"method":"notifications/progress"}\n\n'],
  ['comments', ': still here\n\n'],
])('a call of half an hour lives on %s, and ends with the silence after it', async (_, sign) => {
  const { answer, say } = await begin();
  for (let ms = 0; ms < HALF_HOUR_MS; ms += STEP_MS) {
    vi.advanceTimersByTime(STEP_MS);
    expect(answer.failure).toBeUndefined();
    await say(sign);
  }
  vi.advanceTimersByTime(TIMEOUT_MS - 1_000);
  expect(answer.failure).toBeUndefined();
  vi.advanceTimersByTime(2_000);
  expect(answer.failure).toMatchObject({ kind: 'timeout' });
});

it('a call in which somebody is asked may be silent, and after the answer no longer than others', async () => {
  const { answer, call, say } = await begin();
  call.waitPatiently();
  vi.advanceTimersByTime(HALF_HOUR_MS);
  await say(': still here\n\n');
  vi.advanceTimersByTime(HALF_HOUR_MS);
  expect(answer.failure).toBeUndefined();
  call.waitPatiently(false);
  vi.advanceTimersByTime(TIMEOUT_MS - 1_000);
  expect(answer.failure).toBeUndefined();
  vi.advanceTimersByTime(2_000);
  expect(answer.failure).toMatchObject({ kind: 'timeout' });
});
