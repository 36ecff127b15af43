/**
 * One worker: a listener, the fronts, and the path of a request from the socket to its endpoint, in this file, in
 * order. Every worker has all of it; they share nothing but the port and the configuration.
 */
import type { ResolvedConfiguration } from '@sluice/proto';
import type { Logger } from 'pino';
import { DuplexFront } from './front/duplex/front.js';
import { offeredProtocols, SUBPROTOCOL, WebSockets } from './front/duplex/web-sockets.js';
import type { Endpoint } from './front/endpoint.js';
import { Guard } from './front/guard.js';
import { refuse, refuseMethod } from './front/http-answers.js';
import { LegacyFront } from './front/legacy/front.js';
import { ModernFront } from './front/modern/front.js';
import { SessionRoom } from './front/session-room.js';
import { isMessagesPath, SseFront, streamTarget, streamToken } from './front/sse/front.js';
import { createListener } from './listener/create.js';
import type {
  Door,
  Listener,
  ListenerLimits,
  Reply,
  RequestHead,
  SocketHandler,
} from './listener/listener.js';
import { ErrorCode, errorMessage, RpcError } from './protocol/errors.js';
import { isClientNotification, methodRow } from './protocol/methods.js';
import { isLegacyRevision } from './protocol/revisions.js';
import { type Envelope, looksLikeBatch, ScanError, scanBatch, scanMessage } from './protocol/scan.js';
import { Forwarder } from './sessions/forwarding.js';
import { type Pipe, type WorkerAddress, workerAddress } from './sessions/node-bus.js';
import { keyRing, RotatingSealer } from './sessions/seal.js';
import { MemorySessionStore, type SessionStore } from './sessions/store.js';
import { SessionTokens } from './sessions/tokens.js';
import { type RemoteUpstreams, Runtime } from './snapshot/snapshot.js';
import { Metrics } from './telemetry/metrics.js';
import { OpsDoor, type UpstreamStatus } from './telemetry/ops-door.js';

/** Whom all requests are made for until an identity plugin says otherwise. */
const ANONYMOUS = 'anonymous';
/** Time for the head of a request, and for an idle connection between two requests. */
const HEAD_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 75_000;
const MAX_HEADER_COUNT = 96;
/** How often a drain looks whether it is done. */
const DRAIN_CHECK_MS = 20;
const SHUTTING_DOWN = 'the gateway is shutting down; send the request again elsewhere';
/** What is known of a stream of HTTP+SSE when it is opened; the path comes to it. It never moves to another worker. */
const STREAM_SESSION = {
  principal: ANONYMOUS,
  revision: '2024-11-05',
  capabilities: undefined,
  clientInfo: undefined,
};
/** Headers that speak for the inside of the gateway; from outside they are taken away. */
const INTERNAL_HEADER_PREFIX = 'sluice-internal-';

export interface WorkerOptions {
  readonly configuration: ResolvedConfiguration;
  /** Secret from which tokens are sealed; the same in all workers. */
  readonly key: Uint8Array;
  readonly log: Logger;
  /** The node that it belongs to; every start of a process is another one. */
  readonly node: string;
  /** Which worker of the node this is, from 0, and how many there are. */
  readonly index: number;
  readonly count: number;
  /** What is known of legacy sessions on all nodes; by default nothing beyond this worker. */
  readonly sessionStore?: SessionStore | undefined;
  /** Where metrics of all workers come together; by default those of this one. */
  readonly metricsText?: () => Promise<string>;
  /** Sessions of all workers together; by default those of this one. */
  readonly totalSessionCount?: () => Promise<number>;
  /** What other workers have; undefined when there is only this one. */
  readonly remote?: RemoteUpstreams;
}

export class Worker implements Door {
  private readonly metrics: Metrics;
  private readonly ops: OpsDoor;
  private readonly sealer: RotatingSealer;
  private readonly tokens: SessionTokens;
  /** Where other workers reach this one. */
  readonly address: WorkerAddress;
  private readonly forwarder = new Forwarder((head, body, reply) => this.forwardedRequest(head, body, reply));
  private readonly room: SessionRoom;
  private readonly modern: ModernFront;
  private readonly legacy: LegacyFront;
  private readonly duplex: DuplexFront;
  private readonly sse: SseFront;
  private readonly webSockets: WebSockets;
  readonly runtime: Runtime;
  private guard: Guard;
  private configuration: ResolvedConfiguration;
  private listener: Listener | undefined;
  private opsListeners: Listener[] = [];
  private inFlight = 0;
  private draining = false;
  private ready = false;

  constructor(private readonly options: WorkerOptions) {
    const { configuration, log } = options;
    this.configuration = configuration;
    const settings = () => this.configuration.gateway.sessions;
    this.sealer = new RotatingSealer(keyRing(configuration.gateway.sessions.keys, options.key));
    this.address = workerAddress(options.node, options.index);
    this.tokens = new SessionTokens(this.sealer, this.address);
    this.metrics = new Metrics(
      {
        sessions: () => this.sessionCount,
        connections: () => this.listener?.connectionCount ?? 0,
        requestsInFlight: () => this.inFlight,
        parkedCalls: () => this.runtime.parked.callCount,
        upstreams: () =>
          this.status().map(({ name, state, toolCount }) => ({
            name,
            up: state === 'ready',
            tools: toolCount,
          })),
      },
      options.index === 0,
    );
    this.room = new SessionRoom(settings);
    this.modern = new ModernFront({
      keepAliveMs: () => settings().keepAliveMs,
      principal: ANONYMOUS,
      forward: (worker, head, body, reply) => this.forwarder.forward(worker, head, body, reply),
    });
    this.legacy = new LegacyFront({
      principal: ANONYMOUS,
      settings,
      tokens: this.tokens,
      store: options.sessionStore ?? new MemorySessionStore(),
      self: this.address,
      others: this.forwarder,
      room: this.room,
      onSessionEnd: (reason) => this.metrics.sessionEnded(reason),
      onError: (endpoint, method, code) => this.metrics.failed(endpoint.label, labelOf(method), code),
    });
    this.duplex = new DuplexFront({
      principal: ANONYMOUS,
      room: this.room,
      traffic: {
        refusal: () => this.newRequestRefusal(),
        refused: (status) => this.metrics.refused(status),
        began: () => {
          this.inFlight++;
        },
        ended: (endpoint, method, status, code, startedAt) => {
          this.inFlight--;
          const seconds = (performance.now() - startedAt) / 1000;
          this.metrics.ended(endpoint.label, labelOf(method), status, code, seconds);
        },
      },
      maxMessageBytes: () => this.configuration.gateway.limits.maxBodyBytes,
      forward: (worker, head, body, reply) => this.forwarder.forward(worker, head, body, reply),
      onSessionEnd: (reason) => this.metrics.sessionEnded(reason),
      onFault: (thrown) => this.fault(thrown),
    });
    this.sse = new SseFront({
      duplex: this.duplex,
      keepAliveMs: () => settings().keepAliveMs,
      mintToken: ({ path }) => this.tokens.mint({ ...STREAM_SESSION, path }).token,
    });
    this.webSockets = new WebSockets({
      front: this.duplex,
      idleTimeoutMs: () => settings().idleTimeoutMs,
    });
    this.runtime = new Runtime(configuration, {
      sealer: this.sealer,
      log,
      worker: this.address,
      remote: options.remote,
      removed: (endpoint) => {
        const reason = 'the endpoint was removed from the configuration';
        this.legacy.closeEndpoint(endpoint, reason);
        this.duplex.closeEndpoint(endpoint, reason);
        this.modern.endStreams(endpoint);
      },
    });
    this.guard = new Guard(configuration.gateway.listen);
    this.ops = new OpsDoor({
      status: () => this.status(),
      sessions: options.totalSessionCount ?? (async () => this.sessionCount),
      ready: () => this.ready && !this.draining,
      metrics: options.metricsText ?? (() => this.metrics.text()),
    });
    void this.settled.then(() => {
      this.ready = true;
    });
  }

  /** Listens for clients. Resolves with the port. */
  async listen(port: number, shared: boolean): Promise<{ port: number; kind: Listener['kind'] }> {
    const { listen } = this.configuration.gateway;
    const listener = await createListener(
      listen.listener,
      {
        host: listen.host,
        port,
        sharedPort: shared,
        limits: listenerLimits(this.configuration),
        tls: listen.tls,
        onFault: (thrown) => this.fault(thrown),
      },
      this,
    );
    this.listener = listener;
    return { port: await listener.listen(), kind: listener.kind };
  }

  /** Serves metrics or health on an address of its own. Resolves with the port. */
  async listenOps(
    address: { host: string; port: number },
    serves: 'metrics' | 'health' | 'all',
  ): Promise<number> {
    let { allowedHosts } = this.configuration.gateway.listen;
    let guard = new Guard({ host: address.host, allowedHosts, allowedOrigins: [] });
    const door: Door = {
      head: (head, reply) => {
        if (allowedHosts !== this.configuration.gateway.listen.allowedHosts) {
          ({ allowedHosts } = this.configuration.gateway.listen);
          guard = new Guard({ host: address.host, allowedHosts, allowedOrigins: [] });
        }
        const refusal = guard.refusal(head);
        if (refusal === undefined) return 1;
        refuse(reply, 403, ErrorCode.Forbidden, refusal);
        return 0;
      },
      request: (head, _body, reply) => {
        if (!this.ops.answer(head, reply, serves))
          refuse(
            reply,
            404,
            ErrorCode.Forbidden,
            `nothing is served at ${JSON.stringify(head.path.slice(0, 100))}`,
          );
      },
      refusal: (status, reason) => this.refusal(status, reason),
    };
    const listener = await createListener(
      this.configuration.gateway.listen.listener,
      {
        host: address.host,
        port: address.port,
        sharedPort: false,
        limits: listenerLimits(this.configuration),
        onFault: (thrown) => this.fault(thrown),
      },
      door,
    );
    this.opsListeners.push(listener);
    return listener.listen();
  }

  /**
   * Begins to ask upstreams, which starts their processes: to be called when every address is listened on, so that a
   * gateway whose port is taken ends before it has done anything.
   */
  start(): void {
    this.runtime.discovery.start();
  }

  /** Resolves when every upstream has answered or failed once after `start`, or the deadline has passed. */
  get settled(): Promise<void> {
    return this.runtime.discovery.settled;
  }

  apply(configuration: ResolvedConfiguration): void {
    this.runtime.apply(configuration);
    this.configuration = configuration;
    this.sealer.rotate(keyRing(configuration.gateway.sessions.keys, this.options.key));
    this.guard = new Guard(configuration.gateway.listen);
    const limits = listenerLimits(configuration);
    for (const listener of [this.listener, ...this.opsListeners]) listener?.setLimits(limits);
  }

  async reloadTls(): Promise<void> {
    await this.listener?.reloadTls();
  }

  get sessionCount(): number {
    return this.room.size;
  }

  metricsSnapshot(): Promise<object[]> {
    return this.metrics.snapshot();
  }

  status(): UpstreamStatus[] {
    return this.runtime.discovery.known.map(({ upstream, state, error, offer }) => ({
      name: upstream.name,
      id: upstream.id,
      kind: upstream.config.transport.kind,
      state,
      ...(upstream.era === undefined ? {} : { era: upstream.era }),
      ...(upstream.facts === undefined ? {} : { revision: upstream.facts.revision }),
      toolCount: offer.tools.length,
      promptCount: offer.prompts.length,
      resourceCount: offer.resources.length,
      ...(error === undefined ? {} : { error }),
    }));
  }

  /** Takes nothing new, lets what runs end within the grace, then closes everything. */
  async stop(graceMs: number): Promise<void> {
    const deadline = Date.now() + graceMs;
    await this.drain(graceMs);
    await this.close(Math.max(0, deadline - Date.now()));
  }

  /** Takes nothing new, and lets what runs end within the grace. */
  async drain(graceMs: number): Promise<void> {
    this.draining = true;
    this.listener?.drain();
    this.modern.endStreams();
    this.duplex.drain('the gateway shuts down');
    await until(() => this.inFlight === 0, graceMs);
  }

  /** Ends sessions and their streams, lets answers leave that are on their way, and closes everything. */
  async close(graceMs: number): Promise<void> {
    this.legacy.close('the gateway shuts down');
    this.duplex.close('the gateway shuts down');
    this.modern.close();
    this.sse.close();
    await until(() => (this.listener?.openReplyCount ?? 0) === 0, graceMs);
    await this.listener?.close();
    await Promise.all(this.opsListeners.map((listener) => listener.close()));
    await this.runtime.close();
  }

  /** An exception that nobody caught: it cost its exchange, and is counted. */
  fault(thrown: unknown): void {
    this.metrics.fault();
    this.options.log.error({ err: thrown }, 'an exception cost an exchange');
  }

  // The path of a request.

  /** 1. The head, before the body: who may come in, and how much is taken. */
  head(head: RequestHead, reply: Reply): number {
    const refusal = this.guard.refusal(head);
    if (refusal !== undefined) return this.refuseHead(reply, 403, ErrorCode.Forbidden, refusal);
    const { limits } = this.configuration.gateway;
    return this.hasTooMuchToDo(reply) ? 0 : limits.maxBodyBytes;
  }

  /** Another worker is there, of this node or of another. */
  meet(address: WorkerAddress, pipe: Pipe): void {
    this.forwarder.addPeer(address, pipe);
  }

  /** Says goodbye to the other workers. */
  part(): void {
    this.forwarder.close();
  }

  /** 2a. A request that another worker received: the head was looked at there, the work is done here. */
  private forwardedRequest(head: RequestHead, body: Buffer, reply: Reply): void {
    if (!this.hasTooMuchToDo(reply)) this.request(head, body, reply);
  }

  /** A gateway that has too much to do says so at once, and what runs is not slowed down. */
  private hasTooMuchToDo(reply: Reply): boolean {
    const reason = this.overload();
    if (reason === undefined) return false;
    this.refuseHead(reply, 503, ErrorCode.Overloaded, reason);
    return true;
  }

  private overload(): string | undefined {
    if (this.inFlight < this.configuration.gateway.limits.maxRequestsInFlightCount) return undefined;
    return `${this.inFlight} requests are under way, as many as may be`;
  }

  /** Why a connection that is open gets no further request through. */
  private newRequestRefusal(): RpcError | undefined {
    const reason = this.draining ? SHUTTING_DOWN : this.overload();
    return reason === undefined ? undefined : new RpcError(ErrorCode.Overloaded, reason);
  }

  /** 2. The whole request: health and metrics, or an MCP endpoint by its path. */
  request(head: RequestHead, body: Buffer, reply: Reply): void {
    try {
      this.route(head, body, reply);
    } catch (thrown) {
      this.fault(thrown);
      refuse(reply, 500, ErrorCode.InternalError, 'Internal error of the gateway');
    }
  }

  /** 2b. A request that becomes a WebSocket connection: from then on the duplex front has it. */
  upgrade(head: RequestHead, reply: Reply): SocketHandler | undefined {
    const endpoint = this.runtime.table.find(head.path);
    if (endpoint === undefined) {
      this.unknownPath(head, reply);
      return undefined;
    }
    const offered = offeredProtocols(head.headers);
    if (offered !== undefined && !offered.includes(SUBPROTOCOL)) {
      const reason = `Sec-WebSocket-Protocol must offer ${SUBPROTOCOL}, or be left out`;
      this.refuseHead(reply, 400, ErrorCode.InvalidRequest, reason);
      return undefined;
    }
    if (this.draining) {
      this.refuseHead(reply, 503, ErrorCode.Overloaded, SHUTTING_DOWN);
      return undefined;
    }
    stripInternal(head);
    return this.webSockets.accept(endpoint, head.headers);
  }

  /** What the listener says when it refuses by itself. */
  refusal(status: number, reason: string): { contentType: string; body: string } {
    this.metrics.refused(status);
    const code = status === 500 ? ErrorCode.InternalError : ErrorCode.InvalidRequest;
    return { contentType: 'application/json', body: errorMessage(undefined, new RpcError(code, reason)) };
  }

  private route(head: RequestHead, body: Buffer, reply: Reply): void {
    const streamPath = streamTarget(head.path);
    const endpoint = this.runtime.table.find(streamPath ?? head.path);
    const isMessages = isMessagesPath(head.path);
    if (endpoint === undefined && !isMessages) {
      const { metrics, health } = this.configuration.gateway;
      if (
        this.ops.answer(
          head,
          reply,
          metrics === undefined
            ? health === undefined
              ? 'all'
              : 'metrics'
            : health === undefined
              ? 'health'
              : 'none',
        )
      )
        return;
      this.unknownPath(head, reply);
      return;
    }
    if (this.draining) {
      refuse(reply, 503, ErrorCode.Overloaded, SHUTTING_DOWN);
      return;
    }
    stripInternal(head);
    if (endpoint === undefined) this.message(head, body, reply);
    else if (streamPath !== undefined) this.sse.stream(endpoint, head, reply);
    else if (head.method === 'POST') this.post(endpoint, head, body, reply);
    else this.withoutBody(endpoint, head, reply);
  }

  /** 3. A POST: the body is read once, and its era decides which front takes it. */
  private post(endpoint: Endpoint, head: RequestHead, body: Buffer, reply: Reply): void {
    const { headers } = head;
    if (!this.isJson(head, reply)) return;
    if (this.forwarded(head, body, reply)) return;
    let envelopes: Envelope[];
    const batch = looksLikeBatch(body);
    try {
      envelopes = batch ? scanBatch(body) : [scanMessage(body)];
    } catch (thrown) {
      this.refuseBody(thrown, reply);
      return;
    }
    const first = envelopes[0] as Envelope;
    if (!batch && isModern(headers, first)) {
      this.modernRequest(endpoint, head, body, first, reply);
      return;
    }
    const said = headers['mcp-protocol-version'];
    if (batch && said !== undefined && !isLegacyRevision(said)) {
      refuse(
        reply,
        400,
        ErrorCode.InvalidRequest,
        `revision ${said} has no batches; send one message in each POST`,
      );
      return;
    }
    this.begin(endpoint, first.method, reply);
    this.legacy.post(
      endpoint,
      head,
      envelopes.map((envelope) => ({ bytes: body, envelope })),
      batch,
      reply,
    );
  }

  /** False when the body does not say that it is JSON; answers by itself then. */
  private isJson({ headers }: RequestHead, reply: Reply): boolean {
    const type = headers['content-type'];
    if (type !== undefined && /^application\/json\s*(?:;|$)/i.test(type)) return true;
    refuse(reply, 415, ErrorCode.InvalidRequest, 'the header Content-Type must be application/json');
    return false;
  }

  /** 5. What a client of HTTP+SSE posts belongs to its stream, which one worker has. */
  private message(head: RequestHead, body: Buffer, reply: Reply): void {
    if (head.method === 'POST' && !this.isJson(head, reply)) return;
    const token = streamToken(head);
    const owner = token === undefined ? undefined : this.tokens.owner(token);
    const isElsewhere = owner !== undefined && owner !== this.address;
    // A stream ends with its worker, so nobody else goes on with it.
    if (isElsewhere && this.forwarder.forward(owner, head, body, reply)) return;
    this.sse.post(head, body, reply);
  }

  private modernRequest(
    endpoint: Endpoint,
    head: RequestHead,
    body: Buffer,
    envelope: Envelope,
    reply: Reply,
  ): void {
    const startedAt = performance.now();
    this.inFlight++;
    this.modern.request(endpoint, head, body, envelope, reply, (method, status, errorCode) => {
      this.inFlight--;
      this.metrics.ended(
        endpoint.label,
        labelOf(method),
        status,
        errorCode,
        (performance.now() - startedAt) / 1000,
      );
    });
  }

  /** 4. GET and DELETE belong to legacy sessions only. */
  private withoutBody(endpoint: Endpoint, head: RequestHead, reply: Reply): void {
    const { method, headers } = head;
    const version = headers['mcp-protocol-version'];
    const legacy = version === undefined || isLegacyRevision(version);
    if ((method === 'GET' || method === 'DELETE') && legacy && headers['mcp-session-id'] !== undefined) {
      if (this.forwarded(head, Buffer.alloc(0), reply)) return;
      if (method === 'GET') this.legacy.get(endpoint, head, reply);
      else this.legacy.delete(endpoint, head, reply);
      return;
    }
    // 2026-07-28, streamable HTTP, "Earlier Streamable HTTP Revisions"; without a session the older ones say the same.
    const what =
      method === 'GET' || method === 'DELETE'
        ? `${method} needs the session of a revision before 2026-07-28`
        : `${method} means nothing here`;
    refuseMethod(reply, 'POST, GET, DELETE', what, ErrorCode.InvalidRequest);
  }

  /** Sessions live where they began; a request that landed elsewhere is handed over as it is. */
  private forwarded(head: RequestHead, body: Buffer, reply: Reply): boolean {
    const token = head.headers['mcp-session-id'];
    if (token === undefined || this.forwarder.peerCount === 0) return false;
    const owner = this.tokens.owner(token);
    if (owner === undefined || owner === this.address) return false;
    if (this.forwarder.forward(owner, head, body, reply)) return true;
    // Whoever had it is gone. One worker of this node goes on with it, always the same, so that no two do.
    const keeper = workerAddress(this.options.node, keeperIndex(token, this.options.count));
    return keeper !== this.address && this.forwarder.forward(keeper, head, body, reply);
  }

  /** Legacy answers end in many ways; the request counts as under way until its reply is closed. */
  private begin(endpoint: Endpoint, method: string, reply: Reply): void {
    const startedAt = performance.now();
    this.inFlight++;
    let ended = false;
    const end = (status: number) => {
      if (ended) return;
      ended = true;
      this.inFlight--;
      this.metrics.ended(endpoint.label, labelOf(method), status, 0, (performance.now() - startedAt) / 1000);
    };
    observe(reply, end);
  }

  private refuseBody(thrown: unknown, reply: Reply): void {
    if (!(thrown instanceof ScanError)) throw thrown;
    const code = thrown.kind === 'parse' ? ErrorCode.ParseError : ErrorCode.InvalidRequest;
    this.metrics.refused(400);
    refuse(
      reply,
      400,
      code,
      `${code === ErrorCode.ParseError ? 'Parse error' : 'Invalid request'}: ${thrown.message}`,
      thrown.id,
    );
  }

  private refuseHead(reply: Reply, status: number, code: number, reason: string): number {
    this.metrics.refused(status);
    refuse(reply, status, code, reason);
    return 0;
  }

  private unknownPath(head: RequestHead, reply: Reply): void {
    const names = this.runtime.table.names;
    const known = names.length === 0 ? '' : `; upstreams are ${names.slice(0, 20).join(', ')}`;
    const path = streamTarget(head.path) ?? head.path;
    const what = path.startsWith('/mcp/')
      ? `there is no upstream ${JSON.stringify(path.slice(5, 105))}${known}`
      : `nothing is served at ${JSON.stringify(head.path.slice(0, 100))}; MCP is at /mcp`;
    this.metrics.refused(404);
    refuse(reply, 404, ErrorCode.Forbidden, what);
  }
}

/** A request is modern when it says so in its `_meta` or names a revision that no session speaks. */
function isModern(headers: RequestHead['headers'], envelope: Envelope): boolean {
  const version = headers['mcp-protocol-version'];
  if (version !== undefined) return !isLegacyRevision(version) && headers['mcp-session-id'] === undefined;
  return (
    envelope.metaVersion !== undefined &&
    headers['mcp-session-id'] === undefined &&
    envelope.method !== 'initialize'
  );
}

/** The end of a token is random. */
function keeperIndex(token: string, count: number): number {
  return Buffer.from(token.slice(-4), 'latin1').readUInt32BE(0) % count;
}

function labelOf(method: string): string {
  if (method === '') return 'response';
  // Whatever else a client writes there would be a series of its own.
  return methodRow(method) !== undefined || isClientNotification(method) ? method : 'other';
}

function stripInternal(head: RequestHead): void {
  const headers = head.headers as Record<string, string | undefined>;
  for (const name in headers) if (name.startsWith(INTERNAL_HEADER_PREFIX)) delete headers[name];
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

/** Resolves when the condition holds, or the time is over. */
async function until(condition: () => boolean, ms: number): Promise<void> {
  const deadline = Date.now() + ms;
  while (!condition() && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, DRAIN_CHECK_MS));
}

function listenerLimits({ gateway: { limits, sessions } }: ResolvedConfiguration): ListenerLimits {
  return {
    maxUrlBytes: limits.maxUrlBytes,
    maxHeaderBytes: limits.maxHeaderBytes,
    maxHeaderCount: MAX_HEADER_COUNT,
    headTimeoutMs: HEAD_TIMEOUT_MS,
    bodyTimeoutMs: limits.bodyTimeoutMs,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    maxPendingReplyBytes: limits.maxPendingReplyBytes,
    maxConnectionCount: limits.maxConnectionCount,
    maxMessageBytes: limits.maxBodyBytes,
    pingIntervalMs: sessions.keepAliveMs,
  };
}
