/** Health, readiness and metrics over HTTP, under the names that operators of other gateways know. */
import type { ResolvedTransport } from '@sluice/proto';
import { operatorsGuard } from '../front/guard.js';
import { refuse } from '../front/http-answers.js';
import type { Door, Reply, RequestHead } from '../listener/listener.js';
import { ErrorCode } from '../protocol/errors.js';

/** State of one upstream. */
export interface UpstreamStatus {
  readonly name: string;
  /** Never changes, whatever the name. */
  readonly id: string;
  readonly kind: ResolvedTransport['kind'];
  readonly state: 'starting' | 'ready' | 'failed';
  readonly era?: 'modern' | 'legacy';
  /** Protocol revision in use with it. */
  readonly revision?: string;
  readonly toolCount: number;
  readonly promptCount: number;
  readonly resourceCount: number;
  /** Why it is not ready. */
  readonly error?: string;
}

export interface OpsSource {
  status(): readonly UpstreamStatus[];
  sessions(): Promise<number>;
  ready(): boolean;
  metrics(): Promise<string>;
}

const JSON_TYPE = [
  ['content-type', 'application/json'],
  ['cache-control', 'no-store'],
] as const;
const METRICS_TYPE = [['content-type', 'text/plain; version=0.0.4; charset=utf-8']] as const;

export class OpsDoor {
  constructor(private readonly source: OpsSource) {}

  /** Answers when the path is one of its own among what is served there; false when it is not. */
  answer(
    { method, path }: RequestHead,
    reply: Reply,
    serves: 'all' | 'metrics' | 'health' | 'none',
  ): boolean {
    const health = serves === 'all' || serves === 'health';
    const metrics = serves === 'all' || serves === 'metrics';
    if (method !== 'GET' && method !== 'HEAD') return false;
    switch (path) {
      case '/health':
        if (health) void this.health(reply);
        return health;
      case '/live':
      case '/liveness':
        if (health) reply.send(200, JSON_TYPE, '{"status":"live"}');
        return health;
      case '/ready':
      case '/readiness':
        if (health) this.ready(reply);
        return health;
      case '/metrics':
        if (metrics) this.metrics(reply);
        return metrics;
      default:
        return false;
    }
  }

  /** 200 as long as the gateway serves; which upstreams are away is in the body. */
  private async health(reply: Reply): Promise<void> {
    const upstreams = this.source.status();
    const failed = upstreams.filter(({ state }) => state === 'failed').length;
    const body = {
      status: failed === 0 ? 'ok' : failed === upstreams.length ? 'failing' : 'degraded',
      ready: this.source.ready(),
      sessions: await this.source.sessions(),
      servers: upstreams.length,
      tools: upstreams.reduce((sum, { toolCount }) => sum + toolCount, 0),
      upstreams,
    };
    reply.send(200, JSON_TYPE, JSON.stringify(body));
  }

  private ready(reply: Reply): void {
    const ready = this.source.ready();
    reply.send(ready ? 200 : 503, JSON_TYPE, JSON.stringify({ status: ready ? 'ready' : 'not ready' }));
  }

  private metrics(reply: Reply): void {
    this.source.metrics().then(
      (text) => reply.send(200, METRICS_TYPE, text),
      () => reply.send(500, JSON_TYPE, '{"error":"metrics could not be collected"}'),
    );
  }
}

/** The door of an address of their own for metrics, health or both. */
export function opsAddressDoor(
  ops: OpsDoor,
  serves: 'metrics' | 'health' | 'all',
  host: string,
  allowedHosts: () => readonly string[],
  refusal: Door['refusal'],
): Door {
  const guard = operatorsGuard(host, allowedHosts);
  return {
    head: (head, reply) => {
      const reason = guard(head);
      if (reason === undefined) return 1;
      refuse(reply, 403, ErrorCode.Forbidden, reason);
      return 0;
    },
    request: (head, _body, reply) => {
      if (ops.answer(head, reply, serves)) return;
      const path = JSON.stringify(head.path.slice(0, 100));
      refuse(reply, 404, ErrorCode.Forbidden, `nothing is served at ${path}`);
    },
    refusal,
  };
}
