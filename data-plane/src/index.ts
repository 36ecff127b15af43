export {
  type ClusterConnection,
  type ClusterOptions,
  connectCluster,
  type NatsSettings,
} from './cluster/index.js';
export { type Cluster, type DataPlane, type DataPlaneOptions, startDataPlane } from './data-plane.js';
export { type OfferedTools, offeredTools } from './offered-tools.js';
export type { Met, NodeBus } from './sessions/node-bus.js';
export {
  MemorySessionStore,
  type SessionEnds,
  type SessionRecord,
  type SessionStore,
} from './sessions/store.js';
export { type StdioEnd, type StdioOptions, type StdioServer, startStdio } from './stdio.js';
export type { UpstreamStatus } from './telemetry/ops-door.js';
