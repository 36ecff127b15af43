/* All workers of a node swap, or none of them, whatever goes wrong where. */
import { type ResolvedConfiguration, resolveGateway } from '@sluice/proto';
import { describe, expect, it } from 'vitest';
import { CannotRun } from '../snapshot/cannot-run.js';
import { Swaps } from '../snapshot/swaps.js';
import type { Fault, ToThread } from './messages.js';
import { faultOf, TeamSwaps, ThreadSwaps } from './swaps.js';

const gateway = resolveGateway(undefined);
const of = (...names: string[]) =>
  ({
    gateway,
    upstreams: names.map((name) => ({ name, id: name })),
    servers: [],
    plugins: [],
  }) as unknown as ResolvedConfiguration;

/** A worker that notes what it runs, and fails where it is told to. */
class NotingWorker {
  running: readonly string[] = [];
  failsOn: string | undefined;
  prepared: readonly string[] | undefined;
  preparedCount = 0;
  readonly seen: object[] = [];

  async prepare({ upstreams }: ResolvedConfiguration): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const names = upstreams.map(({ name }) => name);
    const bad = names.find((name) => name === this.failsOn);
    if (bad !== undefined) throw new CannotRun('upstream', bad, new Error('it cannot be reached'), true);
    this.prepared = names;
    this.preparedCount++;
    this.seen.push(...upstreams);
  }

  async swap(): Promise<void> {
    this.running = this.prepared as readonly string[];
    this.prepared = undefined;
  }

  async drop(): Promise<void> {
    this.prepared = undefined;
  }
}

function team(count: number) {
  const workers = Array.from({ length: count }, () => new NotingWorker());
  const threads = workers.map((worker) => new ThreadSwaps(worker, of()));
  const broken: string[] = [];
  const told: string[] = [];
  let forgets: number | undefined;
  const tellAll = (message: (id: number) => ToThread) => {
    const order = message(0);
    told.push(order.type);
    return Promise.all(
      threads.map(async (thread, index): Promise<Fault | undefined> => {
        // What goes to another thread is another object there.
        const copy = structuredClone(order);
        try {
          if (forgets === index && copy.type === 'prepare') {
            forgets = undefined;
            threads[index] = new ThreadSwaps(workers[index] as NotingWorker, of());
            await threads[index]?.prepare(copy.delta, copy.shared);
          } else if (copy.type === 'prepare') await thread.prepare(copy.delta, copy.shared);
          else if (copy.type === 'swap') await thread.swap();
          else await thread.drop();
          return undefined;
        } catch (thrown) {
          return structuredClone(faultOf(thrown));
        }
      }),
    );
  };
  const swaps = new Swaps(new TeamSwaps(tellAll, (reason) => void broken.push(reason)), of());
  const runs = () => workers.map(({ running }) => running);
  return {
    swaps,
    workers,
    runs,
    told,
    broken,
    forgetIn: (index: number) => {
      forgets = index;
    },
  };
}

describe('the workers of a node', () => {
  it('prepare all, and then swap all', async () => {
    const { swaps, runs, told } = team(3);
    await swaps.apply(of('a'));
    await swaps.apply(of('a', 'b'));
    expect(runs()).toEqual([
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'b'],
    ]);
    expect(told).toEqual(['prepare', 'swap', 'prepare', 'swap']);
  });

  it.each([0, 1, 2])('go on with what they run when worker %i cannot run the next', async (failing) => {
    const { swaps, workers, runs, told } = team(3);
    await swaps.apply(of('a'));
    (workers[failing] as NotingWorker).failsOn = 'bad';
    const refusal = await swaps.apply(of('a', 'bad')).catch((thrown: unknown) => thrown);
    expect(refusal).toBeInstanceOf(CannotRun);
    expect(refusal).toMatchObject({
      message: 'it cannot be reached',
      ...{ culprit: 'upstream', culpritName: 'bad', mayPass: true },
    });
    expect(runs()).toEqual([['a'], ['a'], ['a']]);
    // Nothing is left of it anywhere.
    expect(workers.map(({ prepared }) => prepared)).toEqual([undefined, undefined, undefined]);
    expect(told.slice(2)).toEqual(['prepare', 'drop']);
    await swaps.apply(of('c', 'a'));
    expect(runs()).toEqual([
      ['c', 'a'],
      ['c', 'a'],
      ['c', 'a'],
    ]);
  });

  it('swap one after the other what comes at once', async () => {
    const { swaps, runs, told } = team(2);
    const all = [of('a'), of('a', 'b'), of('c')].map((each) => swaps.apply(each));
    await Promise.all(all);
    expect(runs()).toEqual([['c'], ['c']]);
    expect(told.filter((type) => type === 'prepare')).toHaveLength(3);
  });

  it('keep the very objects of what did not change', async () => {
    const { swaps, workers } = team(1);
    await swaps.apply(of('a'));
    // Read anew from a file: nothing is the same object.
    await swaps.apply(of('a', 'b'));
    const [{ seen }] = workers as [NotingWorker];
    const [first, again] = seen;
    expect(again).toBe(first);
  });

  it('get everything when one of them does not have what a change is made for', async () => {
    const { swaps, runs, forgetIn, told } = team(2);
    await swaps.apply(of('a'));
    await swaps.apply(of('a', 'b'));
    forgetIn(1);
    await swaps.apply(of('a', 'b', 'c'));
    expect(runs()).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
    expect(told.slice(4)).toEqual(['prepare', 'drop', 'prepare', 'swap']);
  });

  it('are given up when one of them could not swap, since they do not run the same any more', async () => {
    const { swaps, workers, broken } = team(2);
    (workers[1] as NotingWorker).swap = () => Promise.reject(new Error('impossible'));
    await swaps.apply(of('a'));
    expect(broken).toEqual(['impossible']);
  });
});
