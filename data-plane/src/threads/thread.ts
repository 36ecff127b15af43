/** The program of one worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { pino } from 'pino';
import { opsAddresses } from '../addresses.js';
import { onProcessGroups } from '../upstream/transport/process-group.js';
import { Worker } from '../worker.js';
import { StoreOfMainThread } from './cluster.js';
import type { FromThread, Question, ThreadData, ToThread } from './messages.js';
import { portPipe } from './port-pipe.js';
import { SharingOfMainThread } from './shared-calls.js';
import { faultOf, ThreadSwaps } from './swaps.js';

/** How often the main thread is told how upstreams are. */
const STATUS_INTERVAL_MS = 500;

const port = parentPort as NonNullable<typeof parentPort>;
const { configuration, key, node, index, count, logLevel, inCluster, sharesStores, sharesRecords } =
  workerData as ThreadData;
const tell = (message: FromThread) => port.postMessage(message);
const log = pino(
  { level: logLevel, base: { worker: index } },
  { write: (line: string) => tell({ type: 'log', line }) },
);

onProcessGroups((leaderPid, lives) => tell({ type: 'processGroup', leaderPid, lives }));

const sessionStore = new StoreOfMainThread(tell);
const sharing = new SharingOfMainThread((id, call) => tell({ type: 'serve', id, call }), {
  sharesStores,
  sharesRecords,
});

let askCount = 0;
const asked = new Map<number, (value: never) => void>();
function ask<T>(what: Question): Promise<T> {
  return new Promise((resolve) => {
    const id = ++askCount;
    asked.set(id, resolve as (value: never) => void);
    tell({ type: 'ask', id, what });
  });
}

const worker = new Worker({
  configuration,
  key,
  log,
  node,
  index,
  count,
  sessionStore,
  inCluster,
  sharing,
  metricsText: () => ask<string>('metrics'),
  totalSessionCount: () => ask<number>('sessions'),
  askWorkers: (query) => ask(query),
});

const swaps = new ThreadSwaps(worker, configuration);

process.on('uncaughtException', (thrown) => worker.fault(thrown));
process.on('unhandledRejection', (thrown) => worker.fault(thrown));

const report = () => tell({ type: 'status', status: worker.status() });
// Upstreams are the same for all threads, and there may be thousands.
if (index === 0) setInterval(report, STATUS_INTERVAL_MS).unref();
void worker.settled.then(() => {
  report();
  tell({ type: 'settled' });
});

port.on('message', (message: ToThread) => {
  switch (message.type) {
    case 'met':
      worker.meet(message.address, portPipe(message.port));
      return;
    case 'claimed':
      sessionStore.claimed(message.id, message.outcome);
      return;
    case 'served':
      sharing.served(message.id, message.outcome);
      return;
    case 'sessionMoved':
      sessionStore.moved(message.session, message.owner);
      return;
    case 'listen':
      void listen(message.port);
      return;
    case 'prepare':
      done(message.id, () => swaps.prepare(message.delta, message.shared));
      return;
    case 'swap':
      done(message.id, () => swaps.swap());
      return;
    case 'drop':
      done(message.id, () => swaps.drop());
      return;
    case 'reloadTls':
      done(message.id, () => worker.reloadTls());
      return;
    case 'collect':
      void collect(message.id, message.what);
      return;
    case 'answer':
      asked.get(message.id)?.(message.value as never);
      asked.delete(message.id);
      return;
    case 'drain':
      done(message.id, () => worker.drain(message.graceMs));
      return;
    case 'close':
      done(message.id, () => worker.close(message.graceMs));
      return;
    case 'exit':
      exit();
  }
});

async function listen(wanted: number): Promise<void> {
  try {
    const found = await worker.listen(wanted, true);
    const ops = index === 0 ? await opsAddresses(configuration, worker) : {};
    worker.start();
    tell({ type: 'listening', ...found, ...ops });
  } catch (thrown) {
    tell({ type: 'failed', fault: faultOf(thrown), ...codeOf(thrown) });
  }
}

/** The system's, of an error or of what caused it. */
function codeOf(thrown: unknown): { code?: string } {
  for (let each = thrown; each instanceof Error; each = each.cause)
    if ('code' in each) return { code: String(each.code) };
  return {};
}

function done(id: number, work: () => Promise<void>): void {
  work().then(
    () => tell({ type: 'done', id }),
    (thrown: unknown) => tell({ type: 'done', id, fault: faultOf(thrown) }),
  );
}

async function collect(id: number, what: Question): Promise<void> {
  tell({ type: 'collected', id, value: await partOf(what) });
}

/** This thread's part of an answer. */
function partOf(what: Question): unknown {
  if (what === 'metrics') return worker.metricsSnapshot();
  return what === 'sessions' ? worker.sessionCount : worker.adminPart.answer(what);
}

/** A thread that ends while its listener is open takes the process along, so everything is closed before. */
function exit(): void {
  worker.part();
  port.close();
}
