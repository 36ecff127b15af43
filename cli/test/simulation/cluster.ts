/** One cluster, as a seed makes it. */
import { type Checkpoint, Presence, type View, viewId } from '@sluice/proto/cluster';
import { Random } from '../fuzz/random.js';
import { FaultInjection } from './faults.js';
import { Schedule } from './schedule.js';
import { SimulatedBus } from './simulated-bus.js';
import { SimulatedNetwork } from './simulated-network.js';
import { SimulatedNode } from './simulated-node.js';
import type { Surroundings } from './simulated-process.js';
import { SimulatedReplica } from './simulated-replica.js';
import { SimulatedStore, type StoreFiles } from './simulated-store.js';
import type { Trace } from './trace.js';
import { sameContent, Truth } from './truth.js';
import { Verdict } from './verdict.js';
import { REGIONS, refusalIn, Writers } from './writers.js';

const MAX_REPLICAS_COUNT = 3;
const MAX_NODES_COUNT = 4;
/** How long things go wrong; milliseconds. */
const SHORTEST_MS = 5_000;
const LONGEST_MS = 40_000;
/** Until the last change is made, when all is well again: whoever is in doubt looks again after ten seconds at most. */
const MENDED_WITHIN_MS = 60_000;
/** A replica that is not with the store by then needs an operator. */
const DOUBTED_WITHIN_MS = 12_000;
const LAST_CUTS_WITHIN_MS = 100;
/** Until everybody runs it: a connection may be gone for seven seconds before that is noticed. Polls come later. */
const CONVERGED_WITHIN_MS = 15_000;

export class Cluster implements Surroundings {
  readonly random: Random;
  readonly schedule: Schedule;
  readonly verdict = new Verdict();
  readonly truth: Truth;
  readonly store: SimulatedStore;
  readonly network: SimulatedNetwork;
  readonly bus: SimulatedBus | undefined;
  readonly replicas: SimulatedReplica[];
  readonly nodes: SimulatedNode[];
  readonly writers: Writers;
  /** What somebody has put aside. */
  backup: Checkpoint | undefined;
  /** Files of the store that somebody has copied. */
  copy: { readonly name: string; readonly files: StoreFiles } | undefined;
  /** How long the nodes took after the last change; milliseconds. */
  convergedMs = 0;

  constructor(
    seed: number,
    readonly trace: Trace,
  ) {
    this.random = new Random(seed);
    const { random } = this;
    this.schedule = new Schedule(random);
    const nodes = Array.from({ length: 1 + random.below(MAX_NODES_COUNT) }, (_, index) => ({
      name: `n${index}`,
      view: { region: random.of(REGIONS), tenants: random.oneIn(2) ? undefined : ['acme'] },
    }));
    const views = new Map(nodes.map(({ view }) => [viewId(view), view as View]));
    this.truth = new Truth([...views.values()], this.verdict);
    this.store = new SimulatedStore(this, this.truth);
    this.network = new SimulatedNetwork(this);
    this.bus = random.oneIn(4) ? undefined : new SimulatedBus(this);
    const viewOf = (name: string) => nodes.find((node) => node.name === name)?.view as View;
    const world = { surroundings: this, store: this.store, network: this.network, bus: this.bus };
    this.replicas = Array.from(
      { length: 1 + random.below(MAX_REPLICAS_COUNT) },
      (_, index) => new SimulatedReplica(`cp${index}`, { ...world, viewOf }),
    );
    this.nodes = nodes.map(
      ({ name, view }) =>
        new SimulatedNode(name, view, { ...world, truth: this.truth, refusalOf: refusalIn }),
    );
    const names = nodes.map(({ name }) => name);
    this.writers = new Writers(this, this.replicas, names, this.truth, this.store);
  }

  /** Everything from the first start to the last change, which everybody has to run. */
  async live(): Promise<void> {
    for (const each of [...this.replicas, ...this.nodes])
      this.schedule.after(this.random.below(500), () => void each.start());
    const faults = new FaultInjection(this);
    let isWriting = true;
    const longestPauseMs = 50 + this.random.below(2_000);
    const next = () => {
      this.schedule.after(this.random.below(longestPauseMs), () => {
        if (!isWriting) return;
        if (this.random.oneIn(10)) this.keepBackup();
        else if (this.random.oneIn(8)) this.ask();
        void this.writers.write();
        next();
      });
    };
    next();
    await this.pass(SHORTEST_MS + this.random.below(LONGEST_MS - SHORTEST_MS));
    isWriting = false;
    faults.end();
    await this.mend();
    await this.converge();
    this.schedule.end();
  }

  private keepBackup(): void {
    const head = this.random.of(this.replicas).head;
    if (head) this.backup = head.checkpoint();
    this.copy = { name: this.store.name, files: this.store.files() };
  }

  /** Somebody wants to know how far a revision has come. */
  private ask(): void {
    const { head, fleet, process, rollouts } = this.random.of(this.replicas);
    if (head === undefined || fleet === undefined) return;
    // Of one that only some are given those are behind who are, and no others.
    const isHeld = () => rollouts?.heldRevision !== undefined;
    if (isHeld()) return;
    const { revision, storeId } = head;
    // Whoever has not noticed yet that the store went back speaks of revisions that are lost.
    if (this.store.wentBackCount > 0) return;
    const deadlineMs = this.random.below(5_000);
    void fleet.convergence({ revision, wait: { kind: 'all' }, deadlineMs }).then(({ behind, reached }) => {
      process?.trace(
        `convergence on ${revision}: ${reached ? 'reached' : behind.map(({ node }) => node).join()}`,
      );
      if (isHeld()) return;
      if (head.storeId !== storeId || this.store.name !== storeId || this.store.wentBackCount > 0) return;
      const late = new Set(behind.map(({ node }) => node));
      for (const { hello, presence } of fleet.nodes()) {
        // Who said that he leaves is not waited for.
        if (presence === Presence.GONE) continue;
        const node = this.nodes.find(({ name }) => name === hello?.node);
        const wanted = node && this.truth.at(node.view, storeId, revision);
        if (node === undefined || wanted === undefined || late.has(node.name)) continue;
        if (!node.hasRun(wanted))
          this.verdict.fail(`${node.name} counts as on ${revision}, and never ran it`);
      }
    });
  }

  /** All is well; whoever ended is started, and somebody removes what cannot be run. */
  private async mend(): Promise<void> {
    this.trace.add(this.schedule.nowMs, '', 'all is well');
    this.network.unblockAll();
    for (const each of [...this.replicas, ...this.nodes]) void each.start();
    await this.pass(MENDED_WITHIN_MS, () => this.writers.openCount === 0);
    // A replica that knows something of another store doubts this one until somebody decides.
    for (const replica of this.replicas) {
      const isWithStore = ({ head }: SimulatedReplica) =>
        head?.storeId === this.store.name && head.revision <= this.store.newest && head.reachable;
      if (replica.head === undefined || isWithStore(replica)) continue;
      if (await this.pass(DOUBTED_WITHIN_MS, () => isWithStore(replica))) continue;
      replica.kill();
      void replica.start();
    }
    let isMended = false;
    const attempt = async () => {
      const up = this.replicas.filter(({ isUp }) => isUp);
      isMended = up.length > 0 && (await this.writers.mend(this.random.of(up)));
      if (!isMended) this.schedule.after(500, () => void attempt());
    };
    void attempt();
    if (!(await this.pass(MENDED_WITHIN_MS, () => isMended)))
      this.verdict.fail(`nothing can be written, ${MENDED_WITHIN_MS} ms after all is well`);
  }

  private async converge(): Promise<void> {
    const start = this.schedule.nowMs;
    // The last change is on its way when connections break once more.
    for (const node of this.nodes)
      for (const { name } of this.replicas)
        if (this.random.oneIn(2))
          this.schedule.after(this.random.below(LAST_CUTS_WITHIN_MS), () =>
            this.network.cut(node.name, name),
          );
    if (!(await this.pass(CONVERGED_WITHIN_MS, () => this.whyNotConverged() === undefined)))
      this.verdict.fail(`${this.whyNotConverged()}, ${CONVERGED_WITHIN_MS} ms after the last change`);
    this.convergedMs = this.schedule.nowMs - start;
  }

  private whyNotConverged(): string | undefined {
    for (const { head, name } of this.replicas)
      if (head?.storeId !== this.store.name || head.revision !== this.store.newest)
        return `${name} holds ${head?.storeId} ${head?.revision}, and not ${this.store.name} ${this.store.newest}`;
    for (const { name, view, active, trial } of this.nodes) {
      const wanted = this.truth.head(view);
      if (trial !== undefined) return `${name} gives some callers something else`;
      if (
        wanted === undefined ||
        active === undefined ||
        !sameContent(active.content, wanted.content) ||
        active.position.storeId !== wanted.storeId
      )
        return `${name} runs ${active?.position.storeId} ${active?.position.revision}, and not ${wanted?.storeId} ${wanted?.number}`;
    }
    return undefined;
  }

  /** Lets time pass, as long as everything is as it should be. */
  private async pass(ms: number, isEnough: () => boolean = () => false): Promise<boolean> {
    if (this.verdict.failure !== undefined) return true;
    const isSo = await this.schedule.pass(ms, () => {
      for (const node of this.nodes) node.judge();
      return this.verdict.failure !== undefined || isEnough();
    });
    return isSo;
  }
}
