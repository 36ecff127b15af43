/**
 * One replica of the control plane. What it needs to start comes first and what depends on it last; it stops in the
 * other direction.
 */
import { createSecureContext } from 'node:tls';
import { RolloutEventKind } from '@sluice/proto/cluster';
import type { Logger } from 'pino';
import { type AccessOptions, type AdminApi, type AdminListen, startAdminApi } from './admin/index.js';
import { builtInCatalogue } from './catalogue.js';
import { AnnouncementSigner } from './delivery/announcement-signer.js';
import { announceOver } from './delivery/announcer.js';
import { NatsBus, type NatsOptions } from './delivery/nats-bus.js';
import { type NodeAccess, type NodeGrant, nodeAccess } from './delivery/node-access.js';
import { type NodeListen, serveNodes } from './delivery/node-server.js';
import { deliveryService } from './delivery/service.js';
import { Views } from './delivery/views.js';
import { Fleet } from './fleet/fleet.js';
import { SharedFleet } from './fleet/shared-fleet.js';
import { openProcessDoors, type ProcessDoors, type ProcessReport } from './process-doors.js';
import { reportOf } from './process-report.js';
import { compactBeyond } from './revisions/compaction.js';
import type { ConfigurationHead } from './revisions/head.js';
import { RolloutDriver } from './rollout/driver.js';
import { Rollouts } from './rollout/rollouts.js';
import { openHead, openStore, type Store, type StoreOptions } from './store/open-store.js';
import type { Compile } from './validation/resources.js';

export interface ControlPlaneOptions {
  /** The cluster's name: letters, digits, `_` and `-`. It stands in keys of etcd and subjects of NATS. */
  readonly cluster: string;
  readonly store: StoreOptions;
  /** Older revisions are forgotten: what they changed, not what holds. */
  readonly keepRevisionsCount: number;
  readonly nodes: NodeListen & {
    /** Who may come as a node; undefined: everybody. */
    readonly grants: readonly NodeGrant[] | undefined;
  };
  readonly admin: AdminListen & { readonly access: AccessOptions };
  /** Compiles what would hold, before it is stored. */
  readonly compile?: Compile | undefined;
  /** Where `/live`, `/ready`, `/health` and `/metrics` are. */
  readonly doors: { readonly host: string; readonly port: number };
  readonly nats?: NatsOptions | undefined;
  readonly log: Logger;
  readonly version: string;
}

/** `host:port` of each. */
export interface ServedAddresses {
  readonly nodes: string;
  readonly admin: string;
}

/** What can be another while a replica runs. */
export interface RenewedAccess {
  readonly nodes: Pick<ControlPlaneOptions['nodes'], 'tls' | 'grants'>;
  readonly admin: Pick<ControlPlaneOptions['admin'], 'tls' | 'access'>;
}

export interface ControlPlane {
  /** Where the health of the process is asked for; there from the start. */
  readonly doorsAddress: string;
  /**
   * Resolves when the replica serves, with where; with undefined when it was stopped before the store could be reached.
   *
   * @throws StoreDamagedError, and what the listeners throw
   */
  readonly serving: Promise<ServedAddresses | undefined>;
  /**
   * Takes other certificates, nodes and callers from now on. Nodes that may not come any more, or see something else, have
   * to come again.
   *
   * @throws what is wrong with them, and nothing is changed then
   */
  renew(access: RenewedAccess): void;
  /** Tells nodes, ends their streams, and closes the store. */
  stop(): Promise<void>;
}

/** @throws what the listener for health throws, and StoreUnavailableError or StoreDamagedError for a file */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const replica = new Replica(options);
  return replica.start();
}

/** How long calls of the admin API may take that are under way when the replica stops. */
const ADMIN_GRACE_MS = 2_000;

/** Ends what was started, last first. */
type Ending = () => void | Promise<void>;

class Replica {
  private readonly endings: Ending[] = [];
  private readonly stopping = new AbortController();
  private waitsFor: string | undefined = 'the store is being opened';
  private head: ConfigurationHead | undefined;
  private fleet: Fleet | undefined;
  private bus: NatsBus | undefined;
  /** Why changes are refused. */
  private storeTrouble: string | undefined;
  private access: RenewedAccess;
  private nodeAccess: NodeAccess;
  private api: AdminApi | undefined;
  /** Makes the access count for nodes, once they are served. */
  private renewed = () => {};

  constructor(private readonly options: ControlPlaneOptions) {
    this.access = options;
    this.nodeAccess = nodeAccess(options.nodes.grants);
  }

  async start(): Promise<ControlPlane> {
    const { store: storeOptions, cluster, doors: place } = this.options;
    const doors: ProcessDoors = await openProcessDoors(place, () => this.report());
    this.endings.push(() => doors.close());
    let store: Store;
    try {
      store = openStore(storeOptions, cluster);
    } catch (error) {
      await doors.close();
      throw error;
    }
    this.endings.push(() => store.close());
    const serving = this.serve(store);
    // Whoever stops it before need not have asked whether it serves.
    serving.catch(() => {});
    return {
      doorsAddress: doors.address,
      serving,
      renew: (access) => this.renew(access),
      stop: () => this.stop(serving),
    };
  }

  private async serve(store: Store): Promise<ServedAddresses | undefined> {
    const { log, keepRevisionsCount, nodes: nodesOptions, cluster } = this.options;
    const head = await this.openHead(store);
    if (head === undefined) return undefined;
    this.endings.push(() => head.close());
    const endCompaction = compactBeyond(head, keepRevisionsCount, {
      compacted: (oldest) => log.info({ oldest }, `revisions before ${oldest} are forgotten`),
      failed: (error) => log.warn({ err: error }, 'old revisions could not be forgotten yet'),
    });
    const rollouts = this.openRollouts(head, store);
    const views = new Views(head, () => performance.now(), rollouts);
    const fleet = await this.openFleet(head, views, store);
    this.drive(rollouts, head, fleet);
    const bus = this.connectNats();
    const signer = bus && new AnnouncementSigner();
    const delivery = deliveryService({
      head,
      views,
      fleet,
      cluster,
      announcementKey: signer?.publicKey,
      access: (claim) => this.nodeAccess(claim),
      isOnNats: () => bus?.isUp ?? false,
      onTrouble: (error) => log.error({ err: error }, 'a node could not be answered'),
    });
    const endAnnouncing = signer && announceOver({ bus, cluster, signer, views, fleet, delivery, log });
    this.endings.push(() => {
      endCompaction();
      endAnnouncing?.();
      views.close();
    });
    const nodes = await serveNodes(delivery, { ...nodesOptions, ...this.access.nodes });
    this.endings.push(() => nodes.close());
    const admin = await this.startAdmin(head, fleet, rollouts);
    this.renewed = () => {
      const { tls } = this.access.nodes;
      if (tls !== undefined) nodes.renew(tls);
      delivery.admitAgain();
    };
    this.waitsFor = undefined;
    const addresses = { nodes: nodes.address, admin };
    log.info(
      { revision: head.revision, store: store.place, ...addresses },
      `serving revision ${head.revision} to nodes at ${addresses.nodes}; the admin API is at ${admin}`,
    );
    return addresses;
  }

  /** Resolves with where it is. */
  private async startAdmin(head: ConfigurationHead, fleet: Fleet, rollouts: Rollouts): Promise<string> {
    const { admin, compile, log } = this.options;
    const { access, ...listen } = { ...admin, ...this.access.admin };
    const api = await startAdminApi({
      head,
      fleet,
      rollouts,
      compile,
      catalogue: builtInCatalogue(),
      access,
      listen,
      onFailure: (error) => {
        const text = `a call of the admin API failed: ${error.message}`;
        // What is away for now is no fault of this process, and its stack tells nobody anything.
        if (error.reason === 'INTERNAL') log.error({ err: error }, text);
        else log.warn({ reason: error.reason }, text);
      },
    });
    this.api = api;
    this.endings.push(() => api.close(ADMIN_GRACE_MS));
    return `${api.host.includes(':') ? `[${api.host}]` : api.host}:${api.port}`;
  }

  private async openHead({ log: revisionLog, place }: Store): Promise<ConfigurationHead | undefined> {
    const { log } = this.options;
    const head = await openHead(
      {
        log: revisionLog,
        nowMs: () => Date.now(),
        onTrouble: (error) => log.warn({ err: error }, `the store is not as it should be: ${error}`),
      },
      (reason) => {
        const isFirst = this.waitsFor?.startsWith('the store cannot be reached') !== true;
        this.waitsFor = `the store cannot be reached: ${reason}`;
        if (isFirst) log.warn({ reason }, `waits for the store: ${reason}`);
      },
      this.stopping.signal,
    );
    head?.onChange({
      revision: ({ number, author, message }) =>
        log.info({ revision: Number(number), author, message }, `revision ${number} holds`),
      renewed: () => log.info({ revision: head.revision }, 'the store was read anew'),
      reachable: (isReachable, reason) => {
        this.storeTrouble = isReachable ? undefined : `nothing can be changed: ${reason}`;
        if (isReachable) log.info({ store: place }, 'the store can be reached again');
        else log.warn({ reason }, `the store is away, so nothing can be changed: ${reason}`);
      },
    });
    this.head = head;
    return head;
  }

  private openRollouts(head: ConfigurationHead, { records }: Store): Rollouts {
    const { log } = this.options;
    const rollouts = new Rollouts({
      head,
      records,
      nowMs: () => Date.now(),
      happened: ({ revision }, { kind, reason, step, author }) => {
        const fields = { revision: Number(revision), step, author };
        const what = RolloutEventKind[kind].toLowerCase().replaceAll('_', ' ');
        const text = `rollout of revision ${revision}: ${what}: ${reason}`;
        if (kind === RolloutEventKind.ROLLBACK_STARTED) log.warn(fields, text);
        else log.info(fields, text);
      },
    });
    this.endings.push(() => rollouts.close());
    return rollouts;
  }

  private drive(rollouts: Rollouts, head: ConfigurationHead, fleet: Fleet): void {
    const { log } = this.options;
    const driver = new RolloutDriver({
      head,
      rollouts,
      fleet,
      elapsedMs: () => performance.now(),
      onTrouble: (error) => log.error({ err: error }, 'a rollout could not be looked after'),
    });
    this.endings.push(() => driver.close());
  }

  /** With the nodes that were known before. */
  private async openFleet(head: ConfigurationHead, views: Views, { records }: Store): Promise<Fleet> {
    const { log, store } = this.options;
    const fleet = new Fleet({
      head,
      views,
      nowMs: () => Date.now(),
      elapsedMs: () => performance.now(),
      orderElsewhere: (node, order) => shared.order(node, order),
      answerElsewhere: (list) => shared.answer(list),
    });
    const shared = new SharedFleet({ fleet, records, log, hasPeers: store.kind === 'etcd' });
    this.fleet = fleet;
    this.endings.push(async () => {
      await shared.close();
      fleet.close();
    });
    await shared.start();
    return fleet;
  }

  private connectNats(): NatsBus | undefined {
    const { nats, log, cluster } = this.options;
    if (nats === undefined) return undefined;
    const bus = new NatsBus(nats, `sluice control-plane ${cluster}`, log);
    this.bus = bus;
    this.endings.push(() => bus.close());
    return bus;
  }

  private renew(access: RenewedAccess): void {
    const { nodes, admin } = access;
    if (nodes.tls !== undefined) createSecureContext({ ...nodes.tls, ca: nodes.tls.clientCa });
    this.api?.renew(admin.access, admin.tls);
    this.access = access;
    this.nodeAccess = nodeAccess(nodes.grants);
    this.renewed();
  }

  private async stop(serving: Promise<unknown>): Promise<void> {
    if (this.stopping.signal.aborted) return;
    this.stopping.abort();
    this.waitsFor = 'it stops';
    await serving.catch(() => {});
    for (const end of this.endings.reverse()) await end();
  }

  private report(): ProcessReport {
    const { waitsFor, head, fleet, bus, options } = this;
    return reportOf({
      waitsFor,
      head,
      nodes: fleet?.nodes() ?? [],
      storeTrouble: this.storeTrouble,
      isOnNats: bus?.isUp,
      version: options.version,
      cluster: options.cluster,
    });
  }
}
