/** What one worker knows and does for the admin API; the node brings the parts of all workers together. */
import type { ClientConnection, ClientTransport } from '../front/client-connection.js';
import type { UpstreamStatus } from '../telemetry/ops-door.js';

/** Clients say what they like about themselves. */
const MAX_CLIENT_TEXT_LENGTH = 200;

export const ENDED_BY_OPERATOR = 'ended by an operator';

export interface WorkerCounts {
  readonly sessions: number;
  readonly connections: number;
  readonly openExchanges: number;
  readonly parkedCalls: number;
  readonly draining: boolean;
  /** Since the start. */
  readonly requestCount: number;
  /** Of these, those that the gateway or an upstream failed. */
  readonly errorCount: number;
  /** Sum of the time that they took; microseconds. */
  readonly durationUs: number;
  /** Upstreams that do not answer. */
  readonly failedUpstreamCount: number;
  /** Of a revision that some callers are given; undefined while there is none. */
  readonly trial: TrialCounts | undefined;
}

interface RequestCounts {
  readonly requestCount: number;
  readonly errorCount: number;
  readonly durationUs: number;
}

export interface TrialCounts {
  /** Where the two revisions serve differently, since it is given to somebody. */
  readonly served: RequestCounts;
  /** The same to all other callers. */
  readonly servedBeside: RequestCounts;
  readonly failedUpstreamCount: number;
}

/** One connection as plain data. */
export interface ConnectionFacts {
  readonly id: string;
  /** Path of the endpoint. */
  readonly endpoint: string;
  readonly transport: ClientTransport;
  readonly principal: string;
  readonly clientName: string | undefined;
  readonly clientVersion: string | undefined;
  /** Protocol revision that the client speaks. */
  readonly revision: string | undefined;
  /** Milliseconds of the clock. */
  readonly beganAt: number;
  readonly lastUsedAt: number;
  readonly openExchangeCount: number;
}

/** A place in the order of all connections: the oldest first. */
export interface Position {
  readonly beganAt: number;
  readonly id: string;
}

export type WorkerQuery =
  | { readonly what: 'counts' }
  | { readonly what: 'upstreams' }
  /** The first connections behind a place, in order. */
  | { readonly what: 'connections'; readonly after: Position | undefined; readonly limit: number }
  | { readonly what: 'connection'; readonly id: string }
  | { readonly what: 'end'; readonly id: string };

/** The answer to each query. */
export interface WorkerAnswers {
  readonly counts: WorkerCounts;
  readonly upstreams: readonly UpstreamStatus[];
  readonly connections: readonly ConnectionFacts[];
  /** null: not here. */
  readonly connection: ConnectionFacts | null;
  /** Whether it was here. */
  readonly end: boolean;
}

export interface WorkerPartSource {
  counts(): Omit<WorkerCounts, 'connections'>;
  status(): readonly UpstreamStatus[];
  /** Of all fronts. */
  connections(): readonly Iterable<ClientConnection>[];
}

export class WorkerPart {
  constructor(private readonly source: WorkerPartSource) {}

  answer(query: WorkerQuery): WorkerAnswers[WorkerQuery['what']] {
    switch (query.what) {
      case 'counts':
        return { ...this.source.counts(), connections: this.all().length };
      case 'upstreams':
        return this.source.status();
      case 'connections':
        return this.page(query.after, query.limit);
      case 'connection': {
        const found = this.find(query.id);
        return found === undefined ? null : factsOf(found);
      }
      case 'end': {
        const found = this.find(query.id);
        found?.end(ENDED_BY_OPERATOR);
        return found !== undefined;
      }
    }
  }

  private all(): ClientConnection[] {
    return this.source.connections().flatMap((each) => [...each]);
  }

  private find(id: string): ClientConnection | undefined {
    return this.all().find(({ connectionId }) => connectionId === id);
  }

  private page(after: Position | undefined, limit: number): ConnectionFacts[] {
    return this.all()
      .map((connection) => ({ connection, beganAt: connection.beganAt, id: connection.connectionId }))
      .filter((each) => after === undefined || byPosition(each, after) > 0)
      .sort(byPosition)
      .slice(0, limit)
      .map(({ connection }) => factsOf(connection));
  }
}

export function byPosition(one: Position, other: Position): number {
  return one.beganAt - other.beganAt || (one.id < other.id ? -1 : Number(one.id > other.id));
}

function factsOf(connection: ClientConnection): ConnectionFacts {
  const { caller, beganAt, lastUsedAt, transport, principal } = connection;
  return {
    id: connection.connectionId,
    endpoint: connection.endpoint.path,
    transport,
    principal,
    ...clientOf(caller?.clientInfo),
    revision: caller?.revision,
    beganAt,
    lastUsedAt,
    openExchangeCount: connection.requestCount,
  };
}

/** @param clientInfo JSON as binary text */
function clientOf(clientInfo: string | undefined): Pick<ConnectionFacts, 'clientName' | 'clientVersion'> {
  const { name, version } = (
    clientInfo === undefined ? {} : (JSON.parse(Buffer.from(clientInfo, 'latin1').toString()) ?? {})
  ) as { name?: unknown; version?: unknown };
  return { clientName: shortText(name), clientVersion: shortText(version) };
}

function shortText(said: unknown): string | undefined {
  return typeof said === 'string' ? said.slice(0, MAX_CLIENT_TEXT_LENGTH) : undefined;
}
