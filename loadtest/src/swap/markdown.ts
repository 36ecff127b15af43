import { table } from '../markdown.js';
import type { SwapResult } from './result.js';

const COLUMNS = [
  ...['workers', 'change', 'compile ms', 'swap ms', 'processor ms'],
  ...['longest hold ms, main', 'workers', 'bytes to workers'],
];

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
          ms(step.compileCpuMs + step.swapCpuMs),
          ...[ms(step.mainHoldMs), workers > 1 ? ms(step.workerHoldMs) : ''],
          workers > 1 ? step.sentBytes.toLocaleString('en') : '',
        ]),
      ),
    ),
  ].join('\n\n');
}

function ms(value: number): string {
  return value.toFixed(1);
}
