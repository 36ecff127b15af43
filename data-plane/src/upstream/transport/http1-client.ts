import { createSecureContext } from 'node:tls';
import { deadlineClock, type Ticking } from './deadline-clock.js';
import type { EgressOptions, Resolve } from './egress.js';
import type { EgressPolicy } from './egress-policy.js';
import {
  type HttpCall,
  type HttpClient,
  HttpFailure,
  type HttpOrigin,
  type HttpRequest,
  type HttpResponseHandler,
} from './http.js';
import { type CallOwner, Http1Call } from './http1-call.js';
import { type ConnectionOwner, Http1Connection } from './http1-connection.js';

/** Longest head of an answer, interim ones included; four times what Node.js itself takes. */
const MAX_HEAD_BYTES = 64 * 1024;
/** Calls that may wait for each connection that there may be; more would wait longer than anyone does. */
const MAX_WAITING_CALLS_PER_CONNECTION = 4;
/** RFC 9112, 3.2: a request target is visible characters; anything else could begin a second request. */
const REQUEST_TARGET = /^\/[\x21-\x7e]*$/;

export interface HttpClientOptions {
  readonly maxConnectionCount: number;
  readonly connectTimeoutMs: number;
  readonly policy: EgressPolicy;
  /** PEM certificates that `https:` is checked against; default: those that Node.js trusts. */
  readonly certificateAuthorities?: string | undefined;
  /** Where names come from; default: the system's resolver. */
  readonly resolve?: Resolve | undefined;
  /** Told what a handler threw; its call fails and nothing else is harmed. Default: a process warning. */
  readonly onHandlerError?: ((error: unknown) => void) | undefined;
}

/** An HTTP/1.1 client for one origin: a pool of kept-alive connections, each with one request at a time. */
export function createHttpClient(origin: HttpOrigin, options: HttpClientOptions): HttpClient {
  return new Http1Client(origin, options);
}

class Http1Client implements HttpClient, ConnectionOwner, CallOwner, Ticking {
  readonly label: string;
  readonly maxHeadBytes = MAX_HEAD_BYTES;
  private readonly hostLine: string;
  private readonly egress: EgressOptions;
  private readonly connections = new Set<Http1Connection>();
  /** Those that open for whichever call waits longest. */
  private readonly opening = new Set<Http1Connection>();
  /** Those that open for a call that must not meet a second dead connection. */
  private readonly openingFor = new Map<Http1Connection, Http1Call>();
  /** The last one that was used is used next, so that those beyond the need grow old and close. */
  private readonly idle: Http1Connection[] = [];
  private readonly waiting = new Set<Http1Call>();
  private closing = false;
  private lastMethod: string | undefined = undefined;
  private lastPath: string | undefined = undefined;
  private lastPrefix = '';

  constructor(
    private readonly origin: HttpOrigin,
    private readonly options: HttpClientOptions,
  ) {
    const host = hostOf(origin);
    this.label = origin.protocol === 'unix:' ? `${origin.socketPath}` : host;
    this.hostLine = `Host: ${host}\r\n`;
    this.egress = {
      policy: options.policy,
      connectTimeoutMs: options.connectTimeoutMs,
      resolve: options.resolve,
      secureContext:
        origin.protocol === 'https:'
          ? createSecureContext({ ca: options.certificateAuthorities })
          : undefined,
    };
  }

  get socketCount(): number {
    return this.connections.size;
  }

  /** @throws TypeError when the path is not a request target. */
  send(request: HttpRequest, handler: HttpResponseHandler): HttpCall {
    this.checkPath(request.path);
    const call = new Http1Call(this, request, handler);
    const connection = this.takeIdle();
    if (connection !== undefined) connection.run(call);
    else this.wait(call);
    return call;
  }

  close(): void {
    this.closing = true;
    for (const connection of [...this.idle]) connection.close();
    if (this.waiting.size === 0) for (const connection of [...this.opening]) connection.close();
  }

  requestPrefix(method: string, path: string): string {
    // An upstream has one endpoint, so this is nearly always the same.
    if (path !== this.lastPath || method !== this.lastMethod) {
      this.lastMethod = method;
      this.lastPath = path;
      this.lastPrefix = `${method} ${path} HTTP/1.1\r\n${this.hostLine}`;
    }
    return this.lastPrefix;
  }

  opened(connection: Http1Connection): void {
    this.opening.delete(connection);
    const call = this.openingFor.get(connection);
    this.openingFor.delete(connection);
    if (call === undefined || call.aborted) this.released(connection);
    else connection.run(call);
  }

  openFailed(connection: Http1Connection, failure: HttpFailure): void {
    const call = this.openingFor.get(connection);
    this.forget(connection);
    if (call !== undefined) call.fail(failure);
    // As long as as many are still opening as calls wait, each of them has a chance.
    else if (this.opening.size < this.waiting.size) this.takeWaiting()?.fail(failure);
    this.openForWaiting();
  }

  released(connection: Http1Connection): void {
    const next = this.waiting.size > 0 ? this.takeWaiting() : undefined;
    if (next !== undefined) connection.run(next);
    else if (this.closing) connection.close();
    else this.idle.push(connection);
  }

  closed(connection: Http1Connection): void {
    this.forget(connection);
    this.openForWaiting();
  }

  repeat(call: Http1Call): void {
    this.openingFor.set(this.open(), call);
  }

  withdrawn(call: Http1Call): void {
    this.waiting.delete(call);
  }

  handlerFailed(error: unknown): void {
    if (this.options.onHandlerError !== undefined) this.options.onHandlerError(error);
    else process.emitWarning(error instanceof Error ? error : String(error));
  }

  ticked(): void {
    const { tick } = deadlineClock;
    const nowMs = performance.now();
    for (const connection of this.connections) connection.ticked(tick, nowMs);
    for (const call of this.waiting) {
      if (tick < call.waitUntilTick) continue;
      this.waiting.delete(call);
      call.fail(
        new HttpFailure('connect', `no connection to ${this.label} became free in time (${this.load()})`),
      );
    }
    if (this.connections.size === 0) deadlineClock.unwatch(this);
  }

  private checkPath(path: string): void {
    if (path === this.lastPath) return;
    if (!REQUEST_TARGET.test(path)) throw new TypeError(`not a request target: ${JSON.stringify(path)}`);
  }

  private takeIdle(): Http1Connection | undefined {
    const nowMs = performance.now();
    for (;;) {
      const connection = this.idle.pop();
      if (connection === undefined || nowMs < connection.reusableUntilMs) return connection;
      connection.close();
    }
  }

  private wait(call: Http1Call): void {
    if (
      this.closing ||
      this.waiting.size >= this.options.maxConnectionCount * MAX_WAITING_CALLS_PER_CONNECTION
    ) {
      const why = this.closing ? 'its client is closed' : `too many requests at once (${this.load()})`;
      // Later, because the caller does not hold the call yet.
      process.nextTick(() =>
        call.fail(new HttpFailure('connect', `nothing was sent to ${this.label}: ${why}`)),
      );
      return;
    }
    call.waitUntilTick = deadlineClock.after(call.request.silenceTimeoutMs || this.options.connectTimeoutMs);
    this.waiting.add(call);
    this.openForWaiting();
  }

  private takeWaiting(): Http1Call | undefined {
    for (const call of this.waiting) {
      this.waiting.delete(call);
      return call;
    }
    return undefined;
  }

  private openForWaiting(): void {
    while (this.opening.size < this.waiting.size && this.connections.size < this.options.maxConnectionCount) {
      this.opening.add(this.open());
    }
  }

  private open(): Http1Connection {
    const connection = new Http1Connection(this);
    this.connections.add(connection);
    deadlineClock.watch(this);
    connection.open(this.origin, this.egress);
    return connection;
  }

  private forget(connection: Http1Connection): void {
    this.connections.delete(connection);
    this.opening.delete(connection);
    this.openingFor.delete(connection);
    const index = this.idle.indexOf(connection);
    if (index >= 0) this.idle.splice(index, 1);
  }

  private load(): string {
    return `${this.connections.size} connections, ${this.waiting.size} requests waiting`;
  }
}

/** The Host field (RFC 9110, 7.2): without the port when it is the scheme's own. */
function hostOf(origin: HttpOrigin): string {
  if (origin.protocol === 'unix:') return origin.hostname || 'localhost';
  const name =
    origin.hostname.includes(':') && !origin.hostname.startsWith('[')
      ? `[${origin.hostname}]`
      : origin.hostname;
  const standardPort = origin.protocol === 'https:' ? 443 : 80;
  return origin.port === standardPort ? name : `${name}:${origin.port}`;
}
