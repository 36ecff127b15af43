/**
 * Swaps configurations into all workers or into none, one after the other. First all of them prepare, which can fail;
 * only when all have, all are told to swap, which cannot.
 */
import type { ResolvedConfiguration } from '@sluice/proto';
import { keptIfAllSame, keptIfSame } from '../routing/kept.js';
import { inSlices } from './slices.js';

/** As much as is done at once of what takes less than a microsecond each. */
const FEW_COUNT = 500;

/** The workers of a node. */
export interface SwappingWorkers {
  /** Rejects when one of them cannot run the next configuration. What is the same in both is the same object. */
  prepare(next: ResolvedConfiguration, running: ResolvedConfiguration): Promise<void>;
  /** All that have prepared run what they have prepared. */
  swap(): Promise<void>;
  /** Those that have prepared forget that. */
  drop(): Promise<void>;
}

export class Swaps {
  private running: ResolvedConfiguration;
  private last: Promise<unknown> = Promise.resolve();

  /** @param gateway of the configuration with which the workers have begun; they run nothing else yet. */
  constructor(
    private readonly workers: SwappingWorkers,
    { gateway }: Pick<ResolvedConfiguration, 'gateway'>,
  ) {
    this.running = withoutContent({ gateway });
  }

  /** Rejects when a worker cannot run it; then all of them run what they ran before, and nothing is left of it. */
  apply(wanted: ResolvedConfiguration): Promise<void> {
    const swapped = this.last.then(() => this.swap(wanted));
    this.last = swapped.catch(() => undefined);
    return swapped;
  }

  private async swap(wanted: ResolvedConfiguration): Promise<void> {
    const next = await inSlices(sharing(this.running, wanted));
    try {
      await this.workers.prepare(next, this.running);
    } catch (thrown) {
      await this.workers.drop();
      throw thrown;
    }
    this.running = next;
    await this.workers.swap();
  }
}

/** What workers begin with: the settings of a gateway that serves nothing. */
export function withoutContent({ gateway }: Pick<ResolvedConfiguration, 'gateway'>): ResolvedConfiguration {
  return { gateway, upstreams: [], servers: [], plugins: [] };
}

/** The next configuration, which shares with the one before what is the same. */
function* sharing(
  before: ResolvedConfiguration,
  next: ResolvedConfiguration,
): Generator<void, ResolvedConfiguration, void> {
  const { trial, ...rest } = next;
  const shared = {
    ...rest,
    gateway: keptIfSame(before.gateway, next.gateway),
    upstreams: yield* keptList(before.upstreams, next.upstreams),
    servers: yield* keptList(before.servers, next.servers),
    plugins: yield* keptList(before.plugins, next.plugins),
  };
  if (trial === undefined) return shared;
  return { ...shared, trial: { ...trial, configuration: yield* sharing(shared, trial.configuration) } };
}

function* keptList<T extends { readonly name: string }>(
  before: readonly T[],
  next: readonly T[],
): Generator<void, readonly T[], void> {
  if (before === next) return before;
  let earlier: ReadonlyMap<string, T> | undefined;
  const kept: T[] = [];
  for (const [index, each] of next.entries()) {
    if (each === before[index]) {
      kept.push(each);
      if (index % FEW_COUNT === 0) yield;
      continue;
    }
    earlier ??= new Map(before.map((one) => [one.name, one]));
    kept.push(keptIfSame(earlier.get(each.name), each));
    yield;
  }
  return keptIfAllSame(before, kept);
}
