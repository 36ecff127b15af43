/** The clients of a node, as it says them to the control plane. */
import {
  type ClientConnection,
  ClientConnectionSchema,
  type ConnectionList,
  ConnectionListSchema,
  create,
  type ListConnections,
  timestampFromMs,
} from '@sluice/proto/cluster';
import { byPosition, type ConnectionFacts, type Position } from '../admin/worker-part.js';

/** On one page, however many are asked for. */
const MAX_PAGE_COUNT = 1_000;

/** What each worker is asked for: one more than is said tells whether there are others. */
export function connectionQuery({ cursor, limit }: ListConnections) {
  return { what: 'connections', after: positionOf(cursor), limit: pageCount(limit) + 1 } as const;
}

/** @param parts what each worker has, in order */
export function connectionList(
  parts: readonly (readonly ConnectionFacts[])[],
  { request, limit }: ListConnections,
): Omit<ConnectionList, 'node' | 'incarnation'> {
  const all = parts.flat().sort(byPosition);
  const page = all.slice(0, pageCount(limit));
  const last = page.at(-1);
  return create(ConnectionListSchema, {
    request,
    connections: page.map(connectionOf),
    nextCursor: all.length > page.length && last !== undefined ? `${last.beganAt} ${last.id}` : '',
  });
}

function pageCount(limit: number): number {
  return Math.min(Math.max(limit, 1), MAX_PAGE_COUNT);
}

/** Undefined for the beginning, and for what no list had. */
function positionOf(cursor: string): Position | undefined {
  const [, beganAt, id] = /^(\d+(?:\.\d+)?) (.+)$/s.exec(cursor) ?? [];
  return beganAt === undefined || id === undefined ? undefined : { beganAt: Number(beganAt), id };
}

function connectionOf(facts: ConnectionFacts): ClientConnection {
  const {
    clientName = '',
    clientVersion = '',
    revision = '',
    beganAt,
    lastUsedAt,
    openExchangeCount,
  } = facts;
  return create(ClientConnectionSchema, {
    id: facts.id,
    endpoint: facts.endpoint,
    transport: facts.transport,
    principal: facts.principal,
    clientName,
    clientVersion,
    revision,
    began: timestampFromMs(beganAt),
    lastUsed: timestampFromMs(lastUsedAt),
    openExchanges: openExchangeCount,
  });
}
