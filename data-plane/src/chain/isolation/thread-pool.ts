/** The threads of one plugin. A loop, a leak or an exit costs the runs of its thread, which is replaced. */
import { fileURLToPath } from 'node:url';
import type { MessagePort } from 'node:worker_threads';
import type { FromPlugin, LoadOrder, RunOrder, ToPlugin } from '@sluice/sdk/isolation';
import { Piscina } from 'piscina';
import type { IsolationLimits } from './limits.js';
import type { PoolData, PoolTask } from './pool-thread.js';

const PROGRAM = fileURLToPath(new URL('./pool-thread.js', import.meta.url));
/** Runs that one thread has under way: most of them wait for an upstream. */
const RUNS_PER_THREAD_COUNT = 32;
/** A thread beyond the first goes after so long without work. */
const IDLE_TIMEOUT_MS = 30_000;
const MIB = 1024 * 1024;

/** What a plugin wants of the gateway. */
export type Asking = Extract<FromPlugin, { type: 'next' | 'serve' | 'log' | 'measure' }>;
type Answer = Extract<ToPlugin, { type: 'came' | 'notNext' | 'served' | 'notServed' }>;

export interface ThreadPoolOptions {
  readonly order: LoadOrder;
  readonly limits: IsolationLimits;
  readonly ask: (message: Asking) => void;
  /** Told why a thread that ran nothing has ended. */
  readonly onError: (thrown: Error) => void;
}

export class ThreadPool {
  private readonly pool: Piscina;
  private readonly ports = new Set<MessagePort>();
  private readonly underWay = new Map<number, AbortController>();
  /** Who waits for what `next()` comes to. */
  private readonly nexts = new Map<number, MessagePort>();
  /** Who waits for the gateway; each thread numbers its own calls. */
  private readonly calls = new Map<number, { readonly port: MessagePort; readonly call: number }>();
  private callCount = 0;
  private shutDownCount = 0;
  private tellShutDown = () => {};

  constructor(private readonly options: ThreadPoolOptions) {
    const { order, limits, onError } = options;
    this.pool = new Piscina({
      filename: PROGRAM,
      minThreads: 1,
      maxThreads: limits.maxThreadCount,
      idleTimeout: IDLE_TIMEOUT_MS,
      concurrentTasksPerWorker: RUNS_PER_THREAD_COUNT,
      maxQueue: limits.maxRunCount,
      // A thread that sleeps in Atomics.wait runs none of the plugin's own timers.
      atomics: 'disabled',
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(limits.maxHeapBytes / MIB) },
      env: {},
      workerData: { order, limits } satisfies PoolData,
    });
    this.pool.on('message', ({ port }: { port: MessagePort }) => this.attach(port));
    this.pool.on('error', onError);
  }

  /** Resolves with what the plugin says about itself, as JSON; rejects when it cannot run here. */
  facts(): Promise<string> {
    return this.pool.run('facts' satisfies PoolTask);
  }

  /** Resolves with the answer as JSON; rejects when the plugin fails or its thread ends. */
  async run(order: RunOrder): Promise<string | undefined> {
    const { run } = order;
    const aborter = new AbortController();
    this.underWay.set(run, aborter);
    try {
      return await this.pool.run(order satisfies PoolTask, { signal: aborter.signal });
    } finally {
      this.underWay.delete(run);
      this.nexts.delete(run);
    }
  }

  /** Ends the thread that has this run; piscina starts another. */
  stop(run: number): void {
    this.underWay.get(run)?.abort();
  }

  /** Gives an answer of the gateway to the thread that waits for it. */
  answer(message: Answer): void {
    if (message.type === 'came' || message.type === 'notNext') {
      const { run } = message;
      this.nexts.get(run)?.postMessage(message);
      this.nexts.delete(run);
      return;
    }
    const waiting = this.calls.get(message.call);
    this.calls.delete(message.call);
    waiting?.port.postMessage({ ...message, call: waiting.call });
  }

  /** Resolves when the plugin was shut down in each thread. */
  async shutDown(): Promise<void> {
    if (this.ports.size === 0) return;
    const all = new Promise<void>((resolve) => {
      this.tellShutDown = resolve;
    });
    for (const port of this.ports) port.postMessage({ type: 'shutdown' } satisfies ToPlugin);
    await all;
  }

  private attach(port: MessagePort): void {
    this.ports.add(port);
    port.on('close', () => this.detach(port));
    port.on('message', (message: FromPlugin) => this.receive(message, port));
    port.unref();
  }

  private detach(port: MessagePort): void {
    this.ports.delete(port);
    for (const [id, waiting] of this.calls) if (waiting.port === port) this.calls.delete(id);
  }

  private receive(message: FromPlugin, port: MessagePort): void {
    const { ask } = this.options;
    switch (message.type) {
      case 'next':
        this.nexts.set(message.run, port);
        ask(message);
        return;
      case 'serve': {
        const call = ++this.callCount;
        this.calls.set(call, { port, call: message.call });
        ask({ ...message, call });
        return;
      }
      case 'log':
      case 'measure':
        ask(message);
        return;
      case 'ended':
        if (++this.shutDownCount >= this.ports.size) this.tellShutDown();
        return;
      default:
    }
  }
}
