/** A node: everything that follows the configuration is real; what it runs is a table, and running takes time. */
import {
  type ConnectRequest,
  ConnectRequestSchema,
  fromBinary,
  NodeState,
  type Position,
  parseKeyText,
  StoredSnapshotSchema,
  type View,
} from '@sluice/proto/cluster';
import type { FollowerLog } from '../../../data-plane/src/snapshot/delivery-port.js';
import { type Held, SnapshotDisk } from '../../../data-plane/src/snapshot/disk.js';
import { Follower, type Refused } from '../../../data-plane/src/snapshot/follower.js';
import { type Candidate, Replica, samePosition } from '../../../data-plane/src/snapshot/replica.js';
import type { WantedTrial } from '../../../data-plane/src/snapshot/trial-follower.js';
import { BusConnection, type SimulatedBus } from './simulated-bus.js';
import { SimulatedDisk } from './simulated-disk.js';
import { type SimulatedNetwork, SimulatedTransport } from './simulated-network.js';
import { SimulatedProcess, type Surroundings } from './simulated-process.js';
import { type Committed, type Content, isBefore, sameContent, type Truth } from './truth.js';
import type { Verdict } from './verdict.js';

const MAX_COMPILE_MS = 40;

export interface NodeWorld {
  readonly surroundings: Surroundings;
  readonly network: SimulatedNetwork;
  readonly bus: SimulatedBus | undefined;
  readonly truth: Truth;
  /** Why a node cannot run something; undefined when it can. */
  readonly refusalOf: (node: string, content: Content) => Refused | undefined;
}

/** What a node runs. */
interface Active {
  readonly position: Position;
  readonly content: Content;
  readonly committed: Committed;
}

export class SimulatedNode {
  readonly disk: SimulatedDisk;
  process: SimulatedProcess | undefined;
  active: Active | undefined;
  /** What it gives to some callers, and beside what. */
  trial: { readonly wanted: WantedTrial; readonly beside: Active } | undefined;
  /** Everything that it ran, in order, over all starts. */
  readonly history: Active[] = [];
  connection: BusConnection | undefined;
  private replica: Replica | undefined;
  private follower: Follower | undefined;
  private snapshotDisk: SnapshotDisk | undefined;
  private startCount = 0;
  private readonly verdict: Verdict;
  /** What has to be on the disk, or something later. */
  private kept: Position | undefined;

  constructor(
    readonly name: string,
    readonly view: View,
    private readonly world: NodeWorld,
  ) {
    this.verdict = world.surroundings.verdict;
    this.disk = new SimulatedDisk(world.surroundings);
    this.disk.onKept = (bytes) => {
      this.kept = fromBinary(StoredSnapshotSchema, bytes).position;
    };
  }

  kill(): void {
    this.process?.kill();
    this.process = undefined;
    this.connection = undefined;
    this.active = undefined;
    this.trial = undefined;
    this.replica = undefined;
  }

  /** Ends as it should. */
  async stop(): Promise<void> {
    const { process, follower, snapshotDisk } = this;
    follower?.stop();
    await snapshotDisk?.flush();
    if (this.process === process) this.kill();
  }

  async start(): Promise<void> {
    if (this.process !== undefined) return;
    const { surroundings, network, bus } = this.world;
    const process = new SimulatedProcess(`${this.name}.${++this.startCount}`, surroundings);
    this.process = process;
    process.trace('starts');
    const log = logTo(process);
    const disk = new SnapshotDisk('state', this.view.region, log, {
      files: this.disk.files(process),
      after: process.after,
    });
    this.snapshotDisk = disk;
    const replica = new Replica(await this.fromDisk(process, disk));
    this.replica = replica;
    const connection = bus && new BusConnection(bus, process);
    this.connection = connection;
    const transport = new SimulatedTransport(network, process, this.name);
    const follower = new Follower({
      identity: () => ({
        node: this.name,
        incarnation: process.name,
        version: 'simulated',
        region: this.view.region,
        clientUrl: '',
      }),
      replica,
      transport: {
        pull: (request) => transport.pull(request),
        connect: (hears) => {
          const standing = transport.connect(hears);
          return {
            address: standing.address,
            close: standing.close,
            say: (request) => {
              this.says(process, request);
              standing.say(request);
            },
          };
        },
        close: async () => {},
      },
      bus: connection && {
        get isUp() {
          return connection.isUp;
        },
        onChange: (listener) => connection.onChange(listener),
        subscribe: (subject, heard) => connection.subscribe(subject, heard),
        publish: (subject, bytes) => {
          this.says(process, fromBinary(ConnectRequestSchema, bytes));
          connection.publish(subject, bytes);
        },
      },
      timing: process,
      log,
      activate: (candidate) => this.activate(process, candidate),
      activated: (position) => disk.keep(position, replica.state),
      health: () => ({ state: this.active ? NodeState.READY : NodeState.WAITING }),
      order: () => {},
      activateTrial: (wanted) => this.activateTrial(process, wanted),
    });
    this.follower = follower;
    follower.start();
  }

  /** What it holds and what it runs are the same, at every moment. */
  judge(): void {
    if (this.replica !== undefined && !samePosition(this.replica.position, this.active?.position))
      this.verdict.fail(`${this.name} holds another revision than it runs`);
    if (this.trial !== undefined && this.trial.beside !== this.active)
      this.verdict.fail(`${this.name} gives something to callers beside what it does not run`);
  }

  /** It ran a revision, a later one, or one that reads the same. */
  hasRun(wanted: Committed): boolean {
    return this.history.some(
      ({ committed, content }) => !isBefore(committed, wanted) || sameContent(content, wanted.content),
    );
  }

  private async fromDisk(process: SimulatedProcess, disk: SnapshotDisk): Promise<Held | undefined> {
    const held = await disk.read();
    const ran = (position: Position | undefined) =>
      this.history.findLastIndex((each) => samePosition(each.position, position));
    if (held === undefined) {
      if (this.kept !== undefined) this.verdict.fail(`${this.name} lost what it kept on its disk`);
      return undefined;
    }
    if (ran(held.position) === -1) this.verdict.fail(`${this.name} found on its disk what it never ran`);
    if (ran(held.position) < ran(this.kept))
      this.verdict.fail(`${this.name} found something older on its disk than it kept`);
    const change = { changed: [...held.state.entries()], removed: [] };
    const refused = await this.activate(process, {
      position: held.position,
      change,
      state: held.state,
      base: undefined,
    });
    return refused === undefined ? held : undefined;
  }

  /** All workers, or none. */
  private async activate(
    process: SimulatedProcess,
    { position, change }: Candidate,
  ): Promise<Refused | undefined> {
    const { random } = this.world.surroundings;
    const next = new Map(this.active?.content);
    for (const key of change.removed) next.delete(key);
    for (const entry of change.changed) next.set(entry.key, entry);
    await process.sleep(random.below(MAX_COMPILE_MS));
    const refused = this.world.refusalOf(this.name, next);
    process.trace(`${refused ? 'refuses' : 'runs'} ${position.storeId} ${position.revision}`);
    if (refused !== undefined) return refused;
    const { truth } = this.world;
    const committed = truth.revisionOf(this.view, position, next);
    if (committed === undefined) {
      this.verdict.fail(
        `${this.name} runs ${position.storeId} ${position.revision}, which was never committed as such`,
      );
      return undefined;
    }
    const before = this.active?.committed;
    if (before !== undefined && isBefore(committed, before))
      this.verdict.fail(
        `${this.name} went back from ${before.storeId} ${before.number} to ${position.storeId} ${position.revision}`,
      );
    const rollout = truth.rolloutAt(position);
    if (rollout !== undefined && !this.isKnown(position) && !truth.given.isToRun(rollout, this.name))
      this.verdict.fail(`${this.name} runs ${position.revision}, which is held back from it`);
    this.trial = undefined;
    this.active = { position, content: next, committed };
    this.history.push(this.active);
    return undefined;
  }

  private isKnown(position: Position): boolean {
    return this.history.some((each) => samePosition(each.position, position));
  }

  /** Gives something to some callers, in all workers or in none, or ends that. */
  private async activateTrial(
    process: SimulatedProcess,
    wanted: WantedTrial | undefined,
  ): Promise<Refused | undefined> {
    const { active, world } = this;
    const { random } = world.surroundings;
    await process.sleep(random.below(MAX_COMPILE_MS));
    if (wanted === undefined || active === undefined) {
      this.trial = undefined;
      return undefined;
    }
    const { candidate, principalsPercent } = wanted;
    const { position, change } = candidate;
    const content = new Map(active.content);
    for (const key of change.removed) content.delete(key);
    for (const entry of change.changed) content.set(entry.key, entry);
    const refused = world.refusalOf(this.name, content);
    process.trace(`${refused ? 'does not try' : 'tries'} ${position.revision} with ${principalsPercent} %`);
    if (refused !== undefined) return refused;
    const { truth } = world;
    if (truth.revisionOf(this.view, position, content) === undefined)
      this.verdict.fail(
        `${this.name} gives ${position.revision} to callers, which was never committed as such`,
      );
    const rollout = truth.rolloutAt(position);
    if (rollout !== undefined && !truth.given.isToTry(rollout, this.name, principalsPercent))
      this.verdict.fail(
        `${this.name} gives ${position.revision} to ${principalsPercent} %, who are too many`,
      );
    this.trial = { wanted, beside: active };
    return undefined;
  }

  /** What it says of what it runs is so. */
  private says(process: SimulatedProcess, { content }: ConnectRequest): void {
    if (!process.isAlive || content.case === undefined || content.case === 'connections') return;
    const { position } = content.value;
    const running = this.active?.position;
    const trial = content.case === 'health' ? content.value.trial : undefined;
    if (trial !== undefined && trial.rejection === undefined) {
      if (!samePosition(trial.position, this.trial?.wanted.candidate.position))
        this.verdict.fail(`${this.name} says that callers are given what they are not`);
    } else if (content.case === 'health' && this.trial !== undefined)
      this.verdict.fail(`${this.name} does not say what it gives to callers`);
    if (content.case !== 'acknowledgement') {
      if (!samePosition(position, running))
        this.verdict.fail(`${this.name} says in ${content.case} that it runs something else`);
      return;
    }
    const { rejection } = content.value;
    process.trace(`${rejection ? 'NACK' : 'ACK'} ${position?.storeId} ${position?.revision}`);
    if (rejection === undefined && !samePosition(position, running))
      this.verdict.fail(`${this.name} acknowledged revision ${position?.revision}, which is not active`);
    if (rejection !== undefined && samePosition(position, running))
      this.verdict.fail(`${this.name} refused revision ${position?.revision}, which is active`);
  }
}

export function refusalOf(key: string, reason: string): Refused {
  return { resource: parseKeyText(key), reason };
}

function logTo(process: SimulatedProcess): FollowerLog & ConstructorParameters<typeof SnapshotDisk>[2] {
  const write = (...args: unknown[]) =>
    process.trace(String(args.findLast((each) => typeof each === 'string')));
  return { info: write, warn: write, error: write };
}
