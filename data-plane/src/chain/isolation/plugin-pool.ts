/** A plugin in threads of its own. Protects the gateway from mistakes: a loop, a leak, an exit cost their own runs. */
import { fileURLToPath } from 'node:url';
import type { MessagePort } from 'node:worker_threads';
import type { PluginHost } from '@sluice/sdk';
import {
  type FromPlugin,
  type LoadedFacts,
  type LoadOrder,
  messageOf,
  type RunOrder,
  readFacts,
  type ToPlugin,
} from '@sluice/sdk/isolation';
import type { Logger } from 'pino';
import type { Piscina } from 'piscina';
import { Conversation, tooLarge, tooMuch } from './conversation.js';
import type { IsolationLimits } from './limits.js';
import type { PoolData, PoolTask } from './pool-thread.js';
import type { Next, Runner } from './runner.js';

const PROGRAM = fileURLToPath(new URL('../../../dist/chain/isolation/pool-thread.js', import.meta.url));
/** Runs that one thread has under way: most of them wait for an upstream. */
const RUNS_PER_THREAD_COUNT = 32;
/** A thread beyond the first goes after so long without work. */
const IDLE_TIMEOUT_MS = 30_000;
/** Time for a plugin to shut down in order. */
const SHUTDOWN_LIMIT_MS = 1_000;
const MIB = 1024 * 1024;

export interface PluginPoolOptions {
  readonly order: LoadOrder;
  readonly limits: IsolationLimits;
  readonly log: Logger;
}

export class PluginPool implements Runner {
  private readonly conversation: Conversation;
  private readonly ports = new Set<MessagePort>();
  private readonly underWay = new Map<number, AbortController>();
  private shutDownCount = 0;
  private shutDown = () => {};
  private runCount = 0;
  private giveHost: (host: PluginHost) => void = () => {};

  private constructor(
    private readonly pool: Piscina,
    private readonly options: PluginPoolOptions,
    readonly facts: LoadedFacts,
  ) {
    const host = new Promise<PluginHost>((resolve) => {
      this.giveHost = resolve;
    });
    this.conversation = new Conversation(options.limits, host, (reason, run) => {
      this.conversation.failRun(run, reason);
      // piscina ends the thread and starts another.
      this.underWay.get(run)?.abort();
    });
  }

  /** Rejects with a sentence when the plugin cannot run there. */
  static async start(options: PluginPoolOptions): Promise<PluginPool> {
    // Most gateways have no pool, and do without its code.
    const { Piscina } = await import('piscina');
    const { order, limits, log } = options;
    const pool = new Piscina({
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
    const self = new PluginPool(pool, options, undefined as never);
    pool.on('message', ({ port }: { port: MessagePort }) => self.attach(port));
    pool.on('error', (thrown) => log.error({ err: thrown }, "a thread of a plugin's pool is replaced"));
    try {
      const signal = AbortSignal.timeout(limits.loadTimeMs);
      const text = (await pool.run('facts' satisfies PoolTask, { signal })) as string;
      (self as { facts: LoadedFacts }).facts = readFacts(JSON.parse(text));
    } catch (thrown) {
      await pool.destroy();
      const isLate = thrown instanceof Error && thrown.name === 'AbortError';
      throw isLate ? new Error(`it was not loaded within ${limits.loadTimeMs} ms`) : thrown;
    }
    return self;
  }

  get threadCount(): number {
    return this.pool.threads.length;
  }

  serve(host: PluginHost): void {
    this.giveHost(host);
  }

  async run(order: Omit<RunOrder, 'run'>, next?: Next): Promise<unknown> {
    const { limits, order: loaded } = this.options;
    if (this.underWay.size >= limits.maxRunCount) throw tooMuch(loaded.binding);
    if (isLarge(order, limits.maxMessageBytes)) throw tooLarge(loaded.binding, limits.maxMessageBytes);
    const run = ++this.runCount;
    const aborter = new AbortController();
    this.underWay.set(run, aborter);
    const answer = this.conversation.begin(run, next);
    this.pool.run({ ...order, run } satisfies PoolTask, { signal: aborter.signal }).then(
      (text: string | undefined) => {
        this.underWay.delete(run);
        this.conversation.done(run, text === undefined ? undefined : JSON.parse(text));
      },
      (thrown: unknown) => {
        this.underWay.delete(run);
        this.conversation.failRun(run, messageOf(thrown));
      },
    );
    return answer;
  }

  async close(): Promise<void> {
    if (this.ports.size > 0) {
      const all = new Promise<void>((resolve) => {
        this.shutDown = resolve;
        setTimeout(resolve, SHUTDOWN_LIMIT_MS).unref();
      });
      for (const port of this.ports) port.postMessage({ type: 'shutdown' } satisfies ToPlugin);
      await all;
    }
    this.conversation.fail('it was shut down');
    for (const port of this.ports) port.close();
    await this.pool.destroy();
  }

  private attach(port: MessagePort): void {
    this.ports.add(port);
    port.on('close', () => this.ports.delete(port));
    port.on('message', (message: FromPlugin) => {
      if (message.type !== 'ended') this.conversation.receive(message, (answer) => port.postMessage(answer));
      else if (++this.shutDownCount >= this.ports.size) this.shutDown();
    });
    port.unref();
  }
}

/** Without making a text of everything: what is large is an outcome, entries or arguments. */
function isLarge({ attributes, outcome, entries }: Omit<RunOrder, 'run'>, maxBytes: number): boolean {
  const rest =
    attributes === undefined && entries === undefined ? 0 : JSON.stringify([attributes, entries]).length;
  return rest + (outcome?.json?.length ?? 0) > maxBytes;
}
