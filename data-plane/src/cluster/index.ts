/**
 * What nodes share with each other, over NATS. Nothing of it is loaded where a gateway has no cluster: `connectCluster`
 * brings the rest along when it is called.
 */
import type { Logger } from 'pino';
import type { PluginSharing } from '../chain/plugin-sharing.js';
import type { NodeBus } from '../sessions/node-bus.js';
import type { SessionStore } from '../sessions/store.js';
import type { AnnouncementBus } from '../snapshot/delivery-port.js';

/** How NATS is reached, and as whom. */
export interface NatsSettings {
  /** `nats://host:4222` or `tls://host:4222`; one that can be reached is enough. */
  readonly servers: readonly string[];
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  /** A file with the JWT and the seed of a user (`.creds`), read again at each connection. */
  readonly credentialsFile?: string | undefined;
  readonly tls?: NatsTls | undefined;
  /** How many NATS servers keep a copy of each session. Default 1; 3 where NATS is a cluster. */
  readonly replicas?: number | undefined;
}

/** Files in PEM form. */
export interface NatsTls {
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export interface ClusterOptions {
  readonly nats: NatsSettings;
  /** Name of the cluster: lower-case letters, digits and hyphens. Those of other names do not meet on the same NATS. */
  readonly cluster: string;
  /** What all nodes of the cluster have: nothing is taken from others who can publish on NATS. Without it, it is. */
  readonly key?: Uint8Array | undefined;
  /** Name of this node: letters, digits, hyphens and underscores. */
  readonly node: string;
  readonly log: Logger;
  /** `redis://` or `rediss://`: where shared token buckets are kept; by default in NATS. */
  readonly redis?: string | undefined;
  /** Sessions of a node that is gone are kept for so long; by default 30 minutes. */
  readonly sessionIdleTimeoutMs?: number | undefined;
}

/** To be given to `startDataPlane` as its `cluster`, and closed when the data plane has stopped. */
export interface ClusterConnection {
  readonly bus: NodeBus;
  readonly sessions: SessionStore;
  readonly plugins: PluginSharing;
  /** What the control plane says to nodes, and they to it. */
  readonly announcements: AnnouncementBus;
  /** Metrics of the connection, which have other names than those of workers. */
  metricsText(): Promise<string>;
  /** Writes down what waits, within a time limit, and disconnects. */
  close(): Promise<void>;
}

const CLUSTER_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const NODE_NAME = /^[A-Za-z0-9_-]{1,63}$/;
const REPLICAS = [1, 3, 5];

/**
 * Resolves when NATS answers, and when it refuses or takes longer than two seconds: it is looked for from then on, and
 * meanwhile this node is alone.
 *
 * @throws TypeError when a name or a setting cannot be used.
 */
export async function connectCluster(options: ClusterOptions): Promise<ClusterConnection> {
  const { cluster, node, nats } = options;
  if (!CLUSTER_NAME.test(cluster))
    throw new TypeError(
      `${JSON.stringify(cluster)} cannot name a cluster; use up to 63 lower-case letters, digits and hyphens`,
    );
  if (!NODE_NAME.test(node))
    throw new TypeError(
      `${JSON.stringify(node)} cannot name a node; use up to 63 letters, digits, hyphens and underscores`,
    );
  if (nats.servers.length === 0)
    throw new TypeError('no NATS server is named; give one or more, for example nats://127.0.0.1:4222');
  if (nats.replicas !== undefined && !REPLICAS.includes(nats.replicas))
    throw new TypeError(`NATS keeps 1, 3 or 5 copies, not ${nats.replicas}`);
  return (await import('./nats-cluster.js')).connect(options);
}
