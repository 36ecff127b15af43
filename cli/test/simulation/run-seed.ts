import { Cluster } from './cluster.js';
import { Trace } from './trace.js';

/** What became of a run. */
export interface Outcome {
  readonly seed: number;
  /** What was not as it should be; undefined when all was. */
  readonly failure: string | undefined;
  /** The same for two runs that went the same way. */
  readonly digest: string;
  /** What happened, where that was asked for. */
  readonly trace: string;
  readonly eventsCount: number;
  readonly commitsCount: number;
  /** From the last change until everybody ran it; milliseconds of virtual time. */
  readonly convergedMs: number;
}

/** Runs the cluster of a seed. */
export async function runSeed(seed: number, keepsTrace = false): Promise<Outcome> {
  const trace = new Trace(keepsTrace);
  const cluster = new Cluster(seed, trace);
  const unforeseen = (thrown: unknown) =>
    cluster.verdict.fail(`nobody has foreseen: ${thrown instanceof Error ? thrown.stack : thrown}`);
  // Whoever else listens would take it for his own.
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', unforeseen);
  try {
    await cluster.live();
  } catch (thrown) {
    unforeseen(thrown);
  } finally {
    // What was rejected last is told after this turn.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', unforeseen);
    for (const each of others) process.on('unhandledRejection', each);
  }
  const { verdict, schedule, writers, convergedMs } = cluster;
  return {
    seed,
    failure: verdict.failure,
    digest: trace.digest,
    trace: trace.text,
    eventsCount: schedule.count,
    commitsCount: writers.madeCount,
    convergedMs,
  };
}
