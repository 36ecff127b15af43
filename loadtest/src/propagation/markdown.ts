import { BYTES_PER_MB, problemSection, table } from '../markdown.js';
import { percentile } from '../statistics.js';
import type { PropagationCell, PropagationResult } from './result.js';

/** The report of a run with `--propagation`. */
export function renderPropagation(result: PropagationResult): string {
  const { machine, cells, servingNodesCount, lightNodesCount, resourcesCount, snapshot, problems } = result;
  const header = [
    'change',
    'over',
    'changes',
    'p50 ms',
    'p99 ms',
    'max ms',
    'target p99',
    'with validation, p50 ms',
  ];
  const bytes = ['change', 'over', 'bytes of it', 'bytes to a node, p50', 'bytes to a node, max'];
  return [
    `## From commit to the last acknowledgement: ${servingNodesCount + lightNodesCount} nodes, ${resourcesCount.toLocaleString('en')} resources`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node.js ${machine.node}; etcd, one control plane,
${servingNodesCount} nodes that serve and ${lightNodesCount} that only follow, all on this machine. Measured from the time of the revision, which is
taken before it is stored, to the answer of the call that waits for all nodes.`,
    table(header, cells.map(timeRow)),
    '### What goes to each light node',
    table(
      bytes,
      cells.map((cell) => bytesRow(cell, lightNodesCount)),
    ),
    ...(snapshot === undefined
      ? []
      : [
          `The first revision, ${(snapshot.bytes / BYTES_PER_MB).toFixed(1)} MB of resources, was run by every node ${(snapshot.callMs / 1000).toFixed(1)} s after the call that made it began.`,
        ]),
    ...problemSection(problems),
  ].join('\n\n');
}

function timeRow(cell: PropagationCell): string[] {
  const { what, changesCount, limitMs, lastAckMs, callMs } = cell;
  const p99 = at(lastAckMs, 0.99);
  return [
    what,
    over(cell),
    String(changesCount),
    shown(at(lastAckMs, 0.5)),
    shown(p99),
    shown(at(lastAckMs, 1)),
    `${limitMs} ms ${p99 <= limitMs ? 'met' : 'missed'}`,
    shown(at(callMs, 0.5)),
  ];
}

function bytesRow(cell: PropagationCell, nodesCount: number): string[] {
  const each = (bytes: number) => Math.round(bytes / nodesCount).toLocaleString('en');
  return [
    cell.what,
    over(cell),
    Math.round(at(cell.changeBytes, 0.5)).toLocaleString('en'),
    each(at(cell.receivedBytes, 0.5)),
    each(at(cell.receivedBytes, 1)),
  ];
}

function over({ isOnNats }: PropagationCell): string {
  return isOnNats ? 'NATS' : 'gRPC';
}

function at(values: readonly number[], fraction: number): number {
  return percentile(
    [...values].sort((a, b) => a - b),
    fraction,
  ) as number;
}

function shown(milliseconds: number): string {
  return milliseconds.toFixed(1);
}
