/**
 * A node of a cluster: starts from what it kept on its disk, serves, then asks for news; and every revision that it is
 * told of is compiled, run in all workers or in none, kept, and acknowledged.
 */
import { randomUUID } from 'node:crypto';
import type { ResolvedConfiguration, ResolvedListen } from '@sluice/proto';
import {
  create,
  type Health,
  type ListConnections,
  NodeState,
  type Order,
  type Position,
  parseKeyText,
  type ResourceKey,
  type ResourceState,
  TrialFiguresSchema,
  TrialHealthSchema,
} from '@sluice/proto/cluster';
import type { Logger } from 'pino';
import type { TrialCounts } from '../admin/worker-part.js';
import { type ClusterConnection, connectCluster, type NatsSettings } from '../cluster/index.js';
import { type DataPlane, type DataPlaneOptions, startDataPlane } from '../data-plane.js';
import { CompileError } from '../routing/compile-error.js';
import { type Compiled, compileInSteps, type Lookup, type NodeSettings } from '../routing/compiler.js';
import { Attempts } from './attempts.js';
import { CannotRun, type Culprit } from './cannot-run.js';
import { connectionList, connectionQuery } from './connection-list.js';
import type { Timing } from './delivery-port.js';
import { type Held, SnapshotDisk } from './disk.js';
import { refuseExposure } from './exposure.js';
import { claimFolder } from './folder-claim.js';
import { Follower, type Refused } from './follower.js';
import { type GrpcOptions, GrpcTransport } from './grpc-transport.js';
import { ownLookup } from './lookup.js';
import { type Candidate, Replica } from './replica.js';
import { inSlices } from './slices.js';
import type { WantedTrial } from './trial-follower.js';
import { WaitingDoor } from './waiting-door.js';

/** Why a start failed that no other configuration would mend. */
const FATAL_CODES: readonly unknown[] = [
  'EADDRINUSE',
  'EACCES',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'CERTIFICATE_UNUSABLE',
];
/** How old what a report says of traffic may be; milliseconds. */
const LOAD_AGE_MS = 1_000;

export interface ClusterNodeOptions {
  /** Its name, which it keeps over restarts; unique in the cluster. */
  readonly node: string;
  readonly region: string;
  readonly version: string;
  /** What the node says for itself; `stateDir` keeps the configuration too. */
  readonly settings: NodeSettings & { readonly listen: Pick<ResolvedListen, 'host' | 'port'> };
  readonly controlPlanes: GrpcOptions;
  /** What nodes share, and where; undefined where each is alone. */
  readonly sharing?:
    | {
        readonly cluster: string;
        readonly nats: NatsSettings;
        readonly redis?: string | undefined;
        readonly key?: Uint8Array | undefined;
      }
    | undefined;
  readonly log: Logger;
  readonly dataPlane: Pick<DataPlaneOptions, 'key' | 'onProcessGroup' | 'sessionEnds'>;
  /** A configuration as one that runs can take it: it goes on listening where it does. */
  readonly asRunning: (
    wanted: ResolvedConfiguration,
    running: ResolvedConfiguration,
  ) => ResolvedConfiguration;
  readonly events: ClusterNodeEvents;
}

export interface ClusterNodeEvents {
  /** It listens at an address, and has nothing to serve yet. */
  waits(url: string): void;
  /** It serves for the first time. */
  serves(gateway: DataPlane, configuration: ResolvedConfiguration): void;
  /** It serves something else. */
  changed(configuration: ResolvedConfiguration): void;
  /** It was told to stop. */
  ordered(reason: string): void;
  /** It cannot start, whatever the configuration. */
  failed(error: unknown, listen: Pick<ResolvedListen, 'host' | 'port'>): void;
}

export class ClusterNode {
  private readonly log: Logger;
  private readonly disk: SnapshotDisk | undefined;
  private readonly attempts: Attempts | undefined;
  private readonly incarnation = randomUUID();
  private readonly door = new WaitingDoor(() => this.follower?.waitingFor ?? 'it is starting');
  private transport: GrpcTransport | undefined;
  private cluster: ClusterConnection | undefined;
  private follower: Follower | undefined;
  private replica: Replica | undefined;
  private compiled: Compiled | undefined;
  private gateway: DataPlane | undefined;
  private running: ResolvedConfiguration | undefined;
  private state = NodeState.WAITING;
  private url = '';
  private port: number;
  private load: Partial<Health> = {};
  private loadAtMs = 0;
  private giveUpFolder = async () => {};

  constructor(private readonly options: ClusterNodeOptions) {
    const { settings, region, log } = options;
    this.log = log;
    this.port = settings.listen.port;
    this.disk =
      settings.stateDir === undefined ? undefined : new SnapshotDisk(settings.stateDir, region, log);
    this.attempts = settings.stateDir === undefined ? undefined : new Attempts(settings.stateDir, log);
  }

  /** Resolves when it serves or waits. What keeps it from both is told as an event. */
  async start(): Promise<void> {
    const { controlPlanes, sharing, node, log } = this.options;
    if (this.disk === undefined)
      log.warn(
        'nothing is kept on the disk: a start without a control plane has nothing to serve; see --state-dir',
      );
    else this.giveUpFolder = await this.claimFolder();
    if (sharing !== undefined) this.cluster = await connectCluster({ ...sharing, node, log });
    const kept = await this.startFromDisk();
    this.replica = new Replica(kept?.refused === undefined ? kept?.held : undefined);
    this.transport = new GrpcTransport(controlPlanes);
    this.follower = new Follower({
      identity: () => ({
        node,
        incarnation: this.incarnation,
        version: this.options.version,
        region: this.options.region,
        clientUrl: this.url,
      }),
      replica: this.replica,
      transport: this.transport,
      bus: this.cluster?.announcements,
      timing,
      log,
      activate: (candidate) => this.activate(candidate),
      activated: (position) => this.keep(position),
      activateTrial: (wanted) => this.activateTrial(wanted),
      health: () => this.health(),
      order: (order) => this.obey(order),
    });
    if (this.gateway === undefined && !(await this.openDoor())) return;
    if (kept?.refused !== undefined) this.follower.begin(candidateOf(kept.held), kept.refused);
    this.follower.start();
  }

  /** Nothing new, what is under way ends within the grace, then everybody is told that it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.state = NodeState.DRAINING;
    this.follower?.report();
    await this.attempts?.stop();
    await this.gateway?.stop(graceMs);
    await this.door.close();
    this.follower?.stop();
    await this.transport?.close();
    await this.cluster?.close();
    await this.disk?.flush();
    await this.giveUpFolder();
  }

  private async claimFolder(): Promise<() => Promise<void>> {
    const { node, settings, log } = this.options;
    return claimFolder(settings.stateDir ?? '', `the node ${node} (process ${process.pid})`, log);
  }

  // The configuration.

  private async startFromDisk(): Promise<{ held: Held; refused: Refused | undefined } | undefined> {
    await this.attempts?.read();
    const held = await this.disk?.read();
    if (held === undefined) return undefined;
    const revision = Number(held.position.revision);
    const refused = await this.activate(candidateOf(held));
    if (refused === undefined)
      this.log.info(
        { revision },
        `serving revision ${revision} from the disk until the control plane says more`,
      );
    return { held, refused };
  }

  private async activate(candidate: Candidate): Promise<Refused | undefined> {
    const { position } = candidate;
    const ended = this.attempts?.refusalOf(position);
    if (ended !== undefined) return ended;
    await this.attempts?.begin(position);
    const refused = await this.take(candidate);
    void this.attempts?.end(position, refused === undefined);
    return refused;
  }

  /** Gives something to some callers beside what all others are given, or ends that. */
  private async activateTrial(wanted: WantedTrial | undefined): Promise<Refused | undefined> {
    const { gateway, running } = this;
    if (gateway === undefined || running === undefined) return undefined;
    this.load = { ...this.load, trial: undefined };
    if (wanted === undefined) {
      if (running.trial === undefined) return undefined;
      const { trial: _trial, ...configuration } = running;
      try {
        await gateway.apply(configuration);
        this.running = configuration;
      } catch (thrown) {
        this.log.error({ err: thrown }, 'what some callers are given could not be ended');
      }
      return undefined;
    }
    const { candidate, ...share } = wanted;
    const { position } = candidate;
    const ended = this.attempts?.refusalOf(position);
    if (ended !== undefined) return ended;
    await this.attempts?.begin(position);
    const refused = await this.compiledInto(candidate, async (next) => {
      const { trial: _trial, ...stable } = running;
      const configuration = { ...stable, trial: { ...share, configuration: next } };
      await gateway.apply(configuration);
      this.running = configuration;
    });
    void this.attempts?.end(position, false);
    return refused;
  }

  private take(candidate: Candidate): Promise<Refused | undefined> {
    return this.compiledInto(candidate, async (wanted, compiled) => {
      if (this.gateway === undefined || this.running === undefined) await this.serve(wanted);
      else await this.change(this.gateway, wanted, this.running);
      this.compiled = compiled;
    });
  }

  private async compiledInto(
    { position, change }: Candidate,
    run: (wanted: ResolvedConfiguration, compiled: Compiled) => Promise<void>,
  ): Promise<Refused | undefined> {
    const lookup = new NotingLookup(ownLookup());
    let compiled: Compiled | undefined;
    try {
      compiled = await timing.run(
        compileInSteps(this.compiled, change, { lookup, node: this.nodeSettings() }),
      );
      const revision = Number(position.revision);
      const wanted: ResolvedConfiguration = { ...compiled.configuration, revision };
      refuseExposure(wanted);
      await run(wanted, compiled);
      return undefined;
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      if (thrown instanceof CannotRun)
        return { resource: resourceOf(thrown, compiled), reason, mayPass: thrown.mayPass };
      const isCompiled = !(thrown instanceof CompileError);
      return {
        resource: isCompiled ? undefined : thrown.resource,
        reason,
        mayPass: !isCompiled && lookup.hasMissed,
      };
    }
  }

  private nodeSettings(): NodeSettings {
    const { settings } = this.options;
    return { ...settings, listen: { ...settings.listen, port: this.port } };
  }

  private async serve(configuration: ResolvedConfiguration): Promise<void> {
    const { dataPlane, events, log } = this.options;
    // The address is free only then; whoever comes in between comes again.
    await this.door.close();
    let gateway: DataPlane;
    try {
      gateway = await startDataPlane({ ...dataPlane, configuration, log, cluster: this.cluster });
    } catch (thrown) {
      if (isFatal(thrown)) {
        // The process may end by this, and it is not for the configuration.
        await this.attempts?.stop();
        events.failed(thrown, configuration.gateway.listen);
      } else if (this.follower !== undefined) await this.openDoor();
      throw thrown;
    }
    this.gateway = gateway;
    this.running = configuration;
    this.url = gateway.url;
    if (this.state === NodeState.WAITING) this.state = NodeState.READY;
    this.follower?.introduce();
    events.serves(gateway, configuration);
  }

  private async change(
    gateway: DataPlane,
    wanted: ResolvedConfiguration,
    running: ResolvedConfiguration,
  ): Promise<void> {
    const configuration = this.options.asRunning(wanted, running);
    await gateway.apply(configuration);
    this.running = configuration;
    this.options.events.changed(configuration);
  }

  private keep(position: Position): void {
    const state: ResourceState | undefined = this.replica?.state;
    if (state !== undefined) this.disk?.keep(position, state);
  }

  /** False when the address cannot be listened on. */
  private async openDoor(): Promise<boolean> {
    const { events, settings, log } = this.options;
    const listen = { ...settings.listen, port: this.port };
    try {
      this.port = await this.door.open(listen);
    } catch (thrown) {
      events.failed(thrown, listen);
      return false;
    }
    log.info({ port: this.port }, 'waiting for a configuration; /ready says for what');
    events.waits(`${listen.tls === undefined ? 'http' : 'https'}://${listen.host}:${this.port}`);
    return true;
  }

  // The control plane.

  private obey({ what }: Order): void {
    if (what.case === 'drain') this.options.events.ordered(what.value.reason);
    else if (what.case === 'endSession') void this.gateway?.ask({ what: 'end', id: what.value.id });
    else if (what.case === 'listConnections') void this.listConnections(what.value);
  }

  private async listConnections(wanted: ListConnections): Promise<void> {
    const query = connectionQuery(wanted);
    const parts = (await this.gateway?.ask(query)) ?? [];
    this.follower?.answer(connectionList(parts, wanted));
  }

  /** What was found out last; asked for anew where it is old. */
  private health(): Partial<Health> {
    const { user, system } = process.cpuUsage();
    if (performance.now() - this.loadAtMs > LOAD_AGE_MS) void this.lookAtLoad();
    return {
      ...this.load,
      state: this.state,
      cpuUsTotal: BigInt(user + system),
      residentBytes: BigInt(process.memoryUsage.rss()),
    };
  }

  private async lookAtLoad(): Promise<void> {
    this.loadAtMs = performance.now();
    const parts = (await this.gateway?.ask({ what: 'counts' })) ?? [];
    const sum = (of: (part: (typeof parts)[number]) => number) =>
      parts.reduce((total, part) => total + of(part), 0);
    this.load = {
      sessions: sum(({ sessions }) => sessions),
      requestsInFlight: sum(({ openExchanges }) => openExchanges),
      requestsTotal: BigInt(sum(({ requestCount }) => requestCount)),
      errorsTotal: BigInt(sum(({ errorCount }) => errorCount)),
      durationUsTotal: BigInt(sum(({ durationUs }) => durationUs)),
      // Every worker asks every upstream.
      upstreamsFailedCount: Math.max(0, ...parts.map(({ failedUpstreamCount }) => failedUpstreamCount)),
      trial: trialFigures(parts.flatMap(({ trial }) => (trial === undefined ? [] : [trial]))),
    };
  }
}

/** What all workers have counted. */
function trialFigures(parts: readonly TrialCounts[]): Health['trial'] {
  if (parts.length === 0) return undefined;
  const sum = (all: readonly TrialCounts['served'][]) =>
    create(TrialFiguresSchema, {
      requestsTotal: BigInt(all.reduce((total, { requestCount }) => total + requestCount, 0)),
      errorsTotal: BigInt(all.reduce((total, { errorCount }) => total + errorCount, 0)),
      durationUsTotal: BigInt(all.reduce((total, { durationUs }) => total + durationUs, 0)),
    });
  return create(TrialHealthSchema, {
    served: sum(parts.map(({ served }) => served)),
    servedBeside: sum(parts.map(({ servedBeside }) => servedBeside)),
    upstreamsFailedCount: Math.max(...parts.map(({ failedUpstreamCount }) => failedUpstreamCount)),
  });
}

function candidateOf({ position, state }: Held): Candidate {
  return { position, change: { changed: [...state.entries()], removed: [] }, state, base: undefined };
}

const KINDS_OF: Readonly<Record<Culprit, readonly string[]>> = {
  gateway: [],
  plugin: ['plugin'],
  upstream: ['upstream'],
  server: ['virtual-server', 'endpoint'],
};
const GATEWAY_KEY = 'gateway//gateway';

/** The resource that is the reason; undefined for what several make together. */
function resourceOf(
  { culprit, culpritName }: CannotRun,
  compiled: Compiled | undefined,
): ResourceKey | undefined {
  const slash = culpritName.indexOf('/');
  const places = [`/${culpritName}`];
  if (slash > 0) places.push(culpritName);
  const keys = KINDS_OF[culprit].flatMap((kind) => places.map((place) => `${kind}/${place}`));
  if (culprit === 'gateway') keys.push(GATEWAY_KEY);
  const key = keys.find((each) => compiled?.parts.has(each));
  return key === undefined ? undefined : parseKeyText(key);
}

/** Notes whether a file was missing, which may be there later. */
class NotingLookup implements Lookup {
  hasMissed = false;

  constructor(private readonly lookup: Lookup) {}

  variable(name: string): string | undefined {
    return this.lookup.variable(name);
  }

  file(path: string): string {
    try {
      return this.lookup.file(path);
    } catch (thrown) {
      this.hasMissed = true;
      throw thrown;
    }
  }
}

const timing: Timing = {
  nowMs: () => Date.now(),
  after: (ms, what) => {
    const timer = setTimeout(what, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
  run: inSlices,
};

function isFatal(thrown: unknown): boolean {
  // Of the configuration, and another one may say otherwise.
  if (thrown instanceof CannotRun) return false;
  for (let each = thrown; each instanceof Error; each = each.cause)
    if (FATAL_CODES.includes((each as NodeJS.ErrnoException).code)) return true;
  return false;
}
