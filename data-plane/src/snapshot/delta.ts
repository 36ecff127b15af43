/**
 * What changes from one configuration to the next, as it goes to worker threads: only what is new, as JSON that is
 * written once for all of them, in memory that they share.
 */
import type { ResolvedConfiguration, ResolvedTrial } from '@sluice/proto';

const LISTS = ['upstreams', 'servers', 'plugins'] as const;
type List = (typeof LISTS)[number];

/** A list out of the one before: so many from a place in that one on, or so many new ones. */
type Run = readonly [from: number, count: number] | number;

export interface Delta {
  /** Which configuration it changes, and which comes of it. */
  readonly base: number;
  readonly edition: number;
  /** Undefined for a list that stays. */
  readonly runs: Readonly<Record<List, readonly Run[] | undefined>>;
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
  const runs: Partial<Record<List, Run[]>> = {};
  for (const list of LISTS) {
    if (before[list] === next[list]) continue;
    runs[list] = yield* runsOf<object>(before[list], next[list], texts);
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
  const delta = { base, edition, runs: runs as Delta['runs'], bytes, ends };
  if (trial === undefined) return delta;
  const { configuration, ...share } = trial;
  const own = yield* deltaOf(next, configuration, { base: edition, edition });
  return { ...delta, trial: { ...share, delta: own } };
}

function* runsOf<T extends object>(
  before: readonly T[],
  next: readonly T[],
  texts: string[],
): Generator<void, Run[], void> {
  const places = new Map(before.map((each, place) => [each, place]));
  const runs: Run[] = [];
  yield;
  for (const each of next) {
    const place = places.get(each);
    const last = runs.at(-1);
    if (place === undefined) {
      texts.push(JSON.stringify(each));
      if (typeof last === 'number') runs[runs.length - 1] = last + 1;
      else runs.push(1);
      yield;
    } else if (typeof last === 'object' && last[0] + last[1] === place) {
      runs[runs.length - 1] = [last[0], last[1] + 1];
    } else runs.push([place, 1]);
  }
  return runs;
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
  { base, edition: nextEdition, runs, bytes, ends, trial }: Delta,
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
    const old = lists[list];
    const next: object[] = [];
    for (const run of ofList) {
      if (typeof run === 'object') for (let i = 0; i < run[1]; i++) next.push(old[run[0] + i] as object);
      else
        for (let i = 0; i < run; i++) {
          next.push(take());
          yield;
        }
    }
    lists[list] = next;
  }
  const next = { ...rest, ...lists } as ResolvedConfiguration;
  if (trial === undefined) return next;
  const { delta, ...share } = trial;
  const configuration = yield* withDelta(next, nextEdition, delta);
  return { ...next, trial: { ...share, configuration } };
}
