/**
 * Measures what a configuration costs a node that serves: `node --import probe.js program.js COUNT WORKERS`. Prints
 * JSON: for each step the time in each part, the longest hold of each event loop, and the bytes sent to workers.
 */
import { randomBytes } from 'node:crypto';
import { type ResolvedConfiguration, resolveGateway } from '@sluice/proto';
import type { Entry } from '@sluice/proto/cluster';
import { pino } from 'pino';
import { type DataPlane, startDataPlane } from '../../data-plane.js';
import { type Compiled, compileInSteps } from '../../routing/compiler.js';
import { ownLookup } from '../lookup.js';
import { inSlices } from '../slices.js';
import { end, holds, reset, sent } from './probe.js';
import { manyResources, movedUpstream, oneMoreCredential, oneMoreUpstream } from './resources.js';

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
  /** Longest hold of the main thread's event loop while it compiled, and of all loops until all was quiet. */
  readonly mainHoldMs: number;
  readonly workerHoldMs: number;
  readonly sentBytes: number;
}

const [count = 0, workers = 0] = process.argv.slice(2).map(Number);
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
    const [main, ...others] = await holds(isThreaded ? workers : 0);
    return {
      name,
      compileMs: until - from,
      swapMs,
      compileCpuMs: millis(compiledCpu),
      swapCpuMs: millis(swappedCpu) - millis(compiledCpu),
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
const steps = [await measured.step('from nothing', manyResources(count))];
const repeated = async (name: string, changed: (index: number) => Entry[]) => {
  const all: SwapStep[] = [];
  for (let index = 0; index < REPEAT_COUNT; index++) all.push(await measured.step(name, changed(index)));
  steps.push(median(name, all));
};
await repeated('one upstream changed', (index) => [movedUpstream(count, index)]);
await repeated('one upstream more', (index) => [oneMoreUpstream(index)]);
await repeated('one credential more', (index) => [oneMoreCredential(index)]);
process.stdout.write(`${JSON.stringify(steps)}\n`);
await gateway.stop(0);
end();

function millis({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000;
}

/** The gateway goes on after anything. */
function fail(thrown: unknown): void {
  process.stderr.write(`${thrown instanceof Error ? thrown.stack : thrown}\n`);
  process.exit(1);
}

/** The middle of each figure. */
function median(name: string, all: readonly SwapStep[]): SwapStep {
  const of = (figure: (step: SwapStep) => number) =>
    all.map(figure).sort((a, b) => a - b)[Math.floor(all.length / 2)] as number;
  return {
    name,
    compileMs: of(({ compileMs }) => compileMs),
    swapMs: of(({ swapMs }) => swapMs),
    compileCpuMs: of(({ compileCpuMs }) => compileCpuMs),
    swapCpuMs: of(({ swapCpuMs }) => swapCpuMs),
    mainHoldMs: of(({ mainHoldMs }) => mainHoldMs),
    workerHoldMs: of(({ workerHoldMs }) => workerHoldMs),
    sentBytes: of(({ sentBytes }) => sentBytes),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
