/** A worker's end of the thread that writes its records. A thread that ends is replaced, and gets its batch again. */
import { Worker } from 'node:worker_threads';
import type { Batch, RecordSink, SinkEvents } from './record-queue.js';
import type { WriterOptions } from './writer.js';
import type { FromWriter, ToWriter } from './writer-thread.js';

/** Threads run what was built, also where this is run from its source. */
const PROGRAM = new URL('../../dist/audit/writer-thread.js', import.meta.url);
const RESTART_MS = 1_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
const END_MS = 2_000;

export class WriterLink implements RecordSink {
  private thread: Worker | undefined;
  private batch: Batch | undefined;
  private hasStarted = false;
  private isEnding = false;

  /**
   * @param options asked for when there is a first batch; until then there is no thread.
   * @param send takes batches that are not for a file.
   */
  constructor(
    private readonly options: () => WriterOptions,
    private readonly events: SinkEvents,
    private readonly send: ((batch: string) => Promise<void>) | undefined,
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
    else if (message.type === 'written') this.written();
    else if (message.type === 'shaped') void this.sendAll(message.texts);
  }

  private written(): void {
    this.batch = undefined;
    this.events.written();
  }

  /** One after the other, each until it is taken. */
  private async sendAll(texts: readonly string[]): Promise<void> {
    const { batch } = this;
    for (const text of texts) {
      for (let retryMs = FIRST_RETRY_MS; !(await this.hasSent(text)); retryMs *= 2) {
        if (this.isEnding || this.batch !== batch) return;
        await new Promise((resolve) => setTimeout(resolve, Math.min(retryMs, LONGEST_RETRY_MS)).unref());
      }
    }
    // A thread that ended meanwhile has been given it once more.
    if (this.batch === batch) this.written();
  }

  private async hasSent(text: string): Promise<boolean> {
    try {
      if (this.send === undefined)
        throw new Error(
          'this gateway shares nothing with others; start it as a node with --nats, or say to: file',
        );
      await this.send(text);
      return true;
    } catch (thrown) {
      this.events.failing(thrown instanceof Error ? thrown.message : String(thrown));
      return false;
    }
  }

  private post(message: ToWriter): void {
    this.thread?.postMessage(message);
  }
}
