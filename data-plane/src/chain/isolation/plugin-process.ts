/** A plugin in a process of its own, or in threads of one: replaced when it ends, later and later when that goes on. */
import type { PluginHost } from '@sluice/sdk';
import type { LoadedFacts, RunOrder } from '@sluice/sdk/isolation';
import type { Logger } from 'pino';
import { tooMuch } from './conversation.js';
import { grantedFetch } from './granted-fetch.js';
import { PluginChild } from './plugin-child.js';
import type { Runner, RunSide } from './runner.js';
import type { ProgramOptions } from './spawn-program.js';

/** The first replacement is at once. */
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 30_000;
/** A process that lived as long has shown that it can. */
const STABLE_AFTER_MS = 30_000;

export interface PluginProcessOptions extends ProgramOptions {
  /** Origins that it may make requests to; what is in a pool may reach all that the gateway may. */
  readonly mayFetch: readonly string[];
  readonly log: Logger;
}

export class PluginProcess implements Runner {
  private child: PluginChild | undefined;
  /** With those that were told to end and have not yet. */
  private readonly living = new Set<PluginChild>();
  private starting: Promise<PluginChild> | undefined;
  private restart: NodeJS.Timeout | undefined;
  private endCount = 0;
  private lastReason = '';
  private underWayCount = 0;
  private runCount = 0;
  private isClosed = false;
  private giveHost: (host: PluginHost) => void = () => {};
  private readonly host = new Promise<PluginHost>((resolve) => {
    this.giveHost = resolve;
  });

  private constructor(
    private readonly options: PluginProcessOptions,
    readonly facts: LoadedFacts,
  ) {}

  /** Rejects with a sentence when the plugin cannot run there. */
  static async start(options: PluginProcessOptions): Promise<PluginProcess> {
    const self = new PluginProcess(options, undefined as never);
    const child = await self.begin();
    (self as { facts: LoadedFacts }).facts = await child.loaded;
    return self;
  }

  /** Of the process that runs now. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  serve(host: PluginHost): void {
    const { place, mayFetch } = this.options;
    this.giveHost(place === 'pool' ? host : { ...host, fetch: grantedFetch(host.fetch, mayFetch) });
  }

  async run(order: Omit<RunOrder, 'run'>, side: RunSide = {}): Promise<unknown> {
    const { limits, order: loaded } = this.options;
    if (this.underWayCount >= limits.maxRunCount) throw tooMuch(loaded.binding);
    this.underWayCount++;
    try {
      // What would be sent to one that is stuck would end with it.
      if (this.child?.inDoubt !== undefined) await this.child.inDoubt;
      const child = this.child ?? (await this.starting);
      if (child === undefined)
        throw new Error(this.isClosed ? 'it was shut down' : `${this.lastReason}; it is started again soon`);
      return await child.run({ ...order, run: ++this.runCount }, side);
    } finally {
      this.underWayCount--;
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.restart);
    await this.starting?.catch(() => undefined);
    await Promise.all([...this.living].map((child) => child.close()));
  }

  private begin(): Promise<PluginChild> {
    const starting = this.started();
    this.starting = starting;
    const done = () => {
      if (this.starting === starting) this.starting = undefined;
    };
    starting.then(done, done);
    return starting;
  }

  private async started(): Promise<PluginChild> {
    const { log } = this.options;
    const child = new PluginChild({
      ...this.options,
      host: this.host,
      onLine: (line) => log.debug({ line }, 'a plugin wrote to its output'),
    });
    const beganMs = performance.now();
    let isLoaded = false;
    this.living.add(child);
    void child.ended.then(() => this.living.delete(child));
    void child.failed.then((reason) => {
      if (this.child === child) this.child = undefined;
      // One that never began is told to whoever wanted it.
      if (isLoaded || this.endCount > 0) this.replace(reason, performance.now() - beganMs);
    });
    try {
      await child.loaded;
    } catch (thrown) {
      child.kill('it could not be loaded');
      await child.ended;
      throw thrown;
    }
    isLoaded = true;
    this.child = child;
    return child;
  }

  private replace(reason: string, livedMs: number): void {
    if (this.isClosed) return;
    this.lastReason = reason;
    this.endCount = livedMs >= STABLE_AFTER_MS ? 1 : this.endCount + 1;
    const delayMs =
      this.endCount === 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.endCount - 2), LONGEST_DELAY_MS);
    this.options.log.error({ delayMs }, `a plugin's process is replaced: ${reason}`);
    const begin = () => void this.begin().catch(() => undefined);
    if (delayMs === 0) begin();
    else this.restart = setTimeout(begin, delayMs).unref();
  }
}
