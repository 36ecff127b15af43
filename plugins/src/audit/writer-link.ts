/** A worker's end of the thread that writes its records. A thread that ends is replaced, and gets its batch again. */
import { Worker } from 'node:worker_threads';
import type { Batch, RecordSink, SinkEvents } from './record-queue.js';
import type { WriterOptions } from './writer.js';
import type { FromWriter, ToWriter } from './writer-thread.js';

/** Threads run what was built, also where this is run from its source. */
const PROGRAM = new URL('../../dist/audit/writer-thread.js', import.meta.url);
const RESTART_MS = 1_000;
const END_MS = 2_000;

export class WriterLink implements RecordSink {
  private thread: Worker | undefined;
  private batch: Batch | undefined;
  private hasStarted = false;
  private isEnding = false;

  /** @param options asked for when there is a first batch; until then there is no thread. */
  constructor(
    private readonly options: () => WriterOptions,
    private readonly events: SinkEvents,
  ) {}

  write(batch: Batch): void {
    this.batch = batch;
    if (!this.hasStarted) this.start();
    this.post({ type: 'batch', batch });
  }

  async end(): Promise<void> {
    this.isEnding = true;
    const { thread } = this;
    if (thread === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      thread.once('exit', () => resolve());
      timer = setTimeout(() => void thread.terminate(), END_MS);
      this.post({ type: 'end' });
    });
    clearTimeout(timer);
  }

  private start(): void {
    this.hasStarted = true;
    const thread = new Worker(PROGRAM, { workerData: this.options(), env: {} });
    thread.unref();
    let reason = 'the thread that writes has ended';
    thread.on('message', (message: FromWriter) => this.receive(message));
    thread.on('error', (thrown) => {
      reason = `the thread that writes has ended: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    });
    thread.on('exit', () => {
      this.thread = undefined;
      if (this.isEnding) return;
      this.events.failing(reason);
      setTimeout(() => this.restart(), RESTART_MS).unref();
    });
    this.thread = thread;
  }

  private restart(): void {
    if (this.isEnding) return;
    this.start();
    if (this.batch !== undefined) this.post({ type: 'batch', batch: this.batch });
  }

  private receive(message: FromWriter): void {
    if (message.type === 'failing') this.events.failing(message.reason);
    if (message.type !== 'written') return;
    this.batch = undefined;
    this.events.written();
  }

  private post(message: ToWriter): void {
    this.thread?.postMessage(message);
  }
}
