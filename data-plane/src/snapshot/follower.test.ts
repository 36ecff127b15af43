import {
  AnnouncementSchema,
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  ConnectResponseSchema,
  create,
  fromBinary,
  NodeState,
  type Order,
  type Position,
  type PullRequest,
  TrialSchema,
  toBinary,
} from '@sluice/proto/cluster';
import { describe, expect, it } from 'vitest';
import { AnnouncementSigner } from '../../../control-plane/src/delivery/announcement-signer.js';
import type {
  AnnouncementBus,
  DeliveryTransport,
  Standing,
  StandingEvents,
  Timing,
} from './delivery-port.js';
import { Follower, type Refused } from './follower.js';
import { type Candidate, Replica } from './replica.js';
import { ScriptedStore, upstream } from './scripted-store.js';
import type { WantedTrial } from './trial-follower.js';

/** Time that passes when the test says so. */
class ScriptedTiming implements Timing {
  private now = 0;
  private queue: { atMs: number; what: () => void }[] = [];
  nowMs = () => this.now;
  random = () => 0.5;

  after(ms: number, what: () => void): () => void {
    const timer = { atMs: this.now + ms, what };
    this.queue.push(timer);
    return () => {
      this.queue = this.queue.filter((each) => each !== timer);
    };
  }

  async run<T>(work: Generator<void, T, void>): Promise<T> {
    for (;;) {
      const step = work.next();
      if (step.done) return step.value;
    }
  }

  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    for (;;) {
      await settled();
      const next = this.queue.filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.queue = this.queue.filter((each) => each !== next);
      this.now = Math.max(this.now, next.atMs);
      next.what();
    }
    this.now = until;
  }
}

/** Everything has happened that needs no time. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const SIGNER = new AnnouncementSigner();

/** One control plane; the test decides whether it can be reached. */
class ScriptedControlPlane implements DeliveryTransport {
  isReachable = true;
  pullFails: string | undefined;
  readonly said: ConnectRequest['content'][] = [];
  readonly pulls: PullRequest[] = [];
  connectCount = 0;
  /** What some callers are to be given. */
  ahead: ScriptedStore | undefined;
  /** Where it says that it stands, when it does not know better. */
  welcomes: Position | undefined;
  private hears: StandingEvents | undefined;

  constructor(
    readonly store: ScriptedStore,
    private readonly welcome = {
      announcementSubject: 'news',
      reportSubject: 'reports',
      healthIntervalMs: 1_000,
      announcementKey: SIGNER.publicKey,
    },
  ) {}

  async *pull(request: PullRequest) {
    this.pulls.push(request);
    if (!this.isReachable) throw new Error('nobody is there');
    if (this.pullFails !== undefined) throw new Error(this.pullFails);
    if (request.trial) {
      yield* this.ahead?.pieces() ?? [];
      return;
    }
    yield* this.store.pieces();
  }

  connect(hears: StandingEvents): Standing {
    this.connectCount++;
    this.hears = hears;
    if (!this.isReachable) setImmediate(() => hears.ended('nobody is there'));
    return {
      address: 'cp:1',
      say: ({ content }) => {
        if (!this.isReachable || this.hears !== hears) return;
        this.said.push(content);
        if (content.case !== 'hello') return;
        const { welcome, store } = this;
        this.tell({
          case: 'welcome',
          value: { ...welcome, cluster: 'test', position: this.welcomes ?? store.position } as never,
        });
      },
      close: () => {
        if (this.hears === hears) this.hears = undefined;
      },
    };
  }

  async close(): Promise<void> {}

  tell(content: ConnectResponse['content']): void {
    this.hears?.heard(create(ConnectResponseSchema, { content }));
  }

  get isWelcoming(): boolean {
    return this.hears !== undefined;
  }

  break(): void {
    this.hears?.ended('cut');
    this.hears = undefined;
  }

  ofKind(kind: string) {
    return this.said.filter((each) => each.case === kind).map(({ value }) => value as never);
  }
}

class ScriptedBus implements AnnouncementBus {
  isUp = true;
  readonly said: ConnectRequest['content'][] = [];
  private heard: ((bytes: Uint8Array) => void) | undefined;
  private change: (isUp: boolean) => void = () => {};
  onChange(listener: (isUp: boolean) => void): void {
    this.change = listener;
  }
  async subscribe(_subject: string, heard: (bytes: Uint8Array) => void): Promise<() => void> {
    this.heard = heard;
    return () => {
      this.heard = undefined;
    };
  }
  publish(_subject: string, bytes: Uint8Array): void {
    this.said.push(fromBinary(ConnectRequestSchema, bytes).content);
  }
  announce(bytes: Uint8Array): void {
    if (this.isUp) this.heard?.(bytes);
  }
  set(isUp: boolean): void {
    this.isUp = isUp;
    this.change(isUp);
  }
}

async function following(bus?: ScriptedBus, reachable = true) {
  const store = new ScriptedStore('one');
  const plane = new ScriptedControlPlane(store);
  plane.isReachable = reachable;
  const timing = new ScriptedTiming();
  const replica = new Replica();
  const lines: string[] = [];
  const orders: Order[] = [];
  const activated: bigint[] = [];
  const trials: (WantedTrial | undefined)[] = [];
  let refusing: ((candidate: Candidate) => Refused | undefined) | undefined;
  const log = (_fields: object, message: string) => void lines.push(message);
  const follower = new Follower({
    identity: () => ({ node: 'n1', incarnation: 'i', version: '1', region: 'eu', clientUrl: '' }),
    replica,
    transport: plane,
    bus,
    timing,
    log: { info: log, warn: log, error: log },
    activate: async (candidate) => {
      await new Promise((resolve) => setImmediate(resolve));
      return refusing?.(candidate);
    },
    activated: ({ revision }) => void activated.push(revision),
    health: () => ({ state: NodeState.READY }),
    order: (order) => void orders.push(order),
    activateTrial: async (wanted) => {
      trials.push(wanted);
      return wanted && refusing?.(wanted.candidate);
    },
  });
  follower.start();
  await timing.pass(0);
  return {
    store,
    plane,
    timing,
    replica,
    lines,
    orders,
    activated,
    trials,
    /** Says that some callers are to be given what there is with one more upstream. */
    tellTrial: async (name: string | undefined, principalsPercent = 5) => {
      if (name !== undefined) {
        const ahead = new ScriptedStore('one');
        ahead.state = store.state.fork();
        ahead.revision = store.revision;
        ahead.write([upstream(name, 1)], []);
        plane.ahead = ahead;
      }
      const { ahead } = plane;
      const of = { rollout: 'r', principalsPercent, base: store.position };
      const value = create(
        TrialSchema,
        name === undefined || !ahead ? {} : { ...of, position: ahead.position },
      );
      plane.tell({ case: 'trial', value });
      await timing.pass(0);
      return value;
    },
    follower,
    refuse: (how: typeof refusing) => {
      refusing = how;
    },
    commit: async (name: string, port: number, hasDelta = true) => {
      const announcement = store.write([upstream(name, port)], [], hasDelta);
      if (bus?.isUp) bus.announce(SIGNER.signed('news', toBinary(AnnouncementSchema, announcement)));
      else plane.tell({ case: 'announcement', value: announcement });
      await timing.pass(0);
      return announcement;
    },
  };
}

const refusals = (plane: ScriptedControlPlane) =>
  (plane.ofKind('acknowledgement') as { rejection?: object }[]).filter(
    ({ rejection }) => rejection !== undefined,
  );

describe('a node that follows', () => {
  it('says hello, waits for a configuration, and takes it when there is one', async () => {
    const { plane, follower, commit, replica } = await following();
    expect(plane.ofKind('hello')).toMatchObject([{ node: 'n1', region: 'eu', hearsAnnouncements: false }]);
    expect(follower.waitingFor).toBe('the cluster has no configuration yet');
    await commit('a', 1);
    expect(replica.position?.revision).toBe(1n);
    expect(plane.ofKind('acknowledgement')).toMatchObject([{ node: 'n1', position: { revision: 1n } }]);
  });

  it('takes deltas without asking, and asks when one is missing', async () => {
    const { plane, store, commit, replica } = await following();
    await commit('a', 1);
    const pulls = plane.pulls.length;
    await commit('b', 1);
    await commit('c', 1);
    expect(plane.pulls.length).toBe(pulls);
    store.write([upstream('d', 1)], []);
    await commit('e', 1);
    expect(plane.pulls.length).toBe(pulls + 1);
    expect(replica.position?.revision).toBe(5n);
  });

  it('keeps what runs when a revision is refused, says why, and takes the next one that can be run', async () => {
    const { plane, commit, replica, refuse, activated, timing } = await following();
    await commit('a', 1);
    refuse(() => ({ resource: undefined, reason: 'it is bad' }));
    await commit('b', 1);
    expect(replica.position?.revision).toBe(1n);
    expect(plane.ofKind('acknowledgement').at(-1)).toMatchObject({
      position: { revision: 2n },
      rejection: { reason: 'it is bad' },
    });
    // The same is not tried again.
    const count = plane.ofKind('acknowledgement').length;
    await timing.pass(120_000);
    expect(plane.ofKind('acknowledgement').length).toBe(count);
    refuse(undefined);
    await commit('c', 1);
    expect(activated).toEqual([1n, 3n]);
  });

  it('tries again, with longer and longer pauses, what was refused for a reason that may pass', async () => {
    const { plane, commit, replica, refuse, activated, timing, lines } = await following();
    await commit('a', 1);
    let tries = 0;
    refuse(() => {
      tries++;
      return { resource: undefined, reason: 'a file is missing', mayPass: true };
    });
    await commit('b', 1);
    const pulls = plane.pulls.length;
    await timing.pass(10_000);
    expect(tries).toBeGreaterThan(2);
    expect(tries).toBeLessThan(8);
    const early = tries;
    await timing.pass(600_000);
    expect(tries - early).toBeLessThan(20);
    // It was said once, and everything that is needed was there.
    expect(refusals(plane)).toHaveLength(1);
    expect(lines.filter((line) => line.includes('was refused'))).toHaveLength(1);
    expect(plane.pulls.length - pulls).toBeLessThan(30);
    refuse(undefined);
    await timing.pass(60_000);
    expect(activated).toEqual([1n, 2n]);
    expect(replica.position?.revision).toBe(2n);
    expect(plane.ofKind('acknowledgement').at(-1)).toMatchObject({ position: { revision: 2n } });
    expect(refusals(plane)).toHaveLength(1);
  });

  it('forgets what was refused when the next revision comes', async () => {
    const { commit, refuse, activated, timing } = await following();
    const tried: (bigint | undefined)[] = [];
    refuse(({ position }) => {
      tried.push(position.revision);
      return { resource: undefined, reason: 'a file is missing', mayPass: true };
    });
    await commit('a', 1);
    refuse(undefined);
    await commit('b', 1);
    await timing.pass(120_000);
    expect([tried, activated]).toEqual([[1n], [2n]]);
  });

  it('runs what was kept, when that can be done, without any control plane', async () => {
    const { store, plane, follower, refuse, activated, timing } = await following(undefined, false);
    store.write([upstream('a', 1)], []);
    const kept = { changed: [...store.state.entries()], removed: [] };
    const candidate = { position: store.position, change: kept, state: store.state, base: undefined };
    const refused = { resource: undefined, reason: 'a file is missing', mayPass: true };
    refuse(() => refused);
    follower.begin(candidate, refused);
    await timing.pass(5_000);
    expect([activated, follower.waitingFor]).toEqual([[], expect.any(String)]);
    refuse(undefined);
    await timing.pass(20_000);
    expect([activated, plane.isReachable]).toEqual([[1n], false]);
  });

  it('comes back to the control plane with pauses, and learns what it missed', async () => {
    const { plane, store, commit, replica, timing, lines } = await following();
    await commit('a', 1);
    plane.isReachable = false;
    plane.break();
    store.write([upstream('b', 1)], []);
    const connects = plane.connectCount;
    await timing.pass(10_000);
    expect(plane.connectCount).toBeGreaterThan(connects + 5);
    expect(plane.connectCount).toBeLessThan(connects + 25);
    expect(lines.filter((line) => line.includes('cannot be reached'))).toHaveLength(1);
    plane.isReachable = true;
    await timing.pass(1_500);
    expect(replica.position?.revision).toBe(2n);
  });

  it('finds out by asking what nobody told it', async () => {
    const { store, commit, replica, timing } = await following();
    await commit('a', 1);
    store.write([upstream('b', 1)], []);
    await timing.pass(40_000);
    expect(replica.position?.revision).toBe(2n);
  });

  it('asks for all of it when what came is not what it says', async () => {
    const { plane, store, commit, replica, timing } = await following();
    await commit('a', 1);
    const { pieces } = store;
    store.pieces = () => pieces.call(store).map((piece) => ({ ...piece, changed: [] }));
    await commit('b', 1, false);
    expect(replica.position?.revision).toBe(1n);
    store.pieces = pieces;
    await timing.pass(2_000);
    expect(plane.pulls.at(-1)).toMatchObject({ everything: true, have: { revision: 1n } });
    expect(replica.position?.revision).toBe(2n);
  });

  it('hears announcements over NATS and says over NATS what became of them, and without it over the stream', async () => {
    const bus = new ScriptedBus();
    const { plane, commit, replica, timing } = await following(bus);
    expect(plane.ofKind('hello').at(-1)).toMatchObject({ hearsAnnouncements: true });
    await commit('a', 1);
    expect(bus.said.filter((each) => each.case === 'acknowledgement')).toHaveLength(1);
    bus.set(false);
    await timing.pass(0);
    expect(plane.ofKind('hello').at(-1)).toMatchObject({ hearsAnnouncements: false });
    await commit('b', 1);
    expect(replica.position?.revision).toBe(2n);
    expect(plane.ofKind('acknowledgement')).toMatchObject([{ position: { revision: 2n } }]);
    bus.set(true);
    await timing.pass(0);
    expect(plane.ofKind('hello').at(-1)).toMatchObject({ hearsAnnouncements: true });
  });

  it('survives what is no announcement', async () => {
    const bus = new ScriptedBus();
    const { commit, replica, timing } = await following(bus);
    bus.announce(Buffer.from('nonsense that is no protobuf'));
    await timing.pass(0);
    await commit('a', 1);
    expect(replica.position?.revision).toBe(1n);
  });

  it('takes no announcement over NATS that the control plane did not sign for this subject', async () => {
    const bus = new ScriptedBus();
    const { commit, replica, timing, lines, store, plane, activated } = await following(bus);
    await commit('a', 1);
    const forged = toBinary(AnnouncementSchema, store.write([upstream('evil', 2)], []));
    plane.pullFails = 'it is slow';
    for (const bytes of [
      forged,
      new AnnouncementSigner().signed('news', forged),
      SIGNER.signed('news of others', forged),
    ]) {
      bus.announce(bytes);
      bus.announce(bytes);
      await timing.pass(0);
    }
    expect(replica.position?.revision).toBe(1n);
    expect(activated).toEqual([1n]);
    expect(lines.filter((line) => line.includes('forges'))).toHaveLength(1);
    bus.announce(SIGNER.signed('news', forged));
    await timing.pass(0);
    expect(replica.position?.revision).toBe(2n);
  });

  it('asks for what may have been announced before it knew who announces', async () => {
    const bus = new ScriptedBus();
    const { plane, replica, timing, store } = await following(bus);
    const { position } = plane.store;
    plane.break();
    const announcement = store.write([upstream('a', 1)], []);
    plane.welcomes = position;
    bus.announce(new AnnouncementSigner().signed('news', toBinary(AnnouncementSchema, announcement)));
    expect(replica.position).toBeUndefined();
    await timing.pass(2_000);
    expect(replica.position?.revision).toBe(1n);
  });

  it('says how it is at the interval, obeys orders, and says goodbye', async () => {
    const { plane, timing, orders, follower } = await following();
    await timing.pass(3_500);
    expect(plane.ofKind('health')).toHaveLength(4);
    plane.tell({ case: 'order', value: { what: { case: 'drain', value: { reason: 'x' } } } as never });
    expect(orders).toMatchObject([{ what: { case: 'drain' } }]);
    follower.stop();
    expect(plane.ofKind('health').at(-1)).toMatchObject({ state: NodeState.STOPPED });
  });

  it('does not come back as fast as it can when it is welcomed and sent away again and again', async () => {
    const { plane, timing } = await following();
    for (let waitedMs = 0; waitedMs < 20_000; waitedMs += 50) {
      if (plane.isWelcoming) plane.break();
      await timing.pass(50);
    }
    expect(plane.connectCount).toBeGreaterThan(15);
    expect(plane.connectCount).toBeLessThan(50);
    await timing.pass(2_500);
    const before = plane.connectCount;
    plane.break();
    await timing.pass(110);
    expect(plane.connectCount).toBe(before + 1);
  });

  it('leaves a control plane that takes the connection and says nothing', async () => {
    const { plane, timing } = await following(undefined, false);
    const before = plane.connectCount;
    // It is there, and answers no hello.
    plane.connect = (() => {
      plane.connectCount++;
      return { address: 'cp:2', say: () => undefined, close: () => undefined };
    }) as never;
    await timing.pass(20_000);
    expect(plane.connectCount).toBeGreaterThan(before + 3);
  });
});

describe('what some callers are to be given', () => {
  const shown = (plane: ScriptedControlPlane) =>
    (plane.ofKind('health') as { trial?: { principalsPercent: number; rejection?: object } }[]).at(-1)?.trial;
  const revisions = (trials: readonly (WantedTrial | undefined)[]) =>
    trials.map((each) => each && [Number(each.candidate.position.revision), each.principalsPercent]);

  it('is fetched once, run beside what runs, and given to more', async () => {
    const { plane, commit, tellTrial, trials, replica, timing } = await following();
    await commit('a', 1);
    await tellTrial('b');
    expect(revisions(trials)).toEqual([[2, 5]]);
    expect(trials[0]?.candidate.change.changed.map(({ key }) => key)).toEqual(['upstream//b']);
    expect(replica.position?.revision).toBe(1n);
    expect(shown(plane)).toMatchObject({ principalsPercent: 5, position: { revision: 2n } });
    const pulls = plane.pulls.length;
    await tellTrial('b', 50);
    await tellTrial('b', 50);
    expect(revisions(trials)).toEqual([
      [2, 5],
      [2, 50],
    ]);
    expect(plane.pulls.length).toBe(pulls);
    await timing.pass(2_000);
    expect(shown(plane)).toMatchObject({ principalsPercent: 50 });
  });

  it('ends when it is said so, and with the next revision that all are given', async () => {
    const { plane, commit, tellTrial, trials, timing } = await following();
    await commit('a', 1);
    await tellTrial('b');
    await tellTrial(undefined);
    expect(revisions(trials)).toEqual([[2, 5], undefined]);
    expect(shown(plane)).toBeUndefined();
    await tellTrial('b');
    await commit('c', 1);
    await timing.pass(2_000);
    // Whoever runs the next one has ended it with that.
    expect(revisions(trials)).toEqual([[2, 5], undefined, [2, 5]]);
    expect(shown(plane)).toBeUndefined();
  });

  it('waits for the revision beside which it is meant', async () => {
    const { plane, store, commit, tellTrial, trials, replica } = await following();
    await commit('a', 1);
    const announcement = store.write([upstream('b', 1)], []);
    await tellTrial('c');
    expect(trials).toEqual([]);
    plane.tell({ case: 'announcement', value: announcement });
    await settled();
    await settled();
    expect(replica.position?.revision).toBe(2n);
    expect(revisions(trials)).toEqual([[3, 5]]);
  });

  it('is asked for again when it cannot be fetched, or is not what was said', async () => {
    const { plane, commit, tellTrial, trials, timing } = await following();
    await commit('a', 1);
    plane.pullFails = 'the store is away';
    await tellTrial('b');
    await timing.pass(3_000);
    expect(trials).toEqual([]);
    plane.pullFails = undefined;
    const { ahead } = plane;
    plane.ahead = new ScriptedStore('one');
    await timing.pass(3_000);
    expect(trials).toEqual([]);
    plane.ahead = ahead;
    await timing.pass(3_000);
    expect(revisions(trials)).toEqual([[2, 5]]);
  });

  it('is refused with a reason, not tried again, and leaves what runs alone', async () => {
    const { plane, commit, tellTrial, trials, refuse, replica, timing } = await following();
    await commit('a', 1);
    refuse(() => ({ resource: undefined, reason: 'it is bad' }));
    await tellTrial('b');
    expect(shown(plane)).toMatchObject({ rejection: { reason: 'it is bad' }, position: { revision: 2n } });
    expect(replica.position?.revision).toBe(1n);
    await tellTrial('b', 50);
    await timing.pass(60_000);
    expect(trials).toHaveLength(1);
    expect(refusals(plane)).toEqual([]);
    await tellTrial(undefined);
    expect(trials).toHaveLength(2);
    expect(trials[1]).toBeUndefined();
    expect(shown(plane)).toBeUndefined();
  });
});
