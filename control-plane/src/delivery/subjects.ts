/** The subjects on NATS that nodes and control plane share; they begin with the cluster's name. */

/** Where the nodes of a view hear what becomes of it. */
export function announcementSubject(cluster: string, viewId: string): string {
  return `sluice.${cluster}.config.${viewId}`;
}

/** Where nodes say what they run and how they are, as encoded `ConnectRequest`s. */
export function reportSubject(cluster: string): string {
  return `sluice.${cluster}.nodes.report`;
}
