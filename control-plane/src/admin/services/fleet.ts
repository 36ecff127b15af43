/** The methods of FleetService. */
import { create } from '@bufbuild/protobuf';
import {
  type DrainNodeRequest,
  type DrainNodeResponse,
  DrainNodeResponseSchema,
  type ListNodeEventsRequest,
  type ListNodeEventsResponse,
  ListNodeEventsResponseSchema,
  type ListNodesRequest,
  type ListNodesResponse,
  ListNodesResponseSchema,
} from '@sluice/proto/admin';
import { type FleetView, NodeUnreachableError } from '../../fleet/fleet-view.js';
import type { ConfigurationHead } from '../../revisions/head.js';
import { AdminError } from '../admin-error.js';
import { pageCount } from './page.js';

/** Characters of the reason of an order. */
const MAX_REASON_LENGTH = 1_000;

export function listNodes(
  { revision }: ConfigurationHead,
  fleet: FleetView,
  { region }: ListNodesRequest,
): ListNodesResponse {
  const nodes = fleet.nodes().filter(({ hello }) => region === '' || hello?.region === region);
  return create(ListNodesResponseSchema, { nodes, revision: BigInt(revision) });
}

export async function drainNode(
  fleet: FleetView,
  { node: name, reason }: DrainNodeRequest,
): Promise<DrainNodeResponse> {
  if (reason.length > MAX_REASON_LENGTH)
    throw AdminError.field('reason', `has more than ${MAX_REASON_LENGTH} characters`);
  const node = await fleet.drain(name, reason).catch((thrown: unknown) => {
    if (thrown instanceof NodeUnreachableError)
      throw new AdminError('NODE_UNREACHABLE', thrown.message, { metadata: { node: name } });
    throw thrown;
  });
  if (node === undefined) throw new AdminError('NOT_FOUND', `there is no node ${name}`);
  return create(DrainNodeResponseSchema, { node });
}

export function listNodeEvents(
  fleet: FleetView,
  { node, pageSize }: ListNodeEventsRequest,
): ListNodeEventsResponse {
  const events = fleet.events(pageCount(pageSize), node === '' ? undefined : node);
  return create(ListNodeEventsResponseSchema, { events: [...events] });
}
