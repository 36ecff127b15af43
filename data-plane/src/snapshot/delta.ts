/**
 * What changes from one configuration to the next, as it goes to worker threads: only what is new, as JSON that is
 * written once for all of them, in memory that they share.
 */
import type { ResolvedConfiguration, ResolvedTrial } from '@sluice/proto';

const LISTS = ['upstreams', 'servers', 'plugins'] as const;
type List = (typeof LISTS)[number];

/** A list out of the one before: so many from a place in that one on, or so many new ones. */
type Run = readonly [from: number, count: number] | number;

/** A list inside of a new entry, such as the keys of a plugin, which comes without it. */
interface Inside {
  /** Of its configuration. */
  readonly member: string;
  /** Where the entry of that name was, whose list it comes out of; undefined when there was none. */
  readonly from: number | undefined;
  readonly runs: readonly Run[];
}

/** Entries from which on a list goes apart from what it is in. */
const LONG_COUNT = 50;

export interface Delta {
  /** Which configuration it changes, and which comes of it. */
  readonly base: number;
  readonly edition: number;
  /** Undefined for a list that stays. */
  readonly runs: Readonly<Record<List, readonly Run[] | undefined>>;
  /** By the place of the entry that it is inside of, among what is new. */
  readonly inside: ReadonlyMap<number, Inside>;
  /** The settings, then what is new of each list, in their order; the end of each in `ends`. */
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
  /** From what comes of it to what some callers are given in its place. */
  readonly trial?: Omit<ResolvedTrial, 'configuration'> & { readonly delta: Delta };
}

/** It changes another configuration than the one that is there. */
export class WrongBaseError extends Error {
  constructor(base: number, edition: number) {
    super(`the change is made for configuration ${base}, and ${edition} runs here`);
    this.name = 'WrongBaseError';
  }
}

/** Yields after each part. What is the same in both has to be the same object. */
export function* deltaOf(
  before: ResolvedConfiguration,
  next: ResolvedConfiguration,
  { base, edition }: Pick<Delta, 'base' | 'edition'>,
): Generator<void, Delta, void> {
  const { upstreams: _, servers: __, plugins: ___, trial, ...rest } = next;
  const texts = [JSON.stringify(rest)];
  function* plain(each: unknown): Generator<void, void, void> {
    texts.push(JSON.stringify(each));
    yield;
  }
  const runs: Partial<Record<List, Run[]>> = {};
  const inside = new Map<number, Inside>();
  for (const list of LISTS) {
    const old: readonly Named[] = before[list];
    const all: readonly Named[] = next[list];
    if (old === all) continue;
    runs[list] = yield* runsOf(old, all, function* (each) {
      const at = texts.length;
      const member = longList(each);
      if (member === undefined) return yield* plain(each);
      texts.push(JSON.stringify({ ...each, config: { ...each.config, [member]: [] } }));
      const found = old.findIndex(({ name }) => name === each.name);
      const from = found === -1 ? undefined : found;
      const entries = yield* runsOf(listIn(old, from, member), listIn(all, all.indexOf(each), member), plain);
      inside.set(at, { member, from, runs: entries });
    });
  }
  const pieces: Buffer[] = [];
  const ends = new Uint32Array(texts.length);
  let size = 0;
  for (const [index, text] of texts.entries()) {
    const piece = Buffer.from(text);
    pieces.push(piece);
    size += piece.length;
    ends[index] = size;
    yield;
  }
  const bytes = new Uint8Array(new SharedArrayBuffer(size));
  let start = 0;
  for (const piece of pieces) {
    bytes.set(piece, start);
    start += piece.length;
    yield;
  }
  const delta = { base, edition, runs: runs as Delta['runs'], inside, bytes, ends };
  if (trial === undefined) return delta;
  const { configuration, ...share } = trial;
  const own = yield* deltaOf(next, configuration, { base: edition, edition });
  return { ...delta, trial: { ...share, delta: own } };
}

/** @param put writes down one that is new, and yields */
function* runsOf<T>(
  before: readonly T[],
  next: readonly T[],
  put: (each: T) => Generator<void, void, void>,
): Generator<void, Run[], void> {
  const places = new Map(before.map((each, place) => [each, place]));
  const runs: Run[] = [];
  yield;
  for (const each of next) {
    const place = places.get(each);
    const last = runs.at(-1);
    if (place === undefined) {
      yield* put(each);
      if (typeof last === 'number') runs[runs.length - 1] = last + 1;
      else runs.push(1);
    } else if (typeof last === 'object' && last[0] + last[1] === place) {
      runs[runs.length - 1] = [last[0], last[1] + 1];
    } else runs.push([place, 1]);
  }
  return runs;
}

/** What stands in a list of a configuration. */
interface Named {
  readonly name: string;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The name of the longest list of objects in its configuration; undefined when none is long. */
function longList({ config }: Named): string | undefined {
  let longest: string | undefined;
  let count = LONG_COUNT;
  for (const [name, list] of Object.entries(config ?? {})) {
    if (name === '__proto__' || !Array.isArray(list) || list.length < count) continue;
    if (!list.every((each) => typeof each === 'object' && each !== null)) continue;
    longest = name;
    count = list.length;
  }
  return longest;
}

function listIn(entries: readonly Named[], place: number | undefined, member: string): readonly unknown[] {
  const config = place === undefined ? undefined : entries[place]?.config;
  const list = config !== undefined && Object.hasOwn(config, member) ? config[member] : undefined;
  return Array.isArray(list) ? list : [];
}

/**
 * The next configuration; what did not change is the very same object as in the one before. Yields after each part.
 *
 * @param edition of the one before
 * @throws WrongBaseError
 */
export function* withDelta(
  before: ResolvedConfiguration,
  edition: number,
  { base, edition: nextEdition, runs, inside, bytes, ends, trial }: Delta,
): Generator<void, ResolvedConfiguration, void> {
  if (base !== edition) throw new WrongBaseError(base, edition);
  // Text decoders do not read memory that is shared.
  const own = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let place = 0;
  const take = () => {
    const start = place === 0 ? 0 : (ends[place - 1] as number);
    return JSON.parse(own.toString('utf8', start, ends[place++] as number)) as never;
  };
  const rest = take() as Omit<ResolvedConfiguration, List>;
  const lists: Record<List, readonly object[]> = {
    upstreams: before.upstreams,
    servers: before.servers,
    plugins: before.plugins,
  };
  for (const list of LISTS) {
    const ofList = runs[list];
    if (ofList === undefined) continue;
    const old = lists[list] as readonly Named[];
    lists[list] = yield* taken(old, ofList, function* () {
      const own = inside.get(place);
      const entry = take() as Named & { config: Record<string, unknown> };
      yield;
      if (own === undefined) return entry;
      const { member, from, runs } = own;
      entry.config[member] = yield* taken(listIn(old, from, member), runs, function* () {
        // What has been checked of such entries is remembered, as long as they cannot change.
        const one = frozen(take());
        yield;
        return one;
      });
      return entry;
    });
  }
  const next = { ...rest, ...lists } as ResolvedConfiguration;
  if (trial === undefined) return next;
  const { delta, ...share } = trial;
  const configuration = yield* withDelta(next, nextEdition, delta);
  return { ...next, trial: { ...share, configuration } };
}

/** A list out of the one before. */
function* taken<T>(
  before: readonly T[],
  runs: readonly Run[],
  take: () => Generator<void, T, void>,
): Generator<void, T[], void> {
  const next: T[] = [];
  for (const run of runs) {
    if (typeof run === 'object') for (let i = 0; i < run[1]; i++) next.push(before[run[0] + i] as T);
    else for (let i = 0; i < run; i++) next.push(yield* take());
  }
  return next;
}

/** Through and through. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const member of Object.values(value)) frozen(member);
  return Object.freeze(value);
}
