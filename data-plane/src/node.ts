/** What runs a node of a cluster; apart from the rest, since a gateway that stands alone loads nothing of it. */
export type { NatsSettings } from './cluster/index.js';
export { type CollectedBatch, type Collecting, collectRecords } from './cluster/records-collector.js';
export { ClusterNode, type ClusterNodeEvents, type ClusterNodeOptions } from './snapshot/node.js';
