/** What is under way, and what metrics hear of it. */
import type { DuplexTraffic } from '../front/duplex/traffic.js';
import type { Endpoint } from '../front/endpoint.js';
import type { Reply } from '../listener/listener.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { isClientNotification, methodRow } from '../protocol/methods.js';
import type { Metrics } from './metrics.js';

/** What counts for metrics. */
export type TrafficMetrics = Pick<Metrics, 'ended' | 'failed' | 'refused'>;

const SHUTTING_DOWN = 'the gateway is shutting down; send the request again elsewhere';

export class Traffic implements DuplexTraffic {
  /** Requests under way. */
  count = 0;
  /** Requests that have ended since the start. */
  totalCount = 0;
  /** Of these, those that the gateway or an upstream failed. */
  errorCount = 0;
  /** Sum of the time that they took; milliseconds. */
  durationMs = 0;
  /** Set when nothing new is taken any more. */
  draining = false;

  constructor(
    private readonly metrics: TrafficMetrics,
    private readonly maxCount: () => number,
  ) {}

  /** A gateway that has too much to do says so at once, and what runs is not slowed down. */
  overload(): string | undefined {
    if (this.count < this.maxCount()) return undefined;
    return `${this.count} requests are under way, as many as may be`;
  }

  refusal(): RpcError | undefined {
    const reason = this.draining ? SHUTTING_DOWN : this.overload();
    return reason === undefined ? undefined : new RpcError(ErrorCode.Overloaded, reason);
  }

  refused(status: number): void {
    this.metrics.refused(status);
  }

  began(): void {
    this.count++;
  }

  ended(endpoint: Endpoint, method: string, status: number, errorCode: number, startedAt: number): void {
    this.count--;
    const ms = performance.now() - startedAt;
    this.totalCount++;
    this.durationMs += ms;
    const isFailed = status >= 500 || isFailure(errorCode);
    if (isFailed) this.errorCount++;
    endpoint.tally?.ended(ms, isFailed);
    this.metrics.ended(endpoint.label, labelOf(method), status, errorCode, ms / 1000);
  }

  /** One of several requests in one HTTP request, or one whose answer is a stream, was answered with an error. */
  failed(endpoint: Endpoint, method: string, errorCode: number): void {
    if (isFailure(errorCode)) {
      this.errorCount++;
      endpoint.tally?.failed();
    }
    this.metrics.failed(endpoint.label, labelOf(method), errorCode);
  }

  /** Legacy answers end in many ways; the request counts as under way until its reply is closed. */
  watch(endpoint: Endpoint, method: string, reply: Reply): void {
    const startedAt = performance.now();
    this.began();
    let isOver = false;
    observe(reply, (status) => {
      if (isOver) return;
      isOver = true;
      this.ended(endpoint, method, status, 0, startedAt);
    });
  }
}

/** Whether an error is no fault of whoever called. */
function isFailure(errorCode: number): boolean {
  return (
    errorCode === ErrorCode.InternalError ||
    (errorCode <= ErrorCode.UpstreamUnavailable && errorCode >= ErrorCode.UpstreamLost)
  );
}

function labelOf(method: string): string {
  if (method === '') return 'response';
  // Whatever else a client writes there would be a series of its own.
  return methodRow(method) !== undefined || isClientNotification(method) ? method : 'other';
}

/** Calls back when a reply has ended, in whatever way. */
function observe(reply: Reply, ended: (status: number) => void): void {
  const { send, begin, end } = reply;
  let status = 200;
  reply.send = (code, headers, body) => {
    send.call(reply, code, headers, body);
    ended(code);
  };
  reply.begin = (code, headers) => {
    status = code;
    begin.call(reply, code, headers);
  };
  reply.end = () => {
    end.call(reply);
    ended(status);
  };
  reply.onAborted(() => ended(499));
}
