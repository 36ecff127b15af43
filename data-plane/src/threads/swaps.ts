/** How a configuration comes to worker threads: the main thread's side, which has the whole, and that of each thread. */
import type { ResolvedConfiguration } from '@sluice/proto';
import { memoryNames, type SharedMemory, sharedMemory } from '../chain/shared-memory.js';
import { CannotRun } from '../snapshot/cannot-run.js';
import { type Delta, deltaOf, WrongBaseError, withDelta } from '../snapshot/delta.js';
import { inSlices } from '../snapshot/slices.js';
import { type SwappingWorkers, withoutContent } from '../snapshot/swaps.js';
import type { Worker } from '../worker.js';
import type { Fault, ToThread } from './messages.js';

/** What threads have that were told nothing yet. */
const FIRST_EDITION = 0;

/** Says the same to all threads; resolves with how it went in each. */
export type TellAll = (message: (id: number) => ToThread) => Promise<readonly (Fault | undefined)[]>;

/** All threads of a node. */
export class TeamSwaps implements SwappingWorkers {
  private edition = FIRST_EDITION;
  private nextEdition = FIRST_EDITION;
  private shared: SharedMemory = new Map();
  private sharedNext: SharedMemory = this.shared;

  constructor(
    private readonly tellAll: TellAll,
    /** A thread did what it must not, so that they do not all run the same. */
    private readonly broken: (reason: string) => void,
  ) {}

  async prepare(next: ResolvedConfiguration, running: ResolvedConfiguration): Promise<void> {
    const memory = await inSlices(sharedMemory(next, this.shared));
    this.sharedNext = memory;
    const edition = ++this.nextEdition;
    const delta = await inSlices(deltaOf(running, next, { base: this.edition, edition }));
    const added = new Map([...memory].filter(([name, each]) => this.shared.get(name) !== each));
    let faults = await this.tellAll((id) => ({ type: 'prepare', id, delta, shared: added }));
    if (faults.some((fault) => fault?.isWrongBase)) {
      await this.drop();
      const whole = await inSlices(deltaOf(withoutContent(next), next, { base: FIRST_EDITION, edition }));
      faults = await this.tellAll((id) => ({ type: 'prepare', id, delta: whole, shared: memory }));
    }
    const fault = faults.find((each) => each !== undefined);
    if (fault !== undefined) throw thrownOf(fault);
  }

  async swap(): Promise<void> {
    this.edition = this.nextEdition;
    this.shared = this.sharedNext;
    const faults = await this.tellAll((id) => ({ type: 'swap', id }));
    const fault = faults.find((each) => each !== undefined);
    if (fault !== undefined) this.broken(fault.message);
  }

  async drop(): Promise<void> {
    await this.tellAll((id) => ({ type: 'drop', id }));
  }
}

/** One thread. */
export class ThreadSwaps {
  private readonly empty: ResolvedConfiguration;
  private running: ResolvedConfiguration;
  private edition = FIRST_EDITION;
  private shared: SharedMemory = new Map();
  private next:
    | { readonly configuration: ResolvedConfiguration; edition: number; shared: SharedMemory }
    | undefined;

  constructor(
    private readonly worker: Pick<Worker, 'prepare' | 'swap' | 'drop'>,
    configuration: ResolvedConfiguration,
  ) {
    this.empty = withoutContent(configuration);
    this.running = this.empty;
  }

  /** @param added memory that is new */
  async prepare(delta: Delta, added: SharedMemory): Promise<void> {
    // Whatever is there, the whole can be made of nothing.
    const isWhole = delta.base === FIRST_EDITION;
    const [before, edition] = isWhole ? [this.empty, FIRST_EDITION] : [this.running, this.edition];
    const configuration = await inSlices(withDelta(before, edition, delta));
    const shared = new Map<string, SharedArrayBuffer>();
    for (const [name] of memoryNames(configuration)) {
      const memory = added.get(name) ?? this.shared.get(name);
      if (memory !== undefined) shared.set(name, memory);
    }
    await this.worker.prepare(configuration, shared);
    this.next = { configuration, edition: delta.edition, shared };
  }

  async swap(): Promise<void> {
    if (this.next === undefined) throw new Error('nothing was prepared');
    const { configuration, edition, shared } = this.next;
    this.next = undefined;
    const swapped = this.worker.swap();
    this.running = configuration;
    this.edition = edition;
    this.shared = shared;
    await swapped;
  }

  async drop(): Promise<void> {
    this.next = undefined;
    await this.worker.drop();
  }
}

export function faultOf(thrown: unknown): Fault {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (thrown instanceof WrongBaseError) return { message, isWrongBase: true };
  if (!(thrown instanceof CannotRun)) return { message };
  const { culprit, culpritName, mayPass } = thrown;
  return { message, culprit: { culprit, culpritName, mayPass } };
}

export function thrownOf({ message, culprit }: Fault): Error {
  if (culprit === undefined) return new Error(message);
  return new CannotRun(culprit.culprit, culprit.culpritName, message, culprit.mayPass);
}
