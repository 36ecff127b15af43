/**
 * The admin API of one node, whatever carries it: how the node is, its upstreams, and the connections of its clients.
 * What the configuration is to be is none of its business; that is the control plane's.
 */
import { createHmac } from 'node:crypto';
import { SUPPORTED_REVISIONS } from '../protocol/revisions.js';
import type { UpstreamStatus } from '../telemetry/ops-door.js';
import { GATEWAY_INFO } from '../upstream/own-request.js';
import { AdminError, quoted } from './admin-error.js';
import {
  type ConnectionList,
  type ConnectionResource,
  connectionResource,
  type NodeStatus,
  timeText,
  type UpstreamList,
  type UpstreamResource,
  type UpstreamState,
  upstreamResource,
} from './resources.js';
import { byPosition, type Position, type WorkerAnswers, type WorkerQuery } from './worker-part.js';

/** Connections on one page. */
export const DEFAULT_PAGE_COUNT = 100;
/** A page is made between two requests of clients, and is not to hold them up. */
export const MAX_PAGE_COUNT = 1_000;
/** Names listed in an error are a help up to here. */
const MAX_LISTED_NAME_COUNT = 20;

export interface NodeAdminSource {
  /** The node among all others. */
  readonly node: string;
  readonly workerCount: number;
  /** The configuration that is in use, and the secret that its digest is made with. */
  configuration(): { readonly content: object; readonly key: Uint8Array; readonly appliedAt: number };
  /** Asks every worker; undefined for one that does not answer in time. */
  ask(query: WorkerQuery): Promise<readonly (WorkerAnswers[WorkerQuery['what']] | undefined)[]>;
}

export class NodeAdmin {
  private readonly startedAt = Date.now();
  private readonly startedAtTick = performance.now();
  private digest: { readonly of: object; readonly text: string } | undefined;

  constructor(private readonly source: NodeAdminSource) {}

  async status(): Promise<NodeStatus> {
    const { node, workerCount } = this.source;
    const [counts, { upstreams }] = await Promise.all([this.collect({ what: 'counts' }), this.upstreams()]);
    const sum = (name: 'sessions' | 'connections' | 'openExchanges' | 'parkedCalls') =>
      counts.parts.reduce((total, { answer }) => total + answer[name], 0);
    const inState = (wanted: UpstreamStatus['state']) =>
      upstreams.filter(({ state }) => state === wanted).length;
    return {
      version: GATEWAY_INFO.version,
      node,
      started_at: timeText(this.startedAt),
      uptime_s: Math.floor((performance.now() - this.startedAtTick) / 1000),
      workers: workerCount,
      missing_workers: counts.missing,
      protocol_revisions: SUPPORTED_REVISIONS,
      draining: counts.parts.some(({ answer }) => answer.draining),
      configuration: this.configuration(),
      counts: {
        upstreams: {
          total: upstreams.length,
          ready: inState('ready'),
          starting: inState('starting'),
          failed: inState('failed'),
        },
        sessions: sum('sessions'),
        connections: sum('connections'),
        open_exchanges: sum('openExchanges'),
        parked_calls: sum('parkedCalls'),
      },
    };
  }

  async upstreams(): Promise<UpstreamList> {
    const { parts, missing } = await this.collect({ what: 'upstreams' });
    const byId = new Map<string, UpstreamStatus[]>();
    for (const status of parts.flatMap(({ answer }) => answer)) {
      const known = byId.get(status.id);
      if (known === undefined) byId.set(status.id, [status]);
      else known.push(status);
    }
    return { upstreams: [...byId.values()].map(upstreamResource), missing_workers: missing };
  }

  /** @param name or id; a name goes first */
  async upstream(name: string): Promise<UpstreamResource> {
    const { upstreams } = await this.upstreams();
    return named(upstreams, name);
  }

  async upstreamState(name: string): Promise<UpstreamState> {
    const { parts, missing } = await this.collect({ what: 'upstreams' });
    const { id } = named(
      parts.flatMap(({ answer }) => answer),
      name,
    );
    const found = parts.flatMap(({ worker, answer }) =>
      answer.filter((each) => each.id === id).map((status) => ({ worker, status })),
    );
    const together = upstreamResource(found.map(({ status }) => status));
    return {
      id,
      name: together.name,
      state: together.state,
      error: together.error,
      workers: found.map(({ worker, status: { state, error } }) => ({ worker, state, error })),
      missing_workers: missing,
    };
  }

  /**
   * One page, the oldest first: what comes while somebody turns pages is on the last ones.
   *
   * @param limit at most {@link MAX_PAGE_COUNT}
   */
  async connections(limit: number, cursor: string | undefined): Promise<ConnectionList> {
    const after = cursor === undefined ? undefined : readCursor(cursor);
    // One more than is shown tells whether there is another page.
    const { parts, missing } = await this.collect({ what: 'connections', after, limit: limit + 1 });
    const all = parts
      .flatMap(({ worker, answer }) => answer.map((facts) => ({ worker, facts })))
      .sort((one, other) => byPosition(one.facts, other.facts));
    const page = all.slice(0, limit);
    const last = page.at(-1);
    return {
      connections: page.map(({ facts, worker }) => connectionResource(facts, worker)),
      next_cursor: all.length > limit && last !== undefined ? cursorOf(last.facts) : undefined,
      missing_workers: missing,
    };
  }

  async connection(id: string): Promise<ConnectionResource> {
    const { parts, missing } = await this.collect({ what: 'connection', id });
    for (const { worker, answer } of parts) if (answer !== null) return connectionResource(answer, worker);
    throw noConnection(id, missing);
  }

  /** Ends a connection, and the sessions that it has at upstreams. */
  async endConnection(id: string): Promise<void> {
    const { parts, missing } = await this.collect({ what: 'end', id });
    if (!parts.some(({ answer }) => answer)) throw noConnection(id, missing);
  }

  private configuration(): NodeStatus['configuration'] {
    const { content, key, appliedAt } = this.source.configuration();
    if (this.digest?.of !== content) {
      // Keyed, so that nobody who sees it can try out what the secrets in the configuration may be.
      const text = createHmac('sha256', key).update(JSON.stringify(content)).digest('hex');
      this.digest = { of: content, text };
    }
    return { digest: this.digest.text, applied_at: timeText(appliedAt) };
  }

  private async collect<What extends WorkerQuery['what']>(
    query: Extract<WorkerQuery, { what: What }>,
  ): Promise<{ parts: { worker: number; answer: WorkerAnswers[What] }[]; missing: number[] }> {
    const answers = (await this.source.ask(query)) as (WorkerAnswers[What] | undefined)[];
    const parts = answers.flatMap((answer, worker) => (answer === undefined ? [] : [{ worker, answer }]));
    const missing = answers.flatMap((answer, worker) => (answer === undefined ? [worker] : []));
    if (parts.length === 0) throw new AdminError('unavailable', 'no worker answered in time; ask again');
    return { parts, missing };
  }
}

function named<Named extends { id: string; name: string }>(upstreams: readonly Named[], name: string): Named {
  const found =
    upstreams.find((upstream) => upstream.name === name) ?? upstreams.find(({ id }) => id === name);
  if (found !== undefined) return found;
  const names = [...new Set(upstreams.map((upstream) => upstream.name))].slice(0, MAX_LISTED_NAME_COUNT);
  const known = names.length === 0 ? 'there are none' : `upstreams are ${names.join(', ')}`;
  throw new AdminError('not found', `there is no upstream ${quoted(name)}; ${known}`);
}

function noConnection(id: string, missing: readonly number[]): AdminError {
  if (missing.length === 0)
    return new AdminError('not found', `there is no connection ${quoted(id)}; it has ended or never was`);
  const reason = `worker ${missing.join(', ')} did not answer in time and may have it; ask again`;
  return new AdminError('unavailable', `connection ${quoted(id)} was not found, but ${reason}`);
}

/** The place behind which the next page begins. Nothing is kept for it, so it is good for ever. */
function cursorOf({ beganAt, id }: Position): string {
  return Buffer.from(`${beganAt} ${id}`).toString('base64url');
}

function readCursor(cursor: string): Position {
  const [, beganAt, id] = /^(\d{1,15}) (\S{1,100})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (beganAt !== undefined && id !== undefined) return { beganAt: Number(beganAt), id };
  throw new AdminError('invalid', 'cursor has to be the next_cursor of a page before, as it came');
}
