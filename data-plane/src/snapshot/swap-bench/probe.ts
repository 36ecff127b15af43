/**
 * Loaded before everything else into each thread of the measured process: says how long each event loop was held, and
 * what was sent to threads.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { serialize } from 'node:v8';
import { BroadcastChannel, isMainThread, threadId, Worker } from 'node:worker_threads';
import { resetSteps, type StepTimes, stepTimes } from './step-times.js';

/** Timers of the histogram; a hold is what a turn took beyond that. */
const RESOLUTION_MS = 1;
const NANOS_PER_MS = 1e6;

/** What a thread tells when it is asked. */
export interface Held {
  readonly thread: number;
  readonly longestMs: number;
  readonly times: StepTimes;
}

const channel = new BroadcastChannel('swap-bench');
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

export const sent = { bytes: 0, messages: 0 };

if (isMainThread) {
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function measured(this: Worker, message: unknown, transfer?: never) {
    const { type, configuration, delta } = message as Record<string, unknown>;
    if (type === 'load' || type === 'prepare' || type === 'apply') {
      sent.messages++;
      const parts = (delta as { bytes?: Uint8Array } | undefined)?.bytes;
      sent.bytes += parts?.byteLength ?? serialize(configuration ?? '').byteLength;
    }
    postMessage.call(this, message, transfer);
  } as typeof postMessage;
} else {
  channel.onmessage = (event) => {
    // Everybody hears everything: what the main thread asks, and what the other workers answer.
    const { data } = event as { data: 'reset' | 'tell' | Held };
    if (data === 'reset') {
      delay.reset();
      resetSteps();
    } else if (data === 'tell')
      channel.postMessage({ thread: threadId, longestMs: longest(), times: stepTimes() } satisfies Held);
  };
  (channel as unknown as { unref(): void }).unref();
}

export function reset(): void {
  delay.reset();
  resetSteps();
  sent.bytes = 0;
  sent.messages = 0;
  channel.postMessage('reset');
}

/** Of this thread and of the others. */
export function holds(threadCount: number): Promise<Held[]> {
  const all: Held[] = [{ thread: 0, longestMs: longest(), times: stepTimes() }];
  return new Promise((resolve) => {
    if (threadCount === 0) return resolve(all);
    channel.onmessage = (event) => {
      all.push((event as { data: Held }).data);
      if (all.length === threadCount + 1) resolve(all);
    };
    channel.postMessage('tell');
  });
}

export function end(): void {
  channel.close();
}

function longest(): number {
  return Math.max(0, delay.max / NANOS_PER_MS - RESOLUTION_MS);
}
