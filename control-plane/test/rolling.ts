/** Replicas of a control plane that carry rollouts out, and nodes that follow as real ones do, for tests. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type Resource,
  ResourceSchema,
  type RolloutPlanSchema,
  TrialHealthSchema,
} from '@sluice/proto/cluster';
import { pino } from 'pino';
import { Follower } from '../../data-plane/src/snapshot/follower.js';
import { GrpcTransport } from '../../data-plane/src/snapshot/grpc-transport.js';
import { Replica as Held } from '../../data-plane/src/snapshot/replica.js';
import type { WantedTrial } from '../../data-plane/src/snapshot/trial-follower.js';
import { nodeAccess } from '../src/delivery/node-access.js';
import { deliveryService } from '../src/delivery/service.js';
import { Views } from '../src/delivery/views.js';
import { Fleet } from '../src/fleet/fleet.js';
import { SharedFleet } from '../src/fleet/shared-fleet.js';
import { ConfigurationHead } from '../src/revisions/head.js';
import { RolloutDriver } from '../src/rollout/driver.js';
import { Rollouts } from '../src/rollout/rollouts.js';
import type { Records } from '../src/store/records.js';
import type { RevisionLog } from '../src/store/revision-log.js';
import { serveOnLoopback } from './serve-on-loopback.js';

const HEALTH_INTERVAL_MS = 150;
const LOOK_INTERVAL_MS = 50;

export interface RollingReplica {
  readonly address: string;
  readonly head: ConfigurationHead;
  readonly fleet: Fleet;
  readonly rollouts: Rollouts;
  /** What went wrong that nobody waits for. */
  readonly troubles: unknown[];
  /** @param how `killed` leaves what it drives as it is */
  stop(how?: 'killed'): Promise<void>;
}

export async function startRolling(log: RevisionLog, records: Records, port = 0): Promise<RollingReplica> {
  const troubles: unknown[] = [];
  const onTrouble = (error: unknown) => void troubles.push(error);
  const nowMs = () => Date.now();
  const elapsedMs = () => performance.now();
  const head = await ConfigurationHead.open({ log, nowMs, onTrouble });
  const rollouts = new Rollouts({ head, records, nowMs });
  const views = new Views(head, elapsedMs, rollouts);
  const fleet = new Fleet({
    head,
    views,
    nowMs,
    elapsedMs,
    orderElsewhere: () => false,
    healthIntervalMs: HEALTH_INTERVAL_MS,
  });
  const shared = new SharedFleet({ fleet, records, log: pino({ level: 'silent' }), hasPeers: true });
  await shared.start();
  const driver = new RolloutDriver({
    head,
    rollouts,
    fleet,
    elapsedMs,
    onTrouble,
    lookIntervalMs: LOOK_INTERVAL_MS,
  });
  const access = nodeAccess(undefined);
  const isOnNats = () => false;
  const delivery = deliveryService({ head, views, fleet, access, cluster: 'test', isOnNats, onTrouble });
  const server = await serveOnLoopback(delivery, port);
  return {
    address: server.address,
    head,
    fleet,
    rollouts,
    troubles,
    async stop(how) {
      if (how !== 'killed') await driver.close();
      else driver.kill();
      delivery.close();
      await shared.close();
      fleet.close();
      views.close();
      rollouts.close();
      head.close();
      server.cut();
    },
  };
}

/** A node that serves without pause, and takes every revision that its test does not have it refuse. */
export class RollingNode {
  /** Every revision that it ran, in order. */
  readonly ran: number[] = [];
  /** Of a hundred requests, how many fail while a resource of this name is there. */
  errorsPercent: Readonly<Record<string, number>> = {};
  /** Names of resources that it refuses. */
  refuses: readonly string[] = [];
  private readonly follower: Follower;
  private readonly held: Held;
  private readonly transport: GrpcTransport;
  /** What some callers are given. */
  private trial: WantedTrial | undefined;
  private readonly served = { requestsTotal: 0n, errorsTotal: 0n, durationUsTotal: 0n };
  private readonly servedBeside = { requestsTotal: 0n, errorsTotal: 0n, durationUsTotal: 0n };
  /** Every share of the callers that it gave something else to, in order. */
  readonly shares: number[] = [];
  private requests = 0n;
  private errors = 0n;

  constructor(
    readonly name: string,
    addresses: readonly string[],
    { region = '', held = new Held() }: { region?: string; held?: Held } = {},
  ) {
    this.held = held;
    this.transport = new GrpcTransport({ addresses });
    const quiet = () => {};
    this.follower = new Follower({
      identity: () => ({ node: name, incarnation: `${name}-1`, version: '1', region, clientUrl: '' }),
      replica: held,
      transport: this.transport,
      timing: {
        nowMs: () => Date.now(),
        after: (ms, what) => {
          const timer = setTimeout(what, ms);
          return () => clearTimeout(timer);
        },
        random: () => 0.5,
        async run(work) {
          for (;;) {
            const step = work.next();
            if (step.done) return step.value;
          }
        },
      },
      log: { info: quiet, warn: quiet, error: quiet },
      activate: async ({ change }) => {
        const bad = change.changed.find(({ resource }) => this.refuses.includes(nameOf(resource)));
        return bad && { resource: undefined, reason: `cannot run ${nameOf(bad.resource)}` };
      },
      activated: ({ revision }) => {
        this.trial = undefined;
        this.ran.push(Number(revision));
      },
      health: () => this.health(),
      order: quiet,
      activateTrial: async (wanted) => {
        const bad = wanted?.candidate.change.changed.find(({ resource }) =>
          this.refuses.includes(nameOf(resource)),
        );
        this.trial = bad === undefined ? wanted : undefined;
        if (this.trial !== undefined) this.shares.push(this.trial.principalsPercent);
        return bad && { resource: undefined, reason: `cannot try ${nameOf(bad.resource)}` };
      },
    });
    this.follower.start();
  }

  get revision(): number {
    return Number(this.held.position?.revision ?? 0n);
  }

  /** What a node finds on the disk of this one. */
  kept(): Held {
    const { position, state } = this.held;
    return new Held(position && { position, state: state.fork() });
  }

  get resources(): string[] {
    return [...this.held.state.entries()].map(({ key }) => key).sort();
  }

  async stop(): Promise<void> {
    this.follower.stop();
    await this.transport.close();
  }

  /** A hundred requests of one millisecond each since it said so last. */
  private health() {
    this.requests += 100n;
    const names = [...this.held.state.entries()].map(({ resource }) => nameOf(resource));
    this.errors += BigInt(Math.max(0, ...names.map((name) => this.errorsPercent[name] ?? 0)));
    const { trial, served, servedBeside } = this;
    if (trial !== undefined) {
      const tried = trial.candidate.change.changed.map(({ resource }) => nameOf(resource));
      for (const each of [served, servedBeside]) {
        each.requestsTotal += 50n;
        each.durationUsTotal += 50_000n;
      }
      served.errorsTotal += BigInt(Math.max(0, ...tried.map((name) => this.errorsPercent[name] ?? 0))) / 2n;
    }
    return {
      ...(trial !== undefined && {
        trial: create(TrialHealthSchema, { served: { ...served }, servedBeside: { ...servedBeside } }),
      }),
      requestsTotal: this.requests,
      errorsTotal: this.errors,
      durationUsTotal: this.requests * 1_000n,
    };
  }
}

export function consumer(name: string): Resource {
  return create(ResourceSchema, { spec: { case: 'consumer', value: { name } } });
}

export async function write(
  { head }: Pick<RollingReplica, 'head'>,
  name: string,
  rollout?: MessageInitShape<typeof RolloutPlanSchema>,
): Promise<number> {
  const plan = async () => ({ changed: [consumer(name)], removed: [] });
  const made = await head.commit({
    author: 'test',
    message: '',
    plan,
    ...(rollout && { rollout: rollout as never }),
  });
  return Number(made?.number ?? 0);
}

function nameOf({ spec }: Resource): string {
  return spec.case === 'consumer' ? spec.value.name : '';
}
