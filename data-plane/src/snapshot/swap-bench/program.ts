/**
 * Measures what a configuration costs a node that serves: `node --import probe.js program.js COUNT WORKERS [first]`.
 * Prints JSON: for each change, and each repetition of it, the time in each part, the longest hold of each event loop, the longest steps, and the
 * bytes sent to workers. With `first` only for the first configuration.
 */
import { randomBytes } from 'node:crypto';
import { type ResolvedConfiguration, resolveGateway } from '@sluice/proto';
import type { Entry } from '@sluice/proto/cluster';
import { pino } from 'pino';
import { type DataPlane, startDataPlane } from '../../data-plane.js';
import { type Compiled, compileInSteps } from '../../routing/compiler.js';
import { ownLookup } from '../lookup.js';
import { inSlices } from '../slices.js';
import { end, type Held, holds, reset, sent } from './probe.js';
import { manyResources, movedUpstream, oneMoreCredential, oneMoreUpstream } from './resources.js';
import type { LongStep } from './step-times.js';

/** What a step is repeated, so that code that runs often is measured as it runs then. */
const REPEAT_COUNT = 15;
/** What follows a swap, such as asking new upstreams, has an end by then. */
const QUIET_MS = 400;

export interface SwapStep {
  readonly name: string;
  readonly compileMs: number;
  readonly swapMs: number;
  /** Processor time of the whole process, all its workers among it. */
  readonly compileCpuMs: number;
  readonly swapCpuMs: number;
  /** After the swap, until all was quiet: the first questions to upstreams that are new. */
  readonly afterCpuMs: number;
  /** Time in the steps of each work that is done in slices, in the thread where that took longest. */
  readonly workMs: Readonly<Record<string, number>>;
  /** Steps that took long, in whichever thread. */
  readonly long: readonly LongStep[];
  /** Pauses of garbage collections, in the thread that had most of them. */
  readonly gcMs: number;
  /** Longest hold of the main thread's event loop while it compiled, and of all loops until all was quiet. */
  readonly mainHoldMs: number;
  readonly workerHoldMs: number;
  readonly sentBytes: number;
}

const [count = 0, workers = 0] = process.argv.slice(2, 4).map(Number);
const isFirstOnly = process.argv[4] === 'first';
const isThreaded = workers > 1;

class Measured {
  private compiled: Compiled | undefined;

  constructor(private readonly gateway: DataPlane) {}

  async step(name: string, changed: Entry[]): Promise<SwapStep> {
    reset();
    await pause(5);
    const cpu = process.cpuUsage();
    const from = performance.now();
    const context = { lookup: ownLookup(), node: { listen: LISTEN } };
    const change = { changed, removed: [] };
    const compiled = await inSlices(compileInSteps(this.compiled, change, context));
    const until = performance.now();
    const compiledCpu = process.cpuUsage(cpu);
    await this.gateway.apply(compiled.configuration);
    const swapMs = performance.now() - until;
    const swappedCpu = process.cpuUsage(cpu);
    this.compiled = compiled;
    await pause(QUIET_MS);
    const quietCpu = process.cpuUsage(cpu);
    const all = await holds(isThreaded ? workers : 0);
    const [main, ...others] = all;
    return {
      name,
      compileMs: until - from,
      swapMs,
      compileCpuMs: millis(compiledCpu),
      swapCpuMs: millis(swappedCpu) - millis(compiledCpu),
      afterCpuMs: millis(quietCpu) - millis(swappedCpu),
      workMs: workOf(all),
      long: all.flatMap(({ times }) => times.long),
      gcMs: Math.max(...all.map(({ times }) => times.gcMs)),
      mainHoldMs: main?.longestMs ?? 0,
      workerHoldMs: Math.max(0, ...others.map(({ longestMs }) => longestMs)),
      sentBytes: sent.bytes,
    };
  }
}

process.on('unhandledRejection', fail);

const LISTEN = { host: '127.0.0.1', port: 0, workerCount: workers };

const { listen, ...rest } = resolveGateway(undefined);
const empty: ResolvedConfiguration = {
  gateway: { ...rest, listen: { ...listen, ...LISTEN } },
  upstreams: [],
  servers: [],
  plugins: [],
};
const gateway = await startDataPlane({
  configuration: empty,
  key: randomBytes(32),
  log: pino({ level: 'error' }),
});
await gateway.ready;
await pause(QUIET_MS);
const measured = new Measured(gateway);
const steps = [[await measured.step('from nothing', manyResources(count))]];
const repeated = async (name: string, changed: (index: number) => Entry[]) => {
  const all: SwapStep[] = [];
  for (let index = 0; index < REPEAT_COUNT; index++) all.push(await measured.step(name, changed(index)));
  steps.push(all);
};
if (!isFirstOnly) {
  await repeated('one upstream changed', (index) => [movedUpstream(count, index)]);
  await repeated('one upstream more', (index) => [oneMoreUpstream(index)]);
  await repeated('one credential more', (index) => [oneMoreCredential(index)]);
}
process.stdout.write(`${JSON.stringify(steps)}\n`);
await gateway.stop(0);
end();

function workOf(all: readonly Held[]): Record<string, number> {
  const most: Record<string, number> = {};
  for (const { times } of all)
    for (const [work, ms] of Object.entries(times.totalMs)) most[work] = Math.max(ms, most[work] ?? 0);
  return most;
}

function millis({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000;
}

/** The gateway goes on after anything. */
function fail(thrown: unknown): void {
  process.stderr.write(`${thrown instanceof Error ? thrown.stack : thrown}\n`);
  process.exit(1);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
