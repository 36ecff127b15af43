import { fileURLToPath } from 'node:url';
import type { Surroundings } from '../benchmark.js';
import { describeMachine } from '../machine.js';
import { NODE_PROGRAM } from '../node-program.js';
import type { SwapOptions } from '../options.js';
import { least, median, together } from './least.js';
import type { SwapCell, SwapResult, SwapStep } from './result.js';

const BENCH = '../../../data-plane/dist/snapshot/swap-bench';
const PROGRAM = fileURLToPath(new URL(`${BENCH}/program.js`, import.meta.url));
/** Loaded into each thread of it. */
const PROBE = new URL(`${BENCH}/probe.js`, import.meta.url).href;
const WORKER_COUNTS = [1, 2];
/** Starts, each of which begins with nothing. */
const START_COUNT = 5;
const SECONDS_EACH = 60;
const TIME_LIMIT_MS = 300_000;

/**
 * Measures what a configuration of many resources, and one change of it, cost a node that serves.
 * @throws Error when the measured process fails.
 */
export async function measureSwap(
  { swapped: resources }: SwapOptions,
  { processes, progress }: Surroundings,
): Promise<SwapResult> {
  const startedAt = new Date().toISOString();
  progress.plan(WORKER_COUNTS.length, WORKER_COUNTS.length * SECONDS_EACH);
  const cells: SwapCell[] = [];
  for (const workers of WORKER_COUNTS) {
    progress.step(`${resources} resources, ${workers} workers`, SECONDS_EACH);
    const run = async (...which: string[]): Promise<SwapStep[][]> => {
      const measured = processes.start({
        name: 'the measured node',
        command: NODE_PROGRAM,
        args: ['--import', PROBE, PROGRAM, String(resources), String(workers), ...which],
      });
      const isSteps = (line: string) => (line.startsWith('[[') ? line : undefined);
      const steps = JSON.parse(await measured.waitForLine(isSteps, TIME_LIMIT_MS)) as SwapStep[][];
      await measured.end();
      return steps;
    };
    const firsts: SwapStep[] = [];
    for (let start = 1; start < START_COUNT; start++) firsts.push(...(await run('first')).flat());
    const [first = [], ...changes] = await run();
    const steps = [together([...firsts, ...first], least), ...changes.map((each) => together(each, median))];
    cells.push({ workers, steps });
  }
  const { cpu: processor, node } = describeMachine('', undefined);
  return {
    formatVersion: 1,
    measures: 'swap',
    startedAt,
    finishedAt: new Date().toISOString(),
    resources,
    processor,
    node,
    cells,
  };
}
