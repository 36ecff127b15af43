import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningGateway, startGateway } from '../gateway.js';
import type { PLACES } from '../stories/places.js';
import { FEATURES, type Feature } from './features.js';
import { FRONT_TRANSPORTS, type FrontTransport } from './front-transports.js';
import { LOSSES, type Loss } from './losses.js';
import { Bench, configFileOf, type Pair, type Server } from './pair.js';
import { checkRefusal, isRefused } from './refusal.js';
import { type ReachableFixture, reach, UPSTREAM_TRANSPORTS } from './upstream-transports.js';

/** One test: a feature between a client and a server, or something that this client cannot say to this server. */
export interface Cell {
  readonly pair: Pair;
  readonly feature?: Feature;
  readonly loss?: Loss;
}

const SERVERS: readonly Server[] = UPSTREAM_TRANSPORTS.flatMap((transport) =>
  transport.eras.map((era) => ({
    name: `${transport.fixture}${transport.isShared ? '-shared' : ''}-${era}`,
    era,
    transport,
  })),
);

/** The transport that every client and server has: elsewhere only names, or only transports, differ. */
const COMMON_TRANSPORT = 'streamable HTTP';

function pairsOf(place: keyof typeof PLACES): Pair[] {
  return SERVERS.flatMap((server) =>
    FRONT_TRANSPORTS.filter((front) => isWanted(place, front, server)).flatMap((front) =>
      front.eras.map((client) => ({ client, front, server, place })),
    ),
  );
}

/** The path of all has its clients come one after another, which takes its time: `npm test` runs a part of them. */
const RUNS_ALL = process.env.SLUICE_TEST_FULL !== undefined;

/**
 * In that part, what the path of all adds is told over one transport of each kind: those whose messages come with
 * requests, and those that carry nothing but messages.
 */
const MERGED_FRONTS: readonly string[] = [COMMON_TRANSPORT, 'WebSocket'];
const MERGED_SERVERS: readonly string[] = [COMMON_TRANSPORT, 'WebSocket', 'stdio', 'stdio, shared process'];

/**
 * A relay is told apart from what it relays to by one transport. A gateway of the client's own has one server: there is
 * no path of all that would show anything else.
 */
function isWanted(place: keyof typeof PLACES, front: FrontTransport, { transport }: Server): boolean {
  if (front.isRelay) return transport.name === COMMON_TRANSPORT;
  return place === 'its own path' || !front.isPrivate;
}

function isInShortRun({ front, server: { transport }, place }: Pair): boolean {
  if (place === 'its own path') return true;
  return front.name === COMMON_TRANSPORT
    ? MERGED_SERVERS.includes(transport.name)
    : MERGED_FRONTS.includes(front.name) && transport.name === COMMON_TRANSPORT;
}

const DIRECT_PAIRS = pairsOf('its own path');
const ALL_MERGED_PAIRS = pairsOf('the path of all');
const MERGED_PAIRS = ALL_MERGED_PAIRS.filter((pair) => RUNS_ALL || isInShortRun(pair));

export const PAIRS: readonly Pair[] = [...DIRECT_PAIRS, ...MERGED_PAIRS];

function cellsOf(pairs: readonly Pair[]): Cell[] {
  return pairs.flatMap((pair) => [
    ...FEATURES.map((feature) => ({ pair, feature })),
    ...lossesOf(pair).map((loss) => ({ pair, loss })),
  ]);
}

/** Those of this run. */
export const CELLS: readonly Cell[] = cellsOf(PAIRS);

/** Those of `npm test`, which the page is made from whatever runs. */
export const SHORT_RUN: ReadonlySet<Cell> = new Set(CELLS.filter(({ pair }) => isInShortRun(pair)));

/** How many there are in the full run. */
export const FULL_RUN_COUNT = cellsOf([...DIRECT_PAIRS, ...ALL_MERGED_PAIRS]).length;

/** The path of all routes the methods that it knows, which tasks are not of, so that there is nothing to see of them. */
function lossesOf({ client, server, place }: Pair): Loss[] {
  if (place === 'the path of all' || server.transport.isShared) return [];
  return LOSSES.filter((loss) => loss.client === client && loss.server === server.era);
}

export function nameOf({ feature, loss }: Cell): string {
  return feature?.name ?? `cannot say: ${loss?.name}`;
}

/** What a cell saw: the feature, that it is refused where it has to be, or something else. */
export type Outcome =
  | { readonly saw: 'feature' | 'refusal' }
  | { readonly saw: 'loss'; readonly instead: string }
  | { readonly saw: 'fault'; readonly error: unknown };

/**
 * Runs all cells between one gateway of two workers and one fixture for each transport and era. Clients of one server
 * come after one another, because what one changes there all others would hear; servers go side by side.
 */
export class MatrixRun {
  private readonly outcomes = new Map<Cell, Promise<Outcome>>();
  /** Resolves when the last client has gone. */
  private readonly ended: Promise<unknown>;

  private constructor(
    private readonly fixtures: readonly ReachableFixture[],
    private readonly gateway: RunningGateway,
    private readonly folder: string,
  ) {
    const lanes = SERVERS.map((server) => DIRECT_PAIRS.filter((pair) => pair.server === server));
    const ends = lanes.map((pairs) => this.queue(pairs, Promise.resolve()));
    this.ended = this.queue(MERGED_PAIRS, Promise.all(ends));
  }

  static async start(): Promise<MatrixRun> {
    const fixtures = await Promise.all(SERVERS.map(({ transport, era }) => reach(transport, era)));
    const upstreams = SERVERS.map(({ name }, i) => ({ name, ...fixtures[i]?.entry }));
    const folder = await mkdtemp(join(tmpdir(), 'sluice-matrix-'));
    for (const upstream of upstreams)
      await writeFile(configFileOf(folder, upstream.name), JSON.stringify({ upstreams: [upstream] }));
    return new MatrixRun(fixtures, await startGateway({ config: { upstreams }, workers: 2 }), folder);
  }

  /** Resolves when the cell has run. */
  outcome(cell: Cell): Promise<Outcome> {
    return this.outcomes.get(cell) as Promise<Outcome>;
  }

  async stop(): Promise<void> {
    await this.ended;
    await this.gateway.stop();
    await Promise.all(this.fixtures.map((fixture) => fixture.stop()));
    await rm(this.folder, { recursive: true });
  }

  /** Puts the cells of these pairs behind one another; returns the end of the last. */
  private queue(pairs: readonly Pair[], before: Promise<unknown>): Promise<unknown> {
    let last = before;
    for (const pair of pairs) {
      const bench = new Bench(pair, this.gateway.url, this.folder);
      for (const cell of CELLS) {
        if (cell.pair !== pair) continue;
        const outcome = last.then(() => run(cell, bench));
        this.outcomes.set(cell, outcome);
        last = outcome;
      }
      last = last.then(() => bench.close());
    }
    return last;
  }
}

async function run({ feature, loss, pair }: Cell, bench: Bench): Promise<Outcome> {
  try {
    if (loss !== undefined) return { saw: 'loss', instead: await loss.check(bench) };
    if (feature === undefined) throw new Error('a cell of nothing');
    if (isRefused(feature, pair)) {
      await checkRefusal(feature, bench);
      return { saw: 'refusal' };
    }
    await feature.check(bench);
    return { saw: 'feature' };
  } catch (error) {
    return { saw: 'fault', error };
  }
}
