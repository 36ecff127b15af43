import { BYTES_PER_MB, NOT_MEASURED, problemSection, table } from '../markdown.js';
import type { Footprint, StreamCell, StreamResult } from './result.js';

const BYTES_PER_KB = 1_000;

/** The report of a run with `--streams`. */
export function renderStreams(result: StreamResult): string {
  const { machine, streams, limitBytes, kinds, problems } = result;
  const gateway = machine.gatewayListener === undefined ? '' : `; gateways on ${machine.gatewayListener}`;
  const header = [
    'stream',
    'client',
    'server',
    'RSS MB',
    'held MB',
    'descriptors',
    'held KB each',
    'RSS KB each',
    `≤ ${limitBytes / BYTES_PER_KB} KB`,
  ];
  return [
    `## ${streams.toLocaleString('en')} idle streams on one gateway`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node.js ${machine.node}${gateway}.`,
    `Three figures: before, with all streams open, after they were closed. *RSS* is resident memory of the data plane,
with the garbage of the opening when all are open; *held* is what V8 keeps after a collection.`,
    table(
      header,
      kinds.map((cell) => row(cell, limitBytes)),
    ),
    ...kinds.flatMap(({ state, reason, kind }) =>
      state === 'too few descriptors' ? [`${kind} was not measured: ${reason}.`] : [],
    ),
    ...problemSection(problems),
  ].join('\n\n');
}

function row({ title, client, upstream, state, figures }: StreamCell, limitBytes: number): string[] {
  const who = [title, client, upstream];
  if (figures === undefined) {
    const why = state === 'failed' ? 'failed, see Problems' : state;
    return [...who, why, ...Array<string>(4).fill(''), NOT_MEASURED];
  }
  const { before, open, closed, bytesPerStream, heldBytesPerStream } = figures;
  const three = (text: (each: Footprint) => string) => [before, open, closed].map(text).join(', ');
  return [
    ...who,
    three(({ rssBytes }) => (rssBytes / BYTES_PER_MB).toFixed(1)),
    three(({ heldBytes }) => (heldBytes / BYTES_PER_MB).toFixed(1)),
    three(({ descriptors }) => String(descriptors)),
    (heldBytesPerStream / BYTES_PER_KB).toFixed(1),
    (bytesPerStream / BYTES_PER_KB).toFixed(1),
    bytesPerStream <= limitBytes ? 'met' : 'missed',
  ];
}
