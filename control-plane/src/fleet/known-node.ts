/** A node as one replica of the control plane knows it. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type Acknowledgement,
  type Health,
  HealthSchema,
  type Hello,
  keyName,
  type Node,
  NodeSchema,
  type Order,
  type Position,
  type Presence,
  type Rejection,
  RejectionSchema,
  type TrialHealth,
} from '@sluice/proto/cluster';
import type { DeliveredView } from '../delivery/delivered-view.js';
import type { MayTell } from './fleet-view.js';

export interface KnownNode {
  hello: Hello;
  /** What it sees. */
  view: DeliveredView;
  health: Health | undefined;
  /** Of the newest revision that it spoke of. */
  acknowledgement: Acknowledgement | undefined;
  /** What it said last that it runs. */
  running: Position | undefined;
  presence: Presence;
  /** Milliseconds since 1970. */
  seenMs: number;
  /** The same by a clock that only grows. */
  heardMs: number;
  /** The stream to it, when it ends here. */
  stream: NodeStream | undefined;
}

/** A standing stream to a node. */
export interface NodeStream {
  order(order: Order): void;
  /** Another start of the node took its place. */
  replaced(): void;
}

/** The region that it sees: that of its grant, where that names one. */
export function regionOf({ view }: KnownNode): string {
  return view.view.region;
}

/** True when it is known to run a revision, a later one, or one that reads the same to it. */
export function runs({ running, view }: KnownNode, revision: number): boolean {
  return running !== undefined && view.holds(revision, running);
}

/** Why it refused a revision or a later one; undefined when it did not. */
export function rejectionOf(
  { acknowledgement, view }: KnownNode,
  revision: number,
  mayTell?: MayTell,
): string | undefined {
  const { rejection, position } = acknowledgement ?? {};
  if (rejection === undefined || position?.storeId !== view.position.storeId) return undefined;
  if (Number(position.revision) < revision) return undefined;
  return rejectionText(toldRejection(rejection, mayTell));
}

/** What it gives to some callers of a revision; undefined when it does not. */
export function trialOf({ health, view }: KnownNode, revision: number): TrialHealth | undefined {
  const trial = health?.trial;
  const isIt =
    trial?.position?.storeId === view.position.storeId && Number(trial.position.revision) === revision;
  return isIt && trial.rejection === undefined ? trial : undefined;
}

/** Why it gives a revision to no caller; undefined when it did not refuse that. */
export function trialRejectionOf(
  { health, view }: KnownNode,
  revision: number,
  mayTell?: MayTell,
): string | undefined {
  const { position, rejection } = health?.trial ?? {};
  const isIt = position?.storeId === view.position.storeId && Number(position.revision) === revision;
  return isIt && rejection !== undefined ? rejectionText(toldRejection(rejection, mayTell)) : undefined;
}

/** In place of a reason that is not for everybody. */
export const UNTOLD = 'for a reason that is not of your tenants; ask an admin, who sees it';

export function toldRejection(rejection: Rejection, mayTell: MayTell | undefined): Rejection {
  return mayTell === undefined || mayTell(rejection.resource)
    ? rejection
    : create(RejectionSchema, { reason: UNTOLD });
}

export function rejectionText({ resource, reason }: Rejection): string {
  return resource === undefined ? reason : `${keyName(resource)}: ${reason}`;
}

function toldAcknowledgement(
  acknowledgement: Acknowledgement,
  mayTell: MayTell | undefined,
): Acknowledgement {
  const { rejection } = acknowledgement;
  if (rejection === undefined || mayTell === undefined) return acknowledgement;
  return { ...acknowledgement, rejection: toldRejection(rejection, mayTell) };
}

export function nodeMessage(node: KnownNode, wantedRevision: number, mayTell?: MayTell): Node {
  const { hello, health, acknowledgement, running, presence, seenMs } = node;
  return create(NodeSchema, {
    hello: { ...hello, region: regionOf(node) },
    // An acknowledgement may be newer than what it said of its health.
    health: create(HealthSchema, {
      ...(health ?? { node: hello.node, incarnation: hello.incarnation }),
      ...(running && { position: running }),
    }),
    ...(acknowledgement && { acknowledgement: toldAcknowledgement(acknowledgement, mayTell) }),
    seen: timestampFromMs(seenMs),
    presence,
    wantedRevision: BigInt(wantedRevision),
  });
}
