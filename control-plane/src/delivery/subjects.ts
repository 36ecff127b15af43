/** The subjects on NATS that nodes and control plane share; they begin with the cluster's name. */

/** Where the nodes of a view hear what becomes of it. */
export function announcementSubject(cluster: string, viewId: string): string {
  return `sluice.${cluster}.config.${viewId}`;
}

/**
 * Where a node says what it runs and how it is, as encoded `ConnectRequest`s. Each has its own, so that permissions of
 * NATS can keep one from speaking for another.
 */
export function reportSubject(cluster: string, node: string): string {
  return `${reportsOf(cluster)}${node}`;
}

/** What all nodes report. */
export function allReports(cluster: string): string {
  return `${reportsOf(cluster)}>`;
}

/** The node whose subject this is. */
export function reportingNode(cluster: string, subject: string): string {
  return subject.slice(reportsOf(cluster).length);
}

function reportsOf(cluster: string): string {
  return `sluice.${cluster}.nodes.report.`;
}
