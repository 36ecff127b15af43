/** Who the nodes are, what each runs, and what is waited for of them. */
import { create } from '@bufbuild/protobuf';
import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Convergence } from '@sluice/proto/admin';
import {
  type Acknowledgement,
  type ConnectionList,
  type Health,
  type Hello,
  type Node,
  type NodeEvent,
  NodeEventKind,
  NodeState,
  type Order,
  OrderSchema,
  type Position,
  Presence,
  type Rejection,
  type TrialHealth,
  type View,
} from '@sluice/proto/cluster';
import type { Views } from '../delivery/views.js';
import type { ConfigurationHead } from '../revisions/head.js';
import type { WatchedNode } from '../rollout/watched-node.js';
import { SYSTEM_TIMING, type Timing } from '../timing.js';
import { AskedNodes } from './asked-nodes.js';
import { convergenceNow, type HeldRevision } from './convergence.js';
import { NodeEvents } from './events.js';
import {
  type ConnectionPage,
  type ConvergenceRequest,
  type FleetView,
  type MayTell,
  NodeUnreachableError,
} from './fleet-view.js';
import { type KnownNode, type NodeStream, nodeMessage, regionOf, rejectionText } from './known-node.js';
import { saidAcknowledgement, saidConnections, saidHealth, saidHello } from './said.js';
import { watchedNode, watchedTrial } from './watched.js';

/** How often nodes say how they are. */
export const HEALTH_INTERVAL_MS = 2_000;

/** A node that was not heard for this many intervals may be gone. */
const LEASE_INTERVALS_COUNT = 3;

/** A node that was not heard for so long is no part of the cluster any more. */
const FORGOTTEN_AFTER_MS = 24 * 60 * 60_000;

/** Whoever has a token for many names could come with any number of them. */
const MAX_NODES_COUNT = 10_000;

/** Whoever waits without end has to ask again. */
const LONGEST_WAIT_MS = 24 * 60 * 60_000;

/** More nodes than there may be. */
export class TooManyNodesError extends Error {
  override readonly name = 'TooManyNodesError';
}

export interface FleetOptions {
  readonly head: ConfigurationHead;
  readonly views: Views;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Milliseconds that only grow: a clock that is set must not end leases. */
  readonly elapsedMs: () => number;
  /** Tells a node that has no stream here; false when it cannot. */
  readonly orderElsewhere: (node: string, order: Order) => boolean | Promise<boolean>;
  /** Takes the answer of a node to the replica that asked, if one did. */
  readonly answerElsewhere?: ((list: ConnectionList) => void) | undefined;
  readonly healthIntervalMs?: number;
  readonly timing?: Timing | undefined;
}

/** What another replica, or an earlier one, knew of a node. */
export interface RecalledNode {
  readonly hello: Hello;
  readonly seen: View;
  readonly presence: Presence;
}

interface Waiter {
  readonly request: ConvergenceRequest;
  readonly settle: (convergence: Convergence) => void;
}

export class Fleet implements FleetView {
  readonly healthIntervalMs: number;
  private readonly known = new Map<string, KnownNode>();
  private readonly happened: NodeEvents;
  private readonly waiters = new Set<Waiter>();
  private readonly asked = new AskedNodes();
  private readonly listeners = new Set<(node: KnownNode) => void>();
  private readonly timing: Timing;
  private readonly stopLeases: () => void;
  private readonly endFollowing: () => void;
  private stopLooking: (() => void) | undefined;

  constructor(private readonly options: FleetOptions) {
    this.healthIntervalMs = options.healthIntervalMs ?? HEALTH_INTERVAL_MS;
    this.happened = new NodeEvents(options.nowMs);
    this.timing = options.timing ?? SYSTEM_TIMING;
    this.stopLeases = this.timing.every(this.healthIntervalMs, () => this.endLeases());
    const endings = [
      options.views.onChange(() => this.lookSoon()),
      options.views.onAssignment(() => this.lookSoon()),
    ];
    this.endFollowing = () => {
      for (const end of endings) end();
    };
  }

  /**
   * A node came, or said anew who it is.
   *
   * @throws TooManyViewsError, TooManyNodesError
   */
  joined(says: Hello, seen: View, stream?: NodeStream): KnownNode {
    const hello = saidHello(says);
    const before = this.known.get(hello.node);
    if (before === undefined) this.makeRoom();
    const view = this.options.views.use(seen);
    if (before) this.options.views.release(before.view);
    const isSameStart = before?.hello.incarnation === hello.incarnation;
    const wasThere = isSameStart && before.presence === Presence.PRESENT;
    // A node has one stream: what it had before is a start that has gone, or a connection that has.
    if (!isSameStart || (stream !== undefined && before.stream !== stream)) before?.stream?.replaced();
    const node: KnownNode = {
      hello,
      view,
      health: isSameStart ? before.health : undefined,
      acknowledgement: isSameStart ? before.acknowledgement : undefined,
      running: hello.position ?? (isSameStart ? before.running : undefined),
      presence: Presence.PRESENT,
      seenMs: this.options.nowMs(),
      heardMs: this.options.elapsedMs(),
      stream: stream ?? (isSameStart ? before.stream : undefined),
    };
    this.known.set(hello.node, node);
    if (!wasThere) this.tell(node, isSameStart ? NodeEventKind.FOUND : NodeEventKind.JOINED);
    this.changed(node);
    return node;
  }

  /**
   * Takes in what others know of a node: it is part of the cluster, whether it is heard here or not.
   *
   * @throws TooManyViewsError
   */
  recalled({ hello, seen, presence }: RecalledNode): void {
    const before = this.known.get(hello.node);
    if (before?.hello.incarnation === hello.incarnation) {
      if (presence === Presence.GONE) this.left(before);
      return;
    }
    const view = this.options.views.use(seen);
    if (before) this.options.views.release(before.view);
    before?.stream?.replaced();
    const node: KnownNode = {
      ...{ hello, view, presence, stream: undefined },
      ...{ health: undefined, acknowledgement: undefined, running: undefined },
      ...{ seenMs: this.options.nowMs(), heardMs: this.options.elapsedMs() },
    };
    this.known.set(hello.node, node);
    if (presence === Presence.PRESENT) this.tell(node, NodeEventKind.JOINED);
    this.lookSoon();
  }

  /** A revision is given to some nodes only. */
  get isRollout(): boolean {
    return this.options.views.heldRevision !== undefined;
  }

  /** Another replica hears the node: what it said there, with what it counts only while a rollout is on. */
  heardElsewhere(health: Health, acknowledgement: Acknowledgement | undefined): void {
    const known = this.known.get(health.node);
    // What comes from the node itself is newer.
    if (known === undefined || known.stream !== undefined || known.presence === Presence.GONE) return;
    const node = this.heard(health);
    if (node === undefined) return;
    const { position } = health;
    if (isNewer(position, node.running)) node.running = position;
    if (isLater(health.time, node.health?.time)) node.health = health;
    if (acknowledgement && isNewer(acknowledgement.position, node.acknowledgement?.position))
      this.acknowledged(acknowledgement);
    this.lookSoon();
  }

  /** Tells a node that has its stream here; false when it has not. */
  orderHere(name: string, order: Order): boolean {
    const stream = this.known.get(name)?.stream;
    stream?.order(order);
    return stream !== undefined;
  }

  /** All nodes that have their stream here. */
  *heardHere(): Iterable<KnownNode> {
    for (const node of this.known.values()) if (node.stream !== undefined) yield node;
  }

  /** Calls back when a node came, left, took or refused a revision, lost its stream, or is forgotten. */
  onChange(listener: (node: KnownNode) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  knows(name: string): boolean {
    return this.known.has(name);
  }

  /** Its stream ended; it may be back, or still be heard in another way. */
  disconnected(name: string, stream: NodeStream): void {
    const node = this.known.get(name);
    if (node?.stream !== stream) return;
    node.stream = undefined;
    this.changed(node);
  }

  acknowledged(says: Acknowledgement): void {
    const acknowledgement = saidAcknowledgement(says);
    const node = this.heard(acknowledgement);
    if (node === undefined) return;
    const { position, rejection } = acknowledgement;
    const revision = position?.revision ?? 0n;
    node.acknowledgement = acknowledgement;
    if (rejection === undefined) {
      node.running = position;
      this.tell(node, NodeEventKind.APPLIED, { revision });
    } else this.tell(node, NodeEventKind.REJECTED, { revision, detail: rejectionText(rejection) }, rejection);
    this.changed(node);
  }

  reported(says: Health): void {
    const health = saidHealth(says);
    const node = this.heard(health);
    if (node === undefined) return;
    if (health.state === NodeState.STOPPED) this.left(node);
    this.tellTrial(node, health.trial);
    node.health = health;
    if (health.position) node.running = health.position;
    this.lookSoon();
  }

  nodes(mayTell?: MayTell): readonly Node[] {
    return [...this.known.values()]
      .sort((a, b) => compare(regionOf(a), regionOf(b)) || compare(a.hello.node, b.hello.node))
      .map((node) => nodeMessage(node, this.wantedOf(node), mayTell));
  }

  /** What a rollout of a revision sees of the nodes. */
  watched(revision: number): readonly WatchedNode[] {
    return [...this.known.values()].map((node) => watchedNode(node, revision));
  }

  /** The same where it is given to so many of the callers. */
  watchedTrial(revision: number, principalsPercent: number): readonly WatchedNode[] {
    return [...this.known.values()].map((node) => watchedTrial(node, revision, principalsPercent));
  }

  events(limitCount: number, node?: string, mayTell?: MayTell): readonly NodeEvent[] {
    return this.happened.newest(limitCount, node, mayTell);
  }

  async drain(name: string, reason: string): Promise<Node | undefined> {
    const node = this.known.get(name);
    if (node === undefined) return undefined;
    await this.order(node, create(OrderSchema, { what: { case: 'drain', value: { reason } } }));
    this.tell(node, NodeEventKind.DRAIN_ORDERED, { detail: reason });
    return nodeMessage(node, this.wantedOf(node));
  }

  async endConnection(name: string, connection: string): Promise<boolean> {
    const node = this.known.get(name);
    if (node === undefined) return false;
    await this.order(node, create(OrderSchema, { what: { case: 'endSession', value: { id: connection } } }));
    return true;
  }

  async connections(
    name: string,
    { limitCount, cursor }: ConnectionPage,
  ): Promise<ConnectionList | undefined> {
    const node = this.known.get(name);
    if (node === undefined) return undefined;
    return this.asked.ask(name, (request) => {
      const value = { request, limit: limitCount, cursor };
      return this.order(node, create(OrderSchema, { what: { case: 'listConnections', value } }));
    });
  }

  /** A node answered what it was asked for, here or by another replica. */
  listed(list: ConnectionList): void {
    const said = saidConnections(list);
    if (!this.asked.answered(said)) this.options.answerElsewhere?.(said);
  }

  /** The answer of a node that has its stream to another replica. */
  listedElsewhere(list: ConnectionList): boolean {
    return this.asked.answered(list);
  }

  convergence(request: ConvergenceRequest): Promise<Convergence> {
    const now = this.now(request);
    const { signal, deadlineMs } = request;
    if (now.isReached || now.isHopeless || deadlineMs <= 0 || signal?.aborted)
      return Promise.resolve(now.told());
    return new Promise((resolve) => {
      const giveUp = () => waiter.settle(this.now(request).told());
      const endDeadline = this.timing.after(Math.min(deadlineMs, LONGEST_WAIT_MS), giveUp);
      const waiter: Waiter = {
        request,
        settle: (result) => {
          endDeadline();
          signal?.removeEventListener('abort', giveUp);
          this.waiters.delete(waiter);
          resolve(result);
        },
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      this.waiters.add(waiter);
    });
  }

  /** Answers those who wait with what is so. */
  close(): void {
    this.stopLeases();
    this.stopLooking?.();
    this.endFollowing();
    this.asked.close();
    for (const { request, settle } of [...this.waiters]) settle(this.now(request).told());
  }

  /** @throws NodeUnreachableError */
  private async order(node: KnownNode, order: Order): Promise<void> {
    const { node: name } = node.hello;
    if (node.stream) node.stream.order(order);
    else if (!(await this.options.orderElsewhere(name, order)))
      throw new NodeUnreachableError(
        `node ${name} has no connection to a control plane; try again when it is back`,
      );
  }

  /** The node that speaks; undefined when it is not known, or was started anew since. */
  private heard({ node: name, incarnation }: Acknowledgement | Health): KnownNode | undefined {
    const node = this.known.get(name);
    if (node === undefined || node.hello.incarnation !== incarnation) return undefined;
    node.seenMs = this.options.nowMs();
    node.heardMs = this.options.elapsedMs();
    if (node.presence === Presence.UNKNOWN) {
      node.presence = Presence.PRESENT;
      this.tell(node, NodeEventKind.FOUND);
    }
    return node;
  }

  private endLeases(): void {
    const now = this.options.elapsedMs();
    for (const [name, node] of this.known) {
      const silentMs = now - node.heardMs;
      if (node.presence === Presence.PRESENT && silentMs > this.healthIntervalMs * LEASE_INTERVALS_COUNT) {
        node.presence = Presence.UNKNOWN;
        this.tell(node, NodeEventKind.LOST);
      }
      if (silentMs > FORGOTTEN_AFTER_MS) this.forget(name, node);
    }
  }

  private forget(name: string, node: KnownNode): void {
    this.known.delete(name);
    this.options.views.release(node.view);
    this.changed(node);
  }

  /**
   * Whoever was silent longest makes room for a node that is there.
   *
   * @throws TooManyNodesError
   */
  private makeRoom(): void {
    if (this.known.size < MAX_NODES_COUNT) return;
    let silent: KnownNode | undefined;
    for (const node of this.known.values())
      if (node.presence !== Presence.PRESENT && node.heardMs < (silent?.heardMs ?? Number.POSITIVE_INFINITY))
        silent = node;
    if (silent === undefined) throw new TooManyNodesError(`the cluster has ${MAX_NODES_COUNT} nodes already`);
    this.forget(silent.hello.node, silent);
  }

  private left(node: KnownNode): void {
    if (node.presence === Presence.GONE) return;
    node.presence = Presence.GONE;
    this.tell(node, NodeEventKind.LEFT);
    this.changed(node);
  }

  /** What became of a revision that some callers are to be given. */
  private tellTrial(node: KnownNode, trial: TrialHealth | undefined): void {
    const before = node.health?.trial;
    if (trial?.position === undefined) return;
    const { position, principalsPercent, rejection } = trial;
    const isSame =
      before?.position?.revision === position.revision &&
      before.principalsPercent === principalsPercent &&
      (before.rejection === undefined) === (rejection === undefined);
    if (isSame) return;
    const { revision } = position;
    if (rejection === undefined)
      this.tell(node, NodeEventKind.APPLIED, {
        revision,
        detail: `for ${principalsPercent} % of the callers`,
      });
    else this.tell(node, NodeEventKind.REJECTED, { revision, detail: rejectionText(rejection) }, rejection);
  }

  private changed(node: KnownNode): void {
    this.lookSoon();
    for (const listener of this.listeners) listener(node);
  }

  private tell(
    node: KnownNode,
    kind: NodeEventKind,
    more?: { detail?: string; revision?: bigint },
    rejection?: Rejection,
  ): void {
    this.happened.add(node.hello.node, kind, more, rejection);
  }

  /** While a revision is held back, only those are concerned that are given it. */
  private now({ revision, wait, mayTell }: ConvergenceRequest) {
    const { heldRevision } = this.options.views;
    const isHeld = heldRevision !== undefined && revision >= heldRevision;
    return convergenceNow(
      this.known.values(),
      revision,
      wait,
      isHeld ? this.heldRevision(revision) : undefined,
      mayTell,
    );
  }

  private heldRevision(revision: number): HeldRevision {
    const { views } = this.options;
    const isTried = ({ view, hello }: KnownNode) =>
      Number(views.triedBeside(view, hello.node)?.view.position.revision ?? 0n) >= revision;
    const isByCallers = views.isTriedByCallers;
    return {
      isByCallers,
      isConcerned: (node) => (isByCallers ? isTried(node) : this.wantedOf(node) >= revision),
    };
  }

  private wantedOf({ view, hello, running }: KnownNode): number {
    return Number(this.options.views.given(view, hello.node, running).position.revision);
  }

  /** Many nodes speak at once: those who wait look when all of that has been taken in. */
  private lookSoon(): void {
    if (this.waiters.size === 0 || this.stopLooking) return;
    this.stopLooking = this.timing.soon(() => {
      this.stopLooking = undefined;
      for (const { request, settle } of [...this.waiters]) {
        const now = this.now(request);
        if (now.isReached || now.isHopeless) settle(now.told());
      }
    });
  }
}

/** Another store may have smaller numbers. */
function isNewer(position: Position | undefined, than: Position | undefined): boolean {
  if (position === undefined || than === undefined) return position !== undefined;
  return position.storeId !== than.storeId || position.revision > than.revision;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** By the clock of the node that says it. */
function isLater(a: Timestamp | undefined, b: Timestamp | undefined): boolean {
  if (a === undefined) return false;
  return b === undefined || timestampMs(a) > timestampMs(b);
}
