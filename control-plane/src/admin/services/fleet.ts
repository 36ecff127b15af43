/** The methods of FleetService. */
import { create } from '@bufbuild/protobuf';
import {
  type DrainNodeRequest,
  type DrainNodeResponse,
  DrainNodeResponseSchema,
  type EndConnectionRequest,
  type EndConnectionResponse,
  EndConnectionResponseSchema,
  type ListConnectionsRequest,
  type ListConnectionsResponse,
  ListConnectionsResponseSchema,
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
import type { Call } from '../bound-method.js';
import { mayTell, requireAllTenants } from '../caller.js';
import { MAX_PAGE_COUNT, pageCount, pageEnd, pageToken } from './page.js';

/** Characters of the reason of an order. */
const MAX_REASON_LENGTH = 1_000;

export function listNodes(
  { revision }: ConfigurationHead,
  fleet: FleetView,
  { region }: ListNodesRequest,
  { caller }: Call,
): ListNodesResponse {
  const nodes = fleet.nodes(mayTell(caller)).filter(({ hello }) => region === '' || hello?.region === region);
  return create(ListNodesResponseSchema, { nodes, revision: BigInt(revision) });
}

export async function drainNode(
  fleet: FleetView,
  { node: name, reason }: DrainNodeRequest,
): Promise<DrainNodeResponse> {
  if (reason.length > MAX_REASON_LENGTH)
    throw AdminError.field('reason', `has more than ${MAX_REASON_LENGTH} characters`);
  const node = await fleet.drain(name, reason).catch(unreachable(name));
  if (node === undefined) throw noNode(name);
  return create(DrainNodeResponseSchema, { node });
}

export function listNodeEvents(
  fleet: FleetView,
  { node, pageSize }: ListNodeEventsRequest,
  { caller }: Call,
): ListNodeEventsResponse {
  const events = fleet.events(pageCount(pageSize), node === '' ? undefined : node, mayTell(caller));
  return create(ListNodeEventsResponseSchema, { events: [...events] });
}

export async function listConnections(
  fleet: FleetView,
  { node, pageSize, pageToken: token }: ListConnectionsRequest,
  { caller }: Call,
): Promise<ListConnectionsResponse> {
  requireAllTenants(caller);
  const page = { limitCount: pageCount(pageSize), cursor: pageEnd(token) };
  const list = await fleet.connections(node, page).catch(unreachable(node));
  if (list === undefined) throw noNode(node);
  const { connections, nextCursor } = list;
  return create(ListConnectionsResponseSchema, { connections, nextPageToken: pageToken(nextCursor) });
}

export async function endConnection(
  fleet: FleetView,
  { node, connection }: EndConnectionRequest,
  { caller }: Call,
): Promise<EndConnectionResponse> {
  requireAllTenants(caller);
  if ((await hasConnection(fleet, node, connection)) === false)
    throw new AdminError('NOT_FOUND', `node ${node} has no connection ${connection}`, { metadata: { node } });
  if (!(await fleet.endConnection(node, connection).catch(unreachable(node)))) throw noNode(node);
  return create(EndConnectionResponseSchema);
}

/** Undefined where nobody can say: a node that has its stream to another replica takes orders and is not heard here. */
async function hasConnection(fleet: FleetView, node: string, id: string): Promise<boolean | undefined> {
  try {
    for (let cursor = ''; ; ) {
      const list = await fleet.connections(node, { limitCount: MAX_PAGE_COUNT, cursor });
      if (list === undefined) return undefined;
      if (list.connections.some((each) => each.id === id)) return true;
      if (list.nextCursor === '' || list.nextCursor === cursor) return false;
      cursor = list.nextCursor;
    }
  } catch (thrown) {
    if (thrown instanceof NodeUnreachableError) return undefined;
    throw thrown;
  }
}

function unreachable(node: string): (thrown: unknown) => never {
  return (thrown) => {
    if (thrown instanceof NodeUnreachableError)
      throw new AdminError('NODE_UNREACHABLE', thrown.message, { metadata: { node } });
    throw thrown;
  };
}

function noNode(name: string): AdminError {
  return new AdminError('NOT_FOUND', `there is no node ${name}`);
}
