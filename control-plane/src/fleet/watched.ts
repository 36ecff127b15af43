/** What a rollout sees of a node. */
import { Presence } from '@sluice/proto/cluster';
import type { Report, WatchedNode } from '../rollout/watched-node.js';
import { type KnownNode, regionOf, rejectionOf, runs } from './known-node.js';

export function watchedNode(node: KnownNode, revision: number): WatchedNode {
  const isRun = runs(node, revision);
  return {
    name: node.hello.node,
    region: regionOf(node),
    presence: presenceOf(node),
    runs: isRun,
    refusal: isRun ? undefined : rejectionOf(node, revision),
    report: reportOf(node, revision),
  };
}

function presenceOf({ presence }: KnownNode): WatchedNode['presence'] {
  if (presence === Presence.PRESENT) return 'present';
  return presence === Presence.GONE ? 'gone' : 'lost';
}

/** By what the node itself ran when it counted: it may run another one since. */
function reportOf({ health, view }: KnownNode, revision: number): Report | undefined {
  if (health === undefined) return undefined;
  const { position } = health;
  return {
    incarnation: health.incarnation,
    ran: position !== undefined && view.holds(revision, position),
    failedUpstreams: health.upstreamsFailedCount,
    requests: Number(health.requestsTotal),
    errors: Number(health.errorsTotal),
    durationUs: Number(health.durationUsTotal),
  };
}
