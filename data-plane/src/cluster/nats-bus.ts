/**
 * Workers of other nodes, over NATS. Every node says each second that it lives, and which workers it has; of two
 * workers that have heard of each other, the one whose address comes first opens a pipe. Each second two nodes also
 * tell each other how their pipes stand, so that a loss which nothing else would show closes the pipe too. One that
 * was closed by a loss is opened anew, and is another pipe to whoever used it. Where nodes have a key, what does not come
 * from one of them is passed over.
 */
import { randomBytes } from 'node:crypto';
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import type { Met, NodeBus, WorkerAddress } from '../sessions/node-bus.js';
import type { ClusterMetrics } from './cluster-metrics.js';
import type { FrameSeal } from './frame-seal.js';
import {
  ackOf,
  Closing,
  closeFrame,
  closingOf,
  dataOf,
  Frame,
  openedFrame,
  openedNameOf,
  openFrame,
  openingOf,
  PIPE_ID_BYTES,
  pipeIdOf,
  syncFrame,
  syncOf,
  typeOf,
} from './frames.js';
import type { NatsLink } from './nats-link.js';
import { NatsPipe, type PipeEnd, type PipeWay } from './nats-pipe.js';

const HEARTBEAT_MS = 1_000;
/** Time for the other end to answer that a pipe is there, before it is opened anew. */
const OPEN_TIMEOUT_MS = 2_000;
/** Of whom nothing was heard for so long is gone. */
const GONE_MS = 5_000;
/** Seconds in a row in which NATS says that nobody reads what is sent to a node: it is gone before {@link GONE_MS}. */
const MAX_UNREAD_COUNT = 2;
/** A heartbeat that comes later than this was late here: then nobody else is taken for gone. */
const LATE_MS = 2_500;
/** What NATS says to a message that nobody reads. */
const NO_RESPONDERS = 503;

/** Names of openings are so many random bytes, in hexadecimal. */
const OPENING_BYTES = 8;
/** A node has one worker for each processor. */
const MAX_WORKERS_COUNT = 1_024;
const NODE_NAME = /^[0-9a-f]{16}$/;
/** So often it is said that somebody speaks here whom nobody knows. */
const STRANGER_LOG_INTERVAL_MS = 60_000;

interface Presence {
  readonly node: string;
  /** Grows with all that the node says of itself. */
  readonly number: number;
  readonly inbox: string;
  readonly workers: readonly WorkerAddress[];
  readonly leaves?: boolean;
}

/** Another node. */
interface Neighbour {
  readonly node: string;
  readonly inbox: string;
  workers: readonly WorkerAddress[];
  heardAt: number;
  /** Of what it said last of itself. */
  number: number;
  unreadCount: number;
}

/** A pipe and the node at its other end. */
interface End {
  readonly pipe: NatsPipe;
  readonly neighbour: Neighbour;
  /** The worker here has it. */
  isMet: boolean;
  /** What this opening of it is called; empty until the other end has said that. */
  opening: string;
  readonly begunAt: number;
}

export interface NatsBusOptions {
  readonly link: NatsLink;
  /** Subject on which nodes say that they live. */
  readonly presenceSubject: string;
  /** Begins the subjects that only this node reads. */
  readonly inboxPrefix: string;
  readonly seal: FrameSeal;
  readonly log: Logger;
  readonly metrics: ClusterMetrics;
}

export class NatsBus implements NodeBus {
  private ours: readonly WorkerAddress[] = [];
  private met: Met = () => {};
  private node = '';
  private inbox = '';
  private readonly neighbours = new Map<string, Neighbour>();
  /** By id. */
  private readonly ends = new Map<string, End>();
  /** By the two workers. */
  private readonly pairs = new Map<string, End>();
  /** Pairs of which one wants no other pipe. */
  private readonly parted = new Set<string>();
  private subscriptions: Subscription[] = [];
  private timer: NodeJS.Timeout | undefined;
  private lastBeatAt = 0;
  private saidCount = 0;
  private strangerSaidAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: NatsBusOptions) {}

  join(ours: readonly WorkerAddress[], met: Met): void {
    const [first] = ours;
    if (first === undefined) return;
    this.ours = ours;
    this.met = met;
    this.node = nodeOf(first);
    this.inbox = `${this.options.inboxPrefix}.${this.node}`;
    this.lastBeatAt = Date.now();
    this.timer = setInterval(() => this.beat(), HEARTBEAT_MS).unref();
    this.options.link.onUp((connection, isNew) => {
      if (this.timer === undefined) return;
      if (isNew) this.subscribe(connection);
      this.beat();
    });
  }

  leave(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    if (this.ours.length > 0) this.tellPresence(true);
    for (const { pipe } of [...this.ends.values()]) pipe.end('leave');
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    this.subscriptions = [];
    this.neighbours.clear();
  }

  private subscribe(connection: NatsConnection): void {
    this.subscriptions = [
      connection.subscribe(this.options.presenceSubject, {
        callback: (error, message) => {
          if (error === null) this.take(message, (bytes) => this.heard(presenceOf(bytes)));
        },
      }),
      connection.subscribe(this.inbox, {
        callback: (error, message) => {
          if (error === null) this.take(message, (bytes) => this.receive(bytes));
        },
      }),
      connection.subscribe(`${this.inbox}.unread.*`, {
        callback: (_, message) => this.unread(message),
      }),
    ];
  }

  private send(inbox: string, frame: Buffer, { opening, reply }: { opening?: string; reply?: string } = {}) {
    const { link, seal } = this.options;
    const connection = link.live;
    if (connection === undefined) return false;
    connection.publish(
      inbox,
      seal.sealed(frame, inbox, opening),
      reply === undefined ? undefined : { reply },
    );
    return true;
  }

  /** Whatever comes over NATS may be anything. */
  private take({ subject, data }: Msg, taken: (frame: Buffer) => void): void {
    const sealed = bufferOf(data);
    const type = subject === this.inbox ? typeOf(sealed) : undefined;
    const isOfPipe = type === Frame.Data || type === Frame.Ack;
    const end = isOfPipe ? this.ends.get(pipeIdOf(sealed)) : undefined;
    // What is late for a pipe that was closed is no stranger's.
    if (isOfPipe && end === undefined) return;
    try {
      const frame = this.options.seal.opened(sealed, subject, end?.opening);
      if (frame === undefined) this.strange('it was not made with the key of the cluster');
      else taken(frame);
    } catch (error) {
      this.strange((error as Error).message);
    }
  }

  private strange(reason: string): void {
    this.options.metrics.strangers.inc();
    const now = Date.now();
    if (now - this.strangerSaidAt < STRANGER_LOG_INTERVAL_MS) return;
    this.strangerSaidAt = now;
    this.options.log.warn({ reason }, `something came over NATS that no node of the cluster says: ${reason}`);
  }

  private beat(): void {
    const now = Date.now();
    const isLate = now - this.lastBeatAt > LATE_MS;
    this.lastBeatAt = now;
    for (const neighbour of [...this.neighbours.values()]) {
      if (isLate) neighbour.heardAt = now;
      else if (now - neighbour.heardAt > GONE_MS) this.gone(neighbour);
    }
    this.tellPresence();
    for (const neighbour of this.neighbours.values()) this.sync(neighbour);
  }

  private tellPresence(leaves = false): void {
    const presence: Presence = {
      node: this.node,
      number: ++this.saidCount,
      inbox: this.inbox,
      workers: this.ours,
      ...(leaves && { leaves }),
    };
    this.send(this.options.presenceSubject, Buffer.from(JSON.stringify(presence)));
  }

  private sync({ node, inbox }: Neighbour): void {
    const states = [];
    for (const { pipe, neighbour } of this.ends.values())
      if (neighbour.node === node) states.push(pipe.state);
    const frame = syncFrame(this.node, ++this.saidCount, this.inbox, states);
    this.send(inbox, frame, { reply: `${this.inbox}.unread.${node}` });
  }

  private heard({ node, number, inbox, workers, leaves }: Presence): void {
    if (node === this.node || this.timer === undefined) return;
    const known = this.neighbours.get(node);
    // Somebody says again what was heard once.
    if (known !== undefined && number <= known.number) return;
    if (leaves === true) {
      if (known !== undefined) this.gone(known);
      return;
    }
    if (known === undefined) {
      const neighbour = { node, inbox, workers, heardAt: Date.now(), number, unreadCount: 0 };
      this.neighbours.set(node, neighbour);
      // It may have begun just now, and not heard of this one yet.
      this.tellPresence();
      this.openTo(neighbour);
      return;
    }
    known.heardAt = Date.now();
    known.number = number;
    known.unreadCount = 0;
    known.workers = workers;
    this.openTo(known);
  }

  private unread(message: Msg): void {
    if (message.headers?.code !== NO_RESPONDERS) return;
    const neighbour = this.neighbours.get(message.subject.slice(message.subject.lastIndexOf('.') + 1));
    if (neighbour !== undefined && ++neighbour.unreadCount >= MAX_UNREAD_COUNT) this.gone(neighbour);
  }

  private gone(neighbour: Neighbour): void {
    this.neighbours.delete(neighbour.node);
    for (const end of [...this.ends.values()])
      if (end.neighbour.node === neighbour.node) end.pipe.end('gone');
    for (const pair of this.parted) if (isOfPair(pair, neighbour.node)) this.parted.delete(pair);
  }

  private openTo(neighbour: Neighbour): void {
    for (const ours of this.ours) {
      for (const other of neighbour.workers) {
        const pair = pairOf(ours, other);
        if (ours > other || this.parted.has(pair) || this.isThere(this.pairs.get(pair))) continue;
        const id = randomBytes(PIPE_ID_BYTES).latin1Slice();
        this.add(id, ours, other, neighbour);
        const number = ++this.saidCount;
        this.send(neighbour.inbox, openFrame(id, { from: ours, to: other, inbox: this.inbox, number }));
      }
    }
  }

  /** Of a pipe that nobody has answered for so long, the question or the answer was lost. */
  private isThere(end: End | undefined): boolean {
    return end !== undefined && (end.isMet || Date.now() - end.begunAt < OPEN_TIMEOUT_MS);
  }

  private add(id: string, ours: WorkerAddress, other: WorkerAddress, to: Neighbour): End {
    const pair = pairOf(ours, other);
    this.pairs.get(pair)?.pipe.end('replaced');
    const { inbox } = to;
    const bus = this;
    const way: PipeWay = {
      send: (frame) => this.send(inbox, frame, { opening: end.opening }),
      get maxFrameBytes() {
        const { link, seal } = bus.options;
        return (link.live?.info?.max_payload ?? Number.MAX_SAFE_INTEGER) - seal.addedBytes;
      },
      ended: (pipe, why) => this.ended(pipe, why),
    };
    const end: End = {
      pipe: new NatsPipe(id, ours, other, way),
      neighbour: to,
      isMet: false,
      opening: '',
      begunAt: Date.now(),
    };
    this.ends.set(id, end);
    this.pairs.set(pair, end);
    return end;
  }

  private meet(end: End): void {
    end.isMet = true;
    this.options.metrics.pipes.inc();
    this.met(end.pipe.ours, end.pipe.other, end.pipe);
  }

  private ended(pipe: NatsPipe, why: PipeEnd): void {
    const end = this.ends.get(pipe.id);
    if (end === undefined) return;
    const pair = pairOf(pipe.ours, pipe.other);
    this.ends.delete(pipe.id);
    if (this.pairs.get(pair) === end) this.pairs.delete(pair);
    if (why === 'parted') this.parted.add(pair);
    this.send(end.neighbour.inbox, closeFrame(pipe.id, why === 'parted' ? Closing.Parted : Closing.Broken));
    if (!end.isMet) return;
    const { metrics, log } = this.options;
    metrics.pipes.dec();
    const isOrderly = why === 'parted' || why === 'leave';
    metrics.pipesClosed.inc({ reason: isOrderly ? 'closed' : why === 'replaced' ? 'gap' : why });
    if (!isOrderly)
      log.warn({ worker: pipe.other, reason: why }, 'the way to a worker of another node was lost');
  }

  private receive(frame: Buffer): void {
    const type = typeOf(frame);
    if (type === Frame.Sync) {
      this.compare(frame);
      return;
    }
    if (type === Frame.Open) {
      this.accept(frame);
      return;
    }
    const end = this.ends.get(pipeIdOf(frame));
    if (end === undefined) return;
    const { pipe } = end;
    switch (type) {
      case Frame.Opened:
        if (!end.isMet) {
          end.opening = openedNameOf(frame);
          this.meet(end);
        }
        pipe.pump();
        return;
      case Frame.Data: {
        const { number, isLast, piece } = dataOf(frame);
        pipe.received(number, isLast, piece);
        return;
      }
      case Frame.Ack:
        pipe.acknowledged(ackOf(frame));
        return;
      case Frame.Close:
        if (closingOf(frame) === Closing.Parted) this.parted.add(pairOf(pipe.ours, pipe.other));
        pipe.end('gone');
        return;
      default:
    }
  }

  private accept(frame: Buffer): void {
    const id = pipeIdOf(frame);
    const { from, to, inbox, number } = openingOf(frame);
    if (!this.ours.includes(to) || this.parted.has(pairOf(to, from))) {
      this.send(inbox, closeFrame(id, Closing.Parted));
      return;
    }
    const node = nodeOf(from);
    let neighbour = this.neighbours.get(node);
    // Somebody says again what was heard once: the pipe of now stays.
    if (neighbour !== undefined && number <= neighbour.number) return;
    if (neighbour === undefined) {
      neighbour = { node, inbox, workers: [from], heardAt: Date.now(), number: 0, unreadCount: 0 };
      this.neighbours.set(node, neighbour);
    }
    neighbour.number = number;
    const end = this.add(id, to, from, neighbour);
    end.opening = randomBytes(OPENING_BYTES).toString('hex');
    this.send(inbox, openedFrame(id, end.opening));
    this.meet(end);
  }

  /** What the other end does not know of was closed there, or never came there. */
  private compare(frame: Buffer): void {
    const { node, number, inbox, states } = syncOf(frame);
    const neighbour = this.neighbours.get(node);
    if (neighbour !== undefined) {
      if (number <= neighbour.number) return;
      neighbour.number = number;
      neighbour.heardAt = Date.now();
    }
    const named = new Set<string>();
    for (const state of states) {
      named.add(state.id);
      const end = this.ends.get(state.id);
      if (end === undefined) this.send(inbox, closeFrame(state.id, Closing.Broken));
      else if (end.isMet) end.pipe.compare(state);
    }
    for (const { pipe, isMet, neighbour } of [...this.ends.values()])
      if (isMet && neighbour.node === node && !named.has(pipe.id)) pipe.end('gap');
  }
}

/** @throws Error when it is none */
function presenceOf(bytes: Buffer): Presence {
  const said = JSON.parse(bytes.toString()) as Partial<Presence> | null;
  const { node, number, inbox, workers } = said ?? {};
  const areWorkers =
    Array.isArray(workers) &&
    workers.length <= MAX_WORKERS_COUNT &&
    workers.every((worker) => typeof worker === 'string' && nodeOf(worker) === node);
  if (
    !NODE_NAME.test(String(node)) ||
    typeof inbox !== 'string' ||
    !Number.isSafeInteger(number) ||
    !areWorkers
  )
    throw new Error('it does not say which node it is');
  return said as Presence;
}

function nodeOf(worker: WorkerAddress): string {
  return worker.slice(0, worker.lastIndexOf('.'));
}

function pairOf(ours: WorkerAddress, other: WorkerAddress): string {
  return `${ours} ${other}`;
}

function isOfPair(pair: string, node: string): boolean {
  return pair.includes(` ${node}.`);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
