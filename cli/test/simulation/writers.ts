/** Those who change the configuration, at any replica, often several at once; and the operator of the store. */
import {
  type Checkpoint,
  CheckpointSchema,
  create,
  type Entry,
  entryOf,
  type KeyText,
  type Resource,
  ResourceSchema,
  type ResourceState,
  type RolloutPlan,
  RolloutPlanSchema,
} from '@sluice/proto/cluster';
import { ConflictError } from '../../../control-plane/src/revisions/conflict.js';
import type { ConfigurationHead, Wanted } from '../../../control-plane/src/revisions/head.js';
import { NoRolloutError, RolloutOverError } from '../../../control-plane/src/rollout/rollouts.js';
import { StoreUnavailableError } from '../../../control-plane/src/store/revision-log.js';
import type { Refused } from '../../../data-plane/src/snapshot/follower.js';
import { refusalOf } from './simulated-node.js';
import { KilledError, type Surroundings } from './simulated-process.js';
import type { SimulatedReplica } from './simulated-replica.js';
import type { SimulatedStore } from './simulated-store.js';
import type { Content, Truth } from './truth.js';

export const TENANTS = ['', 'acme', 'other'];
export const REGIONS = ['eu', 'us'];
const NAMES_COUNT = 8;
/** Above what goes with an announcement. */
const LARGE_LENGTH = 70_000;

/** In what no node can run, and in what one node cannot. */
const BAD = 'bad';

export function refusalIn(node: string, content: Content): Refused | undefined {
  for (const [key, { resource }] of content) {
    const scopes = resource.spec.case === 'consumer' ? resource.spec.value.scopes : [];
    if (scopes.includes(BAD) || scopes.includes(`${BAD}@${node}`)) return refusalOf(key, 'it is bad');
  }
  return undefined;
}

export class Writers {
  private count = 0;
  /** Writers that wait for something. */
  openCount = 0;
  /** Commits that resolved. */
  madeCount = 0;

  constructor(
    private readonly surroundings: Surroundings,
    private readonly replicas: readonly SimulatedReplica[],
    private readonly nodeNames: readonly string[],
    private readonly truth: Truth,
    private readonly store: SimulatedStore,
  ) {}

  /** Somebody changes something, somewhere. */
  async write(): Promise<void> {
    this.openCount += 1;
    await this.writeOnce();
    this.openCount -= 1;
  }

  private async writeOnce(): Promise<void> {
    const { random } = this.surroundings;
    const up = this.replicas.filter(({ isUp }) => isUp);
    if (up.length === 0) return;
    const first = random.of(up);
    const { head } = first;
    if (head === undefined) return;
    if (random.oneIn(12)) return this.compact(first);
    if (first.rollouts?.obstacle !== undefined && !random.oneIn(10)) return this.steer(first);
    const id = `commit ${++this.count}`;
    const plan = this.plan(head);
    const expected = random.oneIn(3) ? Math.max(0, head.revision - (random.oneIn(4) ? 1 : 0)) : undefined;
    const rollout = random.oneIn(3) ? this.rollout() : undefined;
    const isKnown = await this.commit(first, id, plan, expected, rollout);
    // Whoever does not know whether it was made asks again, perhaps elsewhere.
    if (!isKnown && random.oneIn(2)) {
      await this.surroundings.schedule.sleep(random.below(2_000));
      const storeId = this.store.name;
      const again = random.of(this.replicas);
      if (again.isUp && again.head?.storeId === storeId)
        await this.commit(again, id, plan, expected, rollout);
    }
  }

  /** Somebody has a rollout end, or lets it go on. */
  private async steer({ rollouts, process }: SimulatedReplica): Promise<void> {
    const { random, verdict } = this.surroundings;
    const revision = rollouts?.heldRevision;
    if (rollouts === undefined || process === undefined || revision === undefined || !random.oneIn(4)) return;
    const steered = random.oneIn(2)
      ? rollouts.promote(revision, 'on', 'somebody')
      : rollouts.abort(revision, 'back', 'somebody');
    await process.unlessKilled(steered).catch((error: Error) => {
      if (!isForeseenOfRollouts(error)) verdict.fail(`a rollout could not be steered: ${error.stack}`);
      process.trace(`steering: ${error.message}`);
    });
  }

  private rollout(): RolloutPlan {
    const { random } = this.surroundings;
    const percents = [1 + random.below(100), 1 + random.below(100)].sort((a, b) => a - b);
    const isByCallers = random.oneIn(2);
    return create(RolloutPlanSchema, {
      steps: percents.map((percent) =>
        isByCallers ? { principalsPercent: percent } : { nodesPercent: percent },
      ),
      pauseMs: random.below(3_000),
      limits: { minRequestsCount: 0, maxArrivalMs: 3_000, maxNacksCount: random.below(2) },
    });
  }

  /** Everything that some node cannot run goes away. Resolves to whether that is done. */
  async mend(replica: SimulatedReplica): Promise<boolean> {
    const { rollouts, process } = replica;
    const held = rollouts?.heldRevision;
    if (rollouts !== undefined && process !== undefined && held !== undefined) {
      const aborted = process.unlessKilled(rollouts.abort(held, 'it is over', 'somebody'));
      return aborted.then(
        () => false,
        (error: Error) => {
          process.trace(`aborting: ${error.message}`);
          if (!isForeseenOfRollouts(error))
            this.surroundings.verdict.fail(`nobody can abort: ${error.stack}`);
          return false;
        },
      );
    }
    const resource = consumer('last', { scopes: [`v${++this.count}`] });
    const plan = async (state: ResourceState): Promise<Wanted> => ({
      changed: [resource],
      removed: [...state.entries()].filter(isBad).map(({ key }) => key),
    });
    return this.commit(replica, `commit ${++this.count}`, plan, undefined);
  }

  /** Resolves to whether it is known what became of it. */
  private async commit(
    { head, process, name, rollouts }: SimulatedReplica,
    id: string,
    plan: (state: ResourceState, revision: number) => Promise<Wanted>,
    expected: number | undefined,
    rollout?: RolloutPlan,
  ): Promise<boolean> {
    if (head === undefined || process === undefined) return false;
    const { verdict } = this.surroundings;
    const storeId = this.store.name;
    // As the admin API has it: looked at with what holds when the change is made.
    const unlessHeld = (state: ResourceState, revision: number) => {
      if (rollouts?.obstacle !== undefined) throw new HeldBackError(rollouts.obstacle);
      if (rollout !== undefined && revision === 0) throw new HeldBackError('there is nothing to go back to');
      return plan(state, revision);
    };
    try {
      const killed = new Promise<never>((_, reject) =>
        process.whenKilled(() => reject(new StoreUnavailableError('the replica was killed'))),
      );
      const made = await Promise.race([
        head.commit({ author: name, message: id, id, expected, plan: unlessHeld, rollout }),
        killed,
      ]);
      if (made === undefined) return true;
      this.madeCount += 1;
      process.trace(`${id} is revision ${made.number}`);
      // What a store lost that went back was answered all the same.
      const isSameStore =
        this.store.name === storeId && head.storeId === storeId && this.store.wentBackCount === 0;
      if (isSameStore && this.truth.ids.has(id) && this.truth.ids.get(id) !== Number(made.number))
        verdict.fail(`${id} was answered with revision ${made.number}, and is ${this.truth.ids.get(id)}`);
      const isKept = Number(made.number) > this.store.oldestKept;
      if (isSameStore && isKept && !this.truth.ids.has(id))
        verdict.fail(`${id} was answered, and is not in the store`);
      if (isSameStore && expected !== undefined && Number(made.number) !== expected + 1)
        verdict.fail(`${id} was made on ${expected}, and is revision ${made.number}`);
      return true;
    } catch (error) {
      process.trace(`${id}: ${(error as Error).name}: ${(error as Error).message}`);
      if (error instanceof StoreUnavailableError || error instanceof KilledError) return false;
      if (error instanceof HeldBackError) return false;
      if (!(error instanceof ConflictError)) verdict.fail(`${id} failed: ${(error as Error).stack}`);
      // What was forgotten cannot be found again.
      if ((this.truth.ids.get(id) ?? 0) > this.store.oldestKept)
        verdict.fail(`${id} was refused as a conflict, and is in the store`);
      return true;
    }
  }

  private async compact({ head, process }: SimulatedReplica): Promise<void> {
    const { random, verdict } = this.surroundings;
    if (head === undefined || process === undefined) return;
    await process.unlessKilled(head.compact(random.below(8))).catch((error: Error) => {
      const isForeseen = error instanceof StoreUnavailableError || error instanceof KilledError;
      if (!isForeseen) verdict.fail(`compacting failed: ${error.stack}`);
      process.trace(`compacting: ${error.message}`);
    });
  }

  private plan(head: ConfigurationHead): (state: ResourceState, revision: number) => Promise<Wanted> {
    const { random, schedule } = this.surroundings;
    const wait = async () => {
      if (random.oneIn(4)) await schedule.sleep(random.below(50));
    };
    if (random.oneIn(10) && head.revision > head.oldest) {
      const to = head.stateAt(head.oldest + random.below(head.revision - head.oldest));
      const wanted = [...to.entries()].map(({ resource }) => resource);
      return async (state) => {
        await wait();
        return { changed: wanted, removed: keysBeside(state, to) };
      };
    }
    const changed = Array.from({ length: 1 + random.below(3) }, () => this.resource());
    const removed = random.oneIn(3) ? [entryOf(this.resource()).key] : [];
    const left = removed.filter((key) => changed.every((each) => entryOf(each).key !== key));
    return async () => {
      await wait();
      return { changed, removed: left };
    };
  }

  private resource(): Resource {
    const { random } = this.surroundings;
    const scopes = [`v${++this.count}`];
    const kind = random.below(60);
    if (kind < 2) scopes.push(BAD);
    else if (kind < 4) scopes.push(`${BAD}@${random.of(this.nodeNames)}`);
    else if (kind === 4) scopes.push('x'.repeat(LARGE_LENGTH));
    return consumer(`c${random.below(NAMES_COUNT)}`, {
      scopes,
      tenant: random.of(TENANTS),
      regions: REGIONS.filter(() => random.oneIn(4)),
    });
  }

  /** A checkpoint that takes the place of what the store holds, and of others. */
  backup(content: Checkpoint, replaces: readonly string[], revision: number): Checkpoint {
    return create(CheckpointSchema, {
      ...content,
      storeId: this.store.nextName(),
      revision: BigInt(revision),
      replaces: [...replaces],
    });
  }
}

/** Nobody changes anything now. */
class HeldBackError extends Error {
  override readonly name = 'HeldBackError';
}

/** Others have ended it, or the store is away. */
function isForeseenOfRollouts(error: Error): boolean {
  return (
    error instanceof StoreUnavailableError ||
    error instanceof KilledError ||
    error instanceof ConflictError ||
    error instanceof NoRolloutError ||
    error instanceof RolloutOverError
  );
}

function consumer(name: string, more: { scopes: string[]; tenant?: string; regions?: string[] }): Resource {
  const { scopes, tenant = '', regions = [] } = more;
  return create(ResourceSchema, { tenant, regions, spec: { case: 'consumer', value: { name, scopes } } });
}

function isBad({ resource: { spec } }: Entry): boolean {
  return spec.case === 'consumer' && spec.value.scopes.some((scope) => scope.startsWith(BAD));
}

function keysBeside(state: ResourceState, wanted: ResourceState): KeyText[] {
  return [...state.entries()].filter(({ key }) => wanted.get(key) === undefined).map(({ key }) => key);
}
