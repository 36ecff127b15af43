/** Several workers in one process: starts their threads, connects each with each, and brings together what they know. */
import { MessageChannel, type MessagePort, Worker as Thread } from 'node:worker_threads';
import { AggregatorRegistry } from 'prom-client';
import { clientUrl, type OpsUrls } from '../addresses.js';
import type { PluginSharing } from '../chain/plugin-sharing.js';
import { pluginStores } from '../chain/plugin-stores.js';
import { type DataPlane, type DataPlaneOptions, sessionStoreOf, sharingOf } from '../data-plane.js';
import { refuseTakenPort } from '../listener/listen-error.js';
import { loadUws } from '../listener/uws-load.js';
import { newNodeId, type WorkerAddress, workerAddress } from '../sessions/node-bus.js';
import type { SessionStore } from '../sessions/store.js';
import { Swaps, withoutContent } from '../snapshot/swaps.js';
import type { UpstreamStatus } from '../telemetry/ops-door.js';
import { within } from '../within.js';
import { metForThreads, serveStore } from './cluster.js';
import type { Fault, FromThread, Question, ThreadData, ToThread } from './messages.js';
import { serveShared } from './shared-calls.js';
import { TeamSwaps, thrownOf } from './swaps.js';

/** Time for all threads to hand in their part of a collection. */
const COLLECT_TIMEOUT_MS = 2_000;
/** Beyond the grace, time for a thread to close what it has. */
const STOP_MARGIN_MS = 5_000;

type Listening = Extract<FromThread, { type: 'listening' }>;

/** Rejects when one of them cannot listen. */
export async function startThreads(options: DataPlaneOptions): Promise<DataPlane> {
  const { configuration } = options;
  // The limits of uWebSockets.js are read once for the whole process, by whoever loads it first.
  if (configuration.gateway.listen.listener !== 'node') await loadUws();
  const team = new Team(options, configuration.gateway.listen.workerCount);
  try {
    const { host, port, sharePort } = configuration.gateway.listen;
    // The threads share the port with each other, so whether somebody else has it must be found out first.
    if (!sharePort && port !== 0) await refuseTakenPort(host, port);
    // Nobody can reach them before.
    await team.swaps.apply(configuration);
    const first = await team.listen(0, port);
    for (let index = 1; index < team.size; index++) await team.listen(index, first.port);
    return {
      url: clientUrl(configuration, first.port),
      ...opsUrlsOf(first),
      listener: first.kind,
      apply: (next) => team.swaps.apply(next),
      reloadTls: () => team.reloadTls(),
      status: () => team.status,
      ask: async (query) => (await team.collectAll(query)).filter((part) => part !== undefined) as never,
      ready: team.settled,
      stop: (graceMs) => team.stop(graceMs),
    };
  } catch (thrown) {
    await team.stop(0);
    throw thrown;
  }
}

function opsUrlsOf({ metricsUrl, healthUrl, adminUrl }: Listening): OpsUrls {
  return {
    ...(metricsUrl !== undefined && { metricsUrl }),
    ...(healthUrl !== undefined && { healthUrl }),
    ...(adminUrl !== undefined && { adminUrl }),
  };
}

/** Without a folder there is one memory for all threads, as there is one file with it. */
function sharingOfThreads(options: DataPlaneOptions): PluginSharing {
  const sharing = sharingOf(options);
  const { stateDir } = options.configuration.gateway;
  if (sharing.stores !== undefined || stateDir !== undefined) return sharing;
  return { ...sharing, stores: pluginStores(undefined, options.log) };
}

class Team {
  private readonly threads: Thread[] = [];
  private readonly listening: ((found: Listening | Error) => void)[] = [];
  private readonly waiting = new Map<number, (fault: Fault | undefined) => void>();
  private readonly collecting = new Map<number, (value: unknown) => void>();
  private count = 0;
  private ending = false;
  private readonly sessionStore: SessionStore;
  private readonly sharing: PluginSharing;
  status: UpstreamStatus[] = [];
  readonly settled: Promise<void>;
  readonly swaps: Swaps;

  constructor(
    private readonly options: DataPlaneOptions,
    readonly size: number,
  ) {
    this.swaps = new Swaps(
      new TeamSwaps(
        (message) => this.tellAll(message),
        (reason) => this.threadEnded(0, new Error(`a worker could not swap: ${reason}`)),
      ),
      options.configuration,
    );
    this.sessionStore = sessionStoreOf(options);
    this.sharing = sharingOfThreads(options);
    this.sessionStore.onMoved((session, owner) => {
      for (const index of this.threads.keys()) this.tell(index, { type: 'sessionMoved', session, owner });
    });
    let settledCount = 0;
    const node = newNodeId();
    this.settled = new Promise((resolve) => {
      for (let index = 0; index < size; index++) {
        const data: ThreadData = {
          configuration: withoutContent(options.configuration),
          key: options.key,
          node,
          index,
          count: size,
          logLevel: options.log.level,
          inCluster: options.cluster !== undefined,
          sharesStores: this.sharing.stores !== undefined,
          sharesRecords: this.sharing.records !== undefined,
        };
        const thread = new Thread(new URL('./thread.js', import.meta.url), { workerData: data });
        this.threads.push(thread);
        thread.on('message', (message: FromThread) => {
          if (message.type === 'settled' && ++settledCount === size) resolve();
          this.receive(index, message);
        });
        thread.on('error', (error) => this.threadEnded(index, error));
        thread.on('exit', (code) => this.threadEnded(index, new Error(`worker ${index} ended with ${code}`)));
      }
    });
    for (let a = 0; a < size; a++) {
      for (let b = a + 1; b < size; b++) {
        const { port1, port2 } = new MessageChannel();
        this.introduce(a, workerAddress(node, b), port1);
        this.introduce(b, workerAddress(node, a), port2);
      }
    }
    const ours = this.threads.map((_, index) => workerAddress(node, index));
    options.cluster?.bus.join(
      ours,
      metForThreads((own, other, port) => this.introduce(ours.indexOf(own), other, port)),
    );
  }

  private introduce(index: number, address: WorkerAddress, port: MessagePort): void {
    this.tell(index, { type: 'met', address, port }, [port]);
  }

  listen(index: number, port: number): Promise<Listening> {
    return new Promise((resolve, reject) => {
      this.listening[index] = (found) => (found instanceof Error ? reject(found) : resolve(found));
      this.tell(index, { type: 'listen', port });
    });
  }

  async reloadTls(): Promise<void> {
    await this.everybody((id) => ({ type: 'reloadTls', id }));
  }

  async stop(graceMs: number): Promise<void> {
    if (this.ending) return;
    this.ending = true;
    const deadline = Date.now() + graceMs;
    const left = () => Math.max(0, deadline - Date.now());
    const exits = this.threads.map(
      (thread) => new Promise<void>((resolve) => thread.once('exit', () => resolve())),
    );
    // One step after the other for all: a request may be read by one thread, run in another, and need a process of a
    // third. A thread that does not answer must not keep the others from ending.
    await within(
      left() + STOP_MARGIN_MS,
      this.everybody((id) => ({ type: 'drain', id, graceMs: left() })),
    );
    await within(
      left() + STOP_MARGIN_MS,
      this.everybody((id) => ({ type: 'close', id, graceMs: left() })),
    );
    for (const index of this.threads.keys()) this.tell(index, { type: 'exit' });
    await within(STOP_MARGIN_MS, Promise.all(exits));
    this.options.cluster?.bus.leave();
  }

  private tell(
    index: number,
    message: ToThread,
    transfer: import('node:worker_threads').TransferListItem[] = [],
  ): void {
    this.threads[index]?.postMessage(message, transfer);
  }

  private receive(index: number, message: FromThread): void {
    switch (message.type) {
      case 'listening':
        this.listening[index]?.(message);
        return;
      case 'failed':
        this.listening[index]?.(
          Object.assign(thrownOf(message.fault), message.code === undefined ? {} : { code: message.code }),
        );
        return;
      case 'status':
        if (index === 0) this.status = message.status;
        return;
      case 'log':
        this.log(message.line);
        return;
      case 'putSession':
      case 'endSession':
      case 'claimSession':
        void serveStore(this.sessionStore, message, (id, outcome) =>
          this.tell(index, { type: 'claimed', id, outcome }),
        );
        return;
      case 'serve':
        void serveShared(this.sharing, message.call).then((outcome) =>
          this.tell(index, { type: 'served', id: message.id, outcome }),
        );
        return;
      case 'processGroup':
        this.options.onProcessGroup?.(message.leaderPid, message.lives);
        return;
      case 'done':
        this.waiting.get(message.id)?.(message.fault);
        return;
      case 'collected':
        this.collecting.get(message.id)?.(message.value);
        return;
      case 'ask':
        this.answer(index, message.id, message.what).catch((thrown: unknown) => {
          const { id, what } = message;
          const kind = typeof what === 'string' ? what : what.what;
          this.options.log.error({ err: thrown }, `${kind} of the workers could not be collected`);
          this.tell(index, {
            type: 'answer',
            id,
            value: what === 'sessions' ? 0 : what === 'metrics' ? '' : [],
          });
        });
        return;
      default:
    }
  }

  /** A thread's log line goes through the log of the process, which knows format and level. */
  private log(line: string): void {
    const {
      level,
      msg,
      time: _time,
      pid: _pid,
      hostname: _hostname,
      ...rest
    } = JSON.parse(line) as Record<string, unknown>;
    const { log } = this.options;
    const name = log.levels.labels[level as number] as 'info' | undefined;
    if (name !== undefined) log[name](rest, msg as string | undefined);
  }

  private async answer(index: number, id: number, what: Question): Promise<void> {
    let value = await together(what, await this.collectAll(what));
    if (what === 'metrics') value += (await this.options.cluster?.metricsText?.()) ?? '';
    this.tell(index, { type: 'answer', id, value });
  }

  /** The part of each thread; undefined for one that did not answer in time. */
  collectAll(what: Question): Promise<unknown[]> {
    return Promise.all(this.threads.map((_, each) => this.collect(each, what)));
  }

  private collect(index: number, what: Question): Promise<unknown> {
    return new Promise((resolve) => {
      const id = ++this.count;
      const timer = setTimeout(() => settle(undefined), COLLECT_TIMEOUT_MS);
      const settle = (value: unknown) => {
        clearTimeout(timer);
        this.collecting.delete(id);
        resolve(value);
      };
      this.collecting.set(id, settle);
      this.tell(index, { type: 'collect', id, what });
    });
  }

  private async everybody(message: (id: number) => ToThread): Promise<void> {
    const failed = (await this.tellAll(message)).find((fault) => fault !== undefined);
    if (failed !== undefined) throw new Error(failed.message);
  }

  /** Resolves when all have answered; undefined for those in which it went well. */
  private tellAll(message: (id: number) => ToThread): Promise<(Fault | undefined)[]> {
    return Promise.all(
      this.threads.map(
        (_, index) =>
          new Promise<Fault | undefined>((resolve) => {
            const id = ++this.count;
            this.waiting.set(id, (fault) => {
              this.waiting.delete(id);
              resolve(fault);
            });
            this.tell(index, message(id));
          }),
      ),
    );
  }

  /** What is left of the process is not whole; its parent starts it again. */
  private threadEnded(index: number, error: Error): void {
    this.listening[index]?.(error);
    if (this.ending) return;
    this.options.log.fatal({ err: error }, 'a worker thread ended; the process ends and is started again');
    setImmediate(() => process.exit(70));
  }
}

/** The answer to a question out of those of all threads; undefined stands for one that did not answer in time. */
async function together(what: Question, parts: readonly unknown[]): Promise<unknown> {
  switch (what) {
    case 'sessions':
      return parts.reduce<number>((sum, part) => sum + (typeof part === 'number' ? part : 0), 0);
    case 'metrics':
      return AggregatorRegistry.aggregate(parts.filter(Array.isArray) as never).metrics();
    default:
      return parts;
  }
}
