/** What goes wrong, and how it is well again. Each run has its own mixture. */
import {
  type Announcement,
  AnnouncementSchema,
  fromBinary,
  type PullResponse,
  SignedAnnouncementSchema,
  toBinary,
} from '@sluice/proto/cluster';
import type { Cluster } from './cluster.js';
import { SIMULATED_SIGNER } from './simulated-replica.js';

/** How long one lasts; milliseconds. */
const LONGEST_MS = 8_000;
const LONGEST_CLOCK_ERROR_MS = 24 * 60 * 60_000;

/** Begins, and returns how it ends. */
type Fault = (cluster: Cluster) => () => void;

const nothing = () => {};

export const FAULTS: Readonly<Record<string, Fault>> = {
  'the store is away': ({ store }) => {
    store.isAway = true;
    return () => {
      store.isAway = false;
    };
  },
  'the store is slow': ({ store }) => {
    store.slownessMs = 4_000;
    return () => {
      store.slownessMs = 0;
    };
  },
  'the store loses answers': ({ store }) => {
    store.losesOneAnswerIn = 3;
    return () => {
      store.losesOneAnswerIn = 0;
    };
  },
  'a replica is cut off from the store': ({ store, replicas, random }) => {
    const { name } = random.of(replicas);
    store.cutOff.add(name);
    return () => store.cutOff.delete(name);
  },
  'the store is restored from a backup': (cluster) => {
    const { store, writers, random } = cluster;
    const { checkpoint } = store.content();
    const base = cluster.backup ?? checkpoint;
    const revision = store.newest + 1 + random.below(3);
    const replaces = [checkpoint.storeId, ...checkpoint.replaces];
    store.replace(writers.backup(base, replaces, revision), checkpoint.storeId);
    return nothing;
  },
  'the store is an older state of itself': ({ store, copy }) => {
    if (copy?.name === store.name) store.goBack(copy.files);
    return nothing;
  },
  'the store is wiped': ({ store, writers, random }) => {
    const files = store.files();
    const { checkpoint } = store.content();
    const known = store.newest;
    store.wipe();
    return () => {
      if (random.oneIn(2)) {
        store.putBack(files);
        return;
      }
      const now = store.content().checkpoint;
      const replaces = [now.storeId, ...now.replaces, checkpoint.storeId, ...checkpoint.replaces];
      const revision = Math.max(known, store.newest) + 1;
      store.replace(writers.backup(checkpoint, replaces, revision), now.storeId);
    };
  },
  'NATS is away': ({ bus }) => {
    bus?.stop();
    return () => bus?.start();
  },
  'a connection to NATS is cut': ({ bus, random }) => {
    const connections = [...(bus?.connections ?? [])];
    if (connections.length === 0) return nothing;
    const connection = random.of(connections);
    connection.isRoutable = false;
    connection.cut();
    return () => {
      connection.isRoutable = true;
    };
  },
  'announcements are damaged': ({ bus, random }) => {
    if (bus === undefined) return nothing;
    bus.damage = (subject, bytes) =>
      subject.includes('.config.') && random.oneIn(2) ? damagedAnnouncement(subject, bytes) : bytes;
    return () => {
      bus.damage = undefined;
    };
  },
  'pulls are damaged': ({ network, random }) => {
    network.damage = (piece) => (random.oneIn(2) ? damagedPiece(piece) : piece);
    return () => {
      network.damage = undefined;
    };
  },
  'a node cannot reach a replica': ({ network, nodes, replicas, random }) => {
    const [node, replica] = [random.of(nodes).name, random.of(replicas).name];
    network.block(node, replica);
    return () => network.unblock(node, replica);
  },
  'a connection is cut': ({ network, nodes, replicas, random }) => {
    network.cut(random.of(nodes).name, random.of(replicas).name);
    return nothing;
  },
  'a node is killed': ({ nodes, random }) => {
    const node = random.of(nodes);
    node.kill();
    return () => void node.start();
  },
  'a node loses its power': ({ nodes, random }) => {
    const node = random.of(nodes);
    node.kill();
    node.disk.powerFails();
    return () => void node.start();
  },
  'a node is stopped': ({ nodes, random }) => {
    const node = random.of(nodes);
    const stopping = node.stop();
    return () => void stopping.then(() => node.start());
  },
  'a replica is killed': ({ replicas, random }) => {
    const replica = random.of(replicas);
    replica.kill();
    return () => void replica.start();
  },
  'a disk is full': ({ nodes, random }) => {
    const { disk } = random.of(nodes);
    disk.isFull = true;
    return () => {
      disk.isFull = false;
    };
  },
  'a clock jumps': ({ nodes, replicas, random }) => {
    const { process } = random.of([...nodes, ...replicas]);
    if (process) process.clockErrorMs = random.below(2 * LONGEST_CLOCK_ERROR_MS) - LONGEST_CLOCK_ERROR_MS;
    return nothing;
  },
};

/** Faults come and go until they are told to end. */
export class FaultInjection {
  private readonly kinds: string[];
  private readonly longestPauseMs: number;
  private readonly running = new Map<string, () => void>();
  private isOver = false;

  constructor(private readonly cluster: Cluster) {
    const { random } = cluster;
    const oneIn = 1 + random.below(5);
    this.kinds = Object.keys(FAULTS).filter(() => random.oneIn(oneIn));
    this.longestPauseMs = 500 + random.below(6_000);
    if (this.kinds.length > 0) this.later();
  }

  /** All is well from now on. */
  end(): void {
    this.isOver = true;
    for (const [kind, end] of [...this.running]) this.heal(kind, end);
  }

  private later(): void {
    const { schedule, random } = this.cluster;
    schedule.after(random.below(this.longestPauseMs), () => {
      if (this.isOver) return;
      this.begin(random.of(this.kinds));
      this.later();
    });
  }

  private begin(kind: string): void {
    if (this.running.has(kind)) return;
    const { schedule, random, trace } = this.cluster;
    trace.add(schedule.nowMs, '', `fault: ${kind}`);
    const end = FAULTS[kind]?.(this.cluster) ?? nothing;
    if (end === nothing) return;
    this.running.set(kind, end);
    schedule.after(random.below(LONGEST_MS), () => this.heal(kind, end));
  }

  private heal(kind: string, end: () => void): void {
    if (this.running.get(kind) !== end) return;
    this.running.delete(kind);
    this.cluster.trace.add(this.cluster.schedule.nowMs, '', `well again: ${kind}`);
    end();
  }
}

/** Before it was signed: what is damaged on its way is passed over. */
function damagedAnnouncement(subject: string, bytes: Uint8Array): Uint8Array {
  const { announcement: encoded } = fromBinary(SignedAnnouncementSchema, bytes);
  const announcement: Announcement = fromBinary(AnnouncementSchema, encoded);
  announcement.changed.pop();
  announcement.removed.pop();
  return SIMULATED_SIGNER.signed(subject, toBinary(AnnouncementSchema, announcement));
}

function damagedPiece(piece: PullResponse): PullResponse {
  return { ...piece, changed: piece.changed.slice(1), removed: piece.removed.slice(1) };
}
