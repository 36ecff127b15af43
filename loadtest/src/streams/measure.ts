import { readFileSync } from 'node:fs';
import type { Surroundings } from '../benchmark.js';
import { Generator } from '../generator-client.js';
import { startUpstream } from '../laboratory.js';
import { describeMachine } from '../machine.js';
import type { StreamOptions } from '../options.js';
import type { Relay } from '../relays/relay.js';
import { startSluice } from '../relays/sluice.js';
import { collectedFootprint, FOOTPRINT_SECONDS, footprint, footprintEnvironment } from './footprint.js';
import type { StreamKind } from './kinds.js';
import type { StreamCell, StreamFigures, StreamResult } from './result.js';

/** What one idle stream may cost the data plane. */
const LIMIT_BYTES = 12_000;
/** Streams that are open before the first reading. */
const FIRST_COUNT = 100;
/** Streams that are opened between two signs of progress. */
const BATCH_COUNT = 500;
/** Descriptors of a process beside its streams: its files, its library, the benchmark's own requests. */
const SPARE_DESCRIPTOR_COUNT = 200;
/** How fast streams are opened and closed, for the time that the progress line promises. */
const STREAMS_PER_SECOND = 500;

/**
 * Measures what an idle stream costs the data plane, with a gateway of its own for each kind.
 * @throws Error when the upstream or the load generator does not start, or no kind fits into the descriptors.
 */
export async function measureStreams(
  options: StreamOptions,
  { processes, progress, folder }: Surroundings,
): Promise<StreamResult> {
  const startedAt = new Date().toISOString();
  const { streams, kinds } = options;
  const descriptors = descriptorLimit();
  const fitting = kinds.filter((kind) => neededDescriptors(kind, streams) <= descriptors);
  if (fitting.length === 0) throw new Error(tooFewDescriptors(kinds[0] as StreamKind, streams, descriptors));
  const { url, listener } = await startUpstream(processes, true);
  const generator = new Generator(processes);
  const secondsEach = (2 * streams) / STREAMS_PER_SECOND + 3 * FOOTPRINT_SECONDS;
  progress.plan(fitting.length, fitting.length * secondsEach);
  const cells: StreamCell[] = [];
  let gatewayListener: string | undefined;
  for (const kind of kinds) {
    const { id, title, client, upstream } = kind;
    const cell = { kind: id, title, client, upstream };
    if (!fitting.includes(kind)) {
      const reason = tooFewDescriptors(kind, streams, descriptors);
      cells.push({ ...cell, state: 'too few descriptors', reason });
      continue;
    }
    progress.step(id, secondsEach);
    try {
      const relay = await startSluice(processes, {
        era: upstream,
        upstream: url,
        folder,
        env: footprintEnvironment(folder),
        streams: streams + FIRST_COUNT,
      });
      gatewayListener ??= relay.listener;
      const note = (text: string) => progress.note(`${id}: ${text}`);
      cells.push({
        ...cell,
        state: 'measured',
        figures: await measureKind(kind, streams, relay, generator, folder, note),
      });
      await relay.process.end();
    } catch (error) {
      cells.push({ ...cell, state: 'failed', reason: (error as Error).message });
    }
  }
  return {
    formatVersion: 1,
    measures: 'streams',
    startedAt,
    finishedAt: new Date().toISOString(),
    streams,
    limitBytes: LIMIT_BYTES,
    machine: describeMachine(listener, gatewayListener),
    kinds: cells,
    problems: cells.flatMap(problemsOf),
  };
}

async function measureKind(
  kind: StreamKind,
  streams: number,
  relay: Relay,
  generator: Generator,
  folder: string,
  note: (text: string) => void,
): Promise<StreamFigures> {
  const target = { url: `${relay.origin}${kind.path}`, era: kind.client };
  // It calls a tool: the gateway knows its upstream from then on.
  await generator.open(kind.id, target, 1);
  await generator.listen(target, FIRST_COUNT);
  note('waiting until memory has settled before the streams ...');
  const before = await collectedFootprint(relay.process, folder);
  for (let open = 0; open < streams; ) {
    const count = Math.min(BATCH_COUNT, streams - open);
    await generator.listen(target, count);
    open += count;
    note(`${open} of ${streams} streams are open`);
  }
  note('waiting until memory has settled with all streams open ...');
  const open = await footprint(relay.process, folder);
  note('closing all streams ...');
  const lostStreams = await generator.hangUp();
  note('waiting until memory has settled after the streams ...');
  const closed = await collectedFootprint(relay.process, folder);
  return {
    before,
    open,
    closed,
    bytesPerStream: (open.rssBytes - before.rssBytes) / streams,
    heldBytesPerStream: (open.heldBytes - before.heldBytes) / streams,
    lostStreams,
  };
}

/** Files and sockets that a process of ours may have open; Node.js raises its soft limit to the hard one. */
function descriptorLimit(): number {
  const match = /^Max open files +([0-9]+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  return match === null || match[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(match[1]);
}

function neededDescriptors({ descriptorsPerStream }: StreamKind, streams: number): number {
  return (streams + FIRST_COUNT) * descriptorsPerStream + SPARE_DESCRIPTOR_COUNT;
}

function tooFewDescriptors(kind: StreamKind, streams: number, descriptors: number): string {
  const fitting =
    Math.floor((descriptors - SPARE_DESCRIPTOR_COUNT) / kind.descriptorsPerStream) - FIRST_COUNT;
  const needed = neededDescriptors(kind, streams);
  return (
    `${streams} streams need ${needed} file descriptors in one process, and ${descriptors} are allowed: ` +
    `raise \`ulimit -n\`${fitting > 0 ? `, or ask for --streams ${fitting}` : ''}`
  );
}

function problemsOf({ kind, reason, state, figures }: StreamCell): string[] {
  if (state === 'failed') return [`${kind}: ${reason}`];
  return figures !== undefined && figures.lostStreams > 0
    ? [`${kind}: ${figures.lostStreams} streams ended before they were closed`]
    : [];
}
