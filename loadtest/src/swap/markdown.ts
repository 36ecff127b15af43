import { table } from '../markdown.js';
import type { SwapResult, SwapStep } from './result.js';

const COLUMNS = [
  ...['workers', 'change', 'compile ms', 'swap ms', 'processor ms: compile', 'swap', 'after'],
  ...['collections ms', 'longest step ms', 'longest hold ms, main', 'workers', 'bytes to workers'],
];
/** Steps and works that are shown of the first configuration. */
const SHOWN_COUNT = 8;

/** The report of a run with `--swap`. */
export function renderSwap({ processor, node, resources, cells }: SwapResult): string {
  return [
    '## What a configuration costs a node',
    `${processor}, Node.js ${node}; ${resources.toLocaleString('en')} resources.`,
    'A hold is wall time: on a machine that does other things it has their time in it.',
    table(
      COLUMNS,
      cells.flatMap(({ workers, steps }) =>
        steps.map((step) => [
          ...[String(workers), step.name, ms(step.compileMs), ms(step.swapMs)],
          ...[ms(step.compileCpuMs), ms(step.swapCpuMs), ms(step.afterCpuMs), ms(step.gcMs)],
          ms(step.long[0]?.ms ?? 0),
          ...[ms(step.mainHoldMs), workers > 1 ? ms(step.workerHoldMs) : ''],
          workers > 1 ? step.sentBytes.toLocaleString('en') : '',
        ]),
      ),
    ),
    'A step is the time between two looks at requests; its figure is the least of all repetitions.',
    ...cells.flatMap(({ workers, steps }) => steps.map((step) => ofSteps(workers, step))),
  ].join('\n\n');
}

/** Where the time of a change went, and which steps were the longest. */
function ofSteps(workers: number, { name, workMs, long }: SwapStep): string {
  const works = Object.entries(workMs)
    .sort(([, a], [, b]) => b - a)
    .slice(0, SHOWN_COUNT)
    .map(([work, each]) => `${work} ${ms(each)}`);
  const steps = long.slice(0, SHOWN_COUNT).map(({ work, step, ms: each }) => `${work} #${step} ${ms(each)}`);
  return `- ${workers}, ${name}: ${works.join(', ')} ms. Longest: ${steps.join(', ')}.`;
}

function ms(value: number): string {
  return value.toFixed(1);
}
