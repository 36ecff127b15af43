/** What the admin API shows, as it stands in its answers. */
import type { ClientTransport } from '../front/client-connection.js';
import type { UpstreamStatus } from '../telemetry/ops-door.js';
import type { ConnectionFacts } from './worker-part.js';

/** Workers, by their numbers, whose part is missing because they did not answer in time. Usually empty. */
interface Collected {
  readonly missing_workers: readonly number[];
}

export interface NodeStatus extends Collected {
  readonly version: string;
  /** Another one after every start. */
  readonly node: string;
  readonly started_at: string;
  readonly uptime_s: number;
  readonly workers: number;
  readonly protocol_revisions: readonly string[];
  readonly draining: boolean;
  readonly configuration: {
    /** The same as long as nothing has changed; says nothing of what is in it. */
    readonly digest: string;
    readonly applied_at: string;
  };
  readonly counts: {
    readonly upstreams: Readonly<Record<'total' | UpstreamStatus['state'], number>>;
    readonly sessions: number;
    readonly connections: number;
    readonly open_exchanges: number;
    readonly parked_calls: number;
  };
}

export interface UpstreamResource {
  readonly id: string;
  readonly name: string;
  readonly transport: UpstreamStatus['kind'];
  /** The worst of all workers. */
  readonly state: UpstreamStatus['state'];
  readonly era?: 'modern' | 'legacy' | undefined;
  readonly revision?: string | undefined;
  /** Why it is not ready. */
  readonly error?: string | undefined;
  readonly tool_count: number;
  readonly prompt_count: number;
  readonly resource_count: number;
}

export interface UpstreamList extends Collected {
  readonly upstreams: readonly UpstreamResource[];
}

/** How each worker finds an upstream. */
export interface UpstreamState extends Collected {
  readonly id: string;
  readonly name: string;
  readonly state: UpstreamStatus['state'];
  readonly error?: string | undefined;
  readonly workers: readonly {
    readonly worker: number;
    readonly state: UpstreamStatus['state'];
    readonly error?: string | undefined;
  }[];
}

export interface ConnectionResource {
  readonly id: string;
  readonly endpoint: string;
  readonly transport: ClientTransport;
  readonly principal: string;
  readonly client?: { readonly name?: string | undefined; readonly version?: string | undefined } | undefined;
  readonly revision?: string | undefined;
  readonly since: string;
  readonly last_used_at: string;
  readonly open_exchanges: number;
  readonly worker: number;
}

export interface ConnectionList extends Collected {
  readonly connections: readonly ConnectionResource[];
  /** Leads to the next page; absent on the last one. */
  readonly next_cursor?: string | undefined;
}

/** One upstream, as several workers find it: the worst state, and of the numbers those of a worker that has it. */
export function upstreamResource(parts: readonly UpstreamStatus[]): UpstreamResource {
  const worst = worstOf(parts);
  const known = parts.find(({ state }) => state === 'ready') ?? worst;
  return {
    id: worst.id,
    name: worst.name,
    transport: worst.kind,
    state: worst.state,
    era: known.era,
    revision: known.revision,
    error: worst.error,
    tool_count: known.toolCount,
    prompt_count: known.promptCount,
    resource_count: known.resourceCount,
  };
}

const BADNESS: Readonly<Record<UpstreamStatus['state'], number>> = { ready: 0, starting: 1, failed: 2 };

function worstOf(parts: readonly UpstreamStatus[]): UpstreamStatus {
  return parts.reduce((worst, each) => (BADNESS[each.state] > BADNESS[worst.state] ? each : worst));
}

export function connectionResource(facts: ConnectionFacts, worker: number): ConnectionResource {
  const { clientName: name, clientVersion: version } = facts;
  return {
    id: facts.id,
    endpoint: facts.endpoint,
    transport: facts.transport,
    principal: facts.principal,
    client: name === undefined && version === undefined ? undefined : { name, version },
    revision: facts.revision,
    since: timeText(facts.beganAt),
    last_used_at: timeText(facts.lastUsedAt),
    open_exchanges: facts.openExchangeCount,
    worker,
  };
}

/** RFC 3339, as everywhere in JSON. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
