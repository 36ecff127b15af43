/** A replica of the control plane: what is real is everything but the store, the network and the bus. */
import type { View } from '@sluice/proto/cluster';
import type { Logger } from 'pino';
import { AnnouncementSigner } from '../../../control-plane/src/delivery/announcement-signer.js';
import { announceOver } from '../../../control-plane/src/delivery/announcer.js';
import { deliveryService } from '../../../control-plane/src/delivery/service.js';
import { Views } from '../../../control-plane/src/delivery/views.js';
import { Fleet } from '../../../control-plane/src/fleet/fleet.js';
import { ConfigurationHead } from '../../../control-plane/src/revisions/head.js';
import { RolloutDriver } from '../../../control-plane/src/rollout/driver.js';
import { Rollouts } from '../../../control-plane/src/rollout/rollouts.js';
import { BusConnection, type SimulatedBus } from './simulated-bus.js';
import type { SimulatedNetwork } from './simulated-network.js';
import { SimulatedProcess, type Surroundings } from './simulated-process.js';
import { SimulatedRecords } from './simulated-records.js';
import { SimulatedLog, type SimulatedStore } from './simulated-store.js';

const CLUSTER = 'simulated';
/** Of all replicas, so that a fault can damage what nodes then believe. */
export const SIMULATED_SIGNER = new AnnouncementSigner();
/** How long a supervisor waits before it starts a process that ended; milliseconds. */
const RESTART_MS = 500;

const silent = { debug: () => {} } as unknown as Logger;

export interface ReplicaWorld {
  readonly surroundings: Surroundings;
  readonly store: SimulatedStore;
  readonly network: SimulatedNetwork;
  readonly bus: SimulatedBus | undefined;
  readonly viewOf: (node: string, region: string) => View;
}

export class SimulatedReplica {
  process: SimulatedProcess | undefined;
  head: ConfigurationHead | undefined;
  fleet: Fleet | undefined;
  rollouts: Rollouts | undefined;
  private startCount = 0;

  constructor(
    readonly name: string,
    private readonly world: ReplicaWorld,
  ) {
    world.network.addresses.push(name);
  }

  get isUp(): boolean {
    return this.head !== undefined;
  }

  kill(): void {
    this.process?.kill();
    this.process = undefined;
    this.head = undefined;
    this.fleet = undefined;
    this.rollouts = undefined;
  }

  async start(): Promise<void> {
    if (this.process !== undefined) return;
    const { surroundings, store, network, bus, viewOf } = this.world;
    const process = new SimulatedProcess(`${this.name}.${++this.startCount}`, surroundings);
    this.process = process;
    process.trace('starts');
    const { nowMs, elapsedMs } = process;
    const onTrouble = (error: unknown) => process.trace(`trouble: ${(error as Error).message}`);
    let head: ConfigurationHead;
    const log = new SimulatedLog(store, process, this.name);
    try {
      head = await ConfigurationHead.open({ log, nowMs, onTrouble, timing: process });
    } catch (error) {
      process.trace(`cannot start: ${(error as Error).message}`);
      this.kill();
      surroundings.schedule.after(RESTART_MS, () => void this.start());
      return;
    }
    const records = new SimulatedRecords(store, process, log);
    const rollouts = new Rollouts({ head, records, nowMs });
    const views = new Views(head, elapsedMs, rollouts);
    const connection = bus && new BusConnection(bus, process);
    const isOnNats = () => connection?.isUp === true;
    const fleet = new Fleet({ head, views, nowMs, elapsedMs, orderElsewhere: () => false, timing: process });
    const delivery = deliveryService({
      head,
      views,
      fleet,
      access: ({ node, region }) => viewOf(node, region),
      cluster: CLUSTER,
      announcementKey: SIMULATED_SIGNER.publicKey,
      isOnNats,
      timing: process,
      onTrouble: (error) =>
        surroundings.verdict.fail(`the delivery service failed: ${(error as Error).stack}`),
    });
    if (connection) {
      const signer = SIMULATED_SIGNER;
      announceOver({ bus: connection, cluster: CLUSTER, signer, views, fleet, delivery, log: silent });
    }
    new RolloutDriver({ head, rollouts, fleet, elapsedMs, onTrouble, timing: process });
    network.listen(this.name, { process, delivery });
    this.watchHead(process, head);
    this.head = head;
    this.fleet = fleet;
    this.rollouts = rollouts;
    process.trace(`serves ${head.storeId} at ${head.revision}`);
  }

  /** What holds here never goes back, but with the store. */
  private watchHead(process: SimulatedProcess, head: ConfigurationHead): void {
    let known = { storeId: head.storeId, revision: head.revision };
    const look = () => {
      if (head.storeId === known.storeId && head.revision < known.revision)
        process.surroundings.verdict.fail(
          `${process.name} went back from revision ${known.revision} to ${head.revision}`,
        );
      known = { storeId: head.storeId, revision: head.revision };
      process.trace(`holds ${known.storeId} at ${known.revision}`);
    };
    head.onChange({
      revision: look,
      renewed: look,
      reachable: (isReachable, reason) =>
        process.trace(isReachable ? 'store: reachable' : `store: ${reason}`),
    });
  }
}
