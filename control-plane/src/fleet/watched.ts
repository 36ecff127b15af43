/** What a rollout sees of a node. */
import { Presence, type TrialFigures } from '@sluice/proto/cluster';
import type { Report, Totals, WatchedNode } from '../rollout/watched-node.js';
import { type KnownNode, regionOf, rejectionOf, runs, trialOf, trialRejectionOf } from './known-node.js';

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

/** What a rollout by callers sees of a node: what it gives to some of them. */
export function watchedTrial(node: KnownNode, revision: number, principalsPercent: number): WatchedNode {
  const trial = trialOf(node, revision);
  const { health } = node;
  const report = (ran: boolean, served: TrialFigures | undefined, failedUpstreams: number) =>
    health && { incarnation: health.incarnation, ran, failedUpstreams, ...totalsOf(served) };
  return {
    name: node.hello.node,
    region: regionOf(node),
    presence: presenceOf(node),
    runs: trial !== undefined && trial.principalsPercent >= principalsPercent,
    refusal: trialRejectionOf(node, revision),
    report: trial && report(true, trial.served, trial.upstreamsFailedCount),
    beside: trial && report(false, trial.servedBeside, health?.upstreamsFailedCount ?? 0),
  };
}

function totalsOf(figures: TrialFigures | undefined): Totals {
  return {
    requests: Number(figures?.requestsTotal ?? 0n),
    errors: Number(figures?.errorsTotal ?? 0n),
    durationUs: Number(figures?.durationUsTotal ?? 0n),
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
