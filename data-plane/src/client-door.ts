/** The path of a request from the socket to the front that takes it, in this file, in order. */
import type { ResolvedConfiguration } from '@sluice/proto';
import type { MaybePromise } from '@sluice/sdk';
import { type Admitted, type Arrival, Refusal, type Route } from '@sluice/sdk/engine';
import { HttpArrival, originOf } from './chain/http-arrival.js';
import type { Plugins } from './chain/plugins.js';
import { ANONYMOUS } from './exchange/exchange.js';
import type { Endpoint } from './front/endpoint.js';
import { Guard } from './front/guard.js';
import { refuse, refuseMethod } from './front/http-answers.js';
import type { LegacyFront } from './front/legacy/front.js';
import type { ModernFront } from './front/modern/front.js';
import { MIN_REVISION_HEADER, RevisionWaits } from './front/revision-waits.js';
import { isMessagesPath, type SseFront, streamTarget, streamToken } from './front/sse/front.js';
import { offeredProtocols, SUBPROTOCOL, type WebSockets } from './front/websocket/web-sockets.js';
import type { Door, Reply, RequestHead, SocketHandler } from './listener/listener.js';
import { asksForWebSocket } from './listener/upgrade.js';
import { ErrorCode, errorMessage, RpcError, unreadable } from './protocol/errors.js';
import { isLegacyRevision } from './protocol/revisions.js';
import { type Envelope, looksLikeBatch, ScanError, scanBatch, scanMessage } from './protocol/scan.js';
import type { Neighbours } from './sessions/neighbours.js';
import type { Runtime } from './snapshot/snapshot.js';
import type { Trial } from './snapshot/trial.js';
import type { OpsDoor } from './telemetry/ops-door.js';
import type { Traffic } from './telemetry/traffic.js';
import { TrialDoor } from './trial-door.js';

/** Headers that speak for the inside of the gateway; from outside they are taken away. */
const INTERNAL_HEADER_PREFIX = 'sluice-internal-';
const NO_BODY = Buffer.alloc(0);

/** Of what the listener refuses by itself; all else is a mistake of the client's. */
const REFUSAL_CODES: Readonly<Record<number, number>> = {
  500: ErrorCode.InternalError,
  503: ErrorCode.Overloaded,
};

export interface ClientDoorOptions {
  /** As it is now. */
  readonly configuration: () => ResolvedConfiguration;
  readonly runtime: Runtime;
  readonly plugins: Plugins;
  readonly modern: ModernFront;
  readonly legacy: LegacyFront;
  readonly sse: SseFront;
  readonly webSockets: WebSockets;
  readonly ops: OpsDoor;
  readonly neighbours: Neighbours;
  readonly traffic: Traffic;
  /** An exception cost a request. */
  readonly onFault: (thrown: unknown) => void;
}

export class ClientDoor implements Door {
  private guard: Guard;
  private readonly revisions = new RevisionWaits(
    () => this.options.configuration().revision,
    (status) => this.options.traffic.refused(status),
  );

  private readonly trials: TrialDoor;

  constructor(private readonly options: ClientDoorOptions) {
    this.trials = new TrialDoor({
      sessionAt: (token) => options.legacy.endpointOf(token),
      arrival: (endpoint, route, head, transport) => this.arrival(endpoint, route, head, transport),
      admitted: (endpoint, head, reply, transport) => this.admitted(endpoint, head, reply, transport),
      answered: (said, reply) => {
        if (said instanceof Refusal) this.refuseByPlugin(said, reply);
        else reply.send(said.status, said.headers, said.body);
      },
      tooLong: (reply, limitBytes) =>
        void this.refuseHead(
          reply,
          413,
          ErrorCode.InvalidRequest,
          `the body is larger than ${limitBytes} bytes`,
        ),
      unknown: (head, reply) => this.unknownPath(head, reply),
    });
    this.guard = new Guard(options.configuration().gateway.listen);
  }

  /** The configuration has changed. */
  renew(): void {
    this.guard = new Guard(this.options.configuration().gateway.listen);
    this.revisions.changed();
  }

  /** 1. The head, before the body: who may come in, and how much is taken. */
  head(head: RequestHead, reply: Reply): number {
    const refusal = this.guard.refusal(head);
    if (refusal !== undefined) return this.refuseHead(reply, 403, ErrorCode.Forbidden, refusal);
    if (this.hasTooMuchToDo(reply)) return 0;
    const { maxBodyBytes } = this.options.configuration().gateway.limits;
    const endpoint = this.endpointOf(head);
    const route = endpoint?.route;
    return endpoint === undefined || route === undefined || !route.watchesHeads
      ? maxBodyBytes
      : this.headForPlugins(endpoint, route, head, reply, maxBodyBytes);
  }

  /** 1b. The head for the plugins that want to see it. */
  private headForPlugins(
    endpoint: Endpoint,
    route: Route,
    head: RequestHead,
    reply: Reply,
    maxBodyBytes: number,
  ): number {
    let limitBytes = maxBodyBytes;
    const said = route.head(this.arrival(endpoint, route, head, transportOf(head)), {
      setHeader: (name, value) => reply.addHeader(name, value),
      limitBody: (bytes) => {
        // 0 would say that it was answered.
        limitBytes = Math.max(1, Math.min(limitBytes, bytes));
      },
    });
    if (said === undefined) return limitBytes;
    if (said instanceof Refusal) this.refuseByPlugin(said, reply);
    else reply.send(said.status, said.headers, said.body);
    return 0;
  }

  /** 1a. A request that another worker received and took: the head was looked at there, the work is done here. */
  forwarded(head: RequestHead, body: Buffer, reply: Reply): void {
    if (!this.hasTooMuchToDo(reply)) this.request(head, body, reply, true);
  }

  private hasTooMuchToDo(reply: Reply): boolean {
    const reason = this.options.traffic.overload();
    if (reason !== undefined) this.refuseHead(reply, 503, ErrorCode.Overloaded, reason);
    return reason !== undefined;
  }

  /** 2. The whole request: health and metrics, or an MCP endpoint by its path. */
  request(head: RequestHead, body: Buffer, reply: Reply, isTaken = false): void {
    const wanted = head.headers[MIN_REVISION_HEADER];
    if (wanted === undefined) this.whole(head, body, reply, isTaken);
    else this.whenItRuns(wanted, reply, () => this.whole(head, body, reply, isTaken));
  }

  /** 2-. A request that is not to be answered from an older revision than it names. */
  private whenItRuns(wanted: string, reply: Reply, goOn: () => void): void {
    const admitted = this.revisions.admit(wanted, reply);
    if (admitted instanceof Promise) void admitted.then((isReached) => isReached && reply.open && goOn());
    else if (admitted) goOn();
  }

  private whole(head: RequestHead, body: Buffer, reply: Reply, isTaken: boolean): void {
    try {
      this.route(head, body, reply, isTaken);
    } catch (thrown) {
      this.failed(thrown, reply);
    }
  }

  /** 2a. A request that becomes a WebSocket connection: from then on the duplex front has it. */
  upgrade(head: RequestHead, reply: Reply): MaybePromise<SocketHandler | undefined> {
    const wanted = head.headers[MIN_REVISION_HEADER];
    const admitted = wanted === undefined || this.revisions.admit(wanted, reply);
    if (admitted instanceof Promise)
      return admitted.then((isReached) =>
        isReached && reply.open ? this.upgradeNow(head, reply) : undefined,
      );
    return admitted ? this.upgradeNow(head, reply) : undefined;
  }

  private upgradeNow(head: RequestHead, reply: Reply): MaybePromise<SocketHandler | undefined> {
    const { runtime, webSockets } = this.options;
    const endpoint = runtime.table.find(head.path);
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
    if (this.isDraining(reply)) return undefined;
    stripInternal(head);
    const accept = () => webSockets.accept(endpoint, head);
    const admitted = this.admitted(endpoint, head, reply, 'websocket');
    if (runtime.trial !== undefined) return this.upgradeTried(endpoint, head, reply, admitted);
    if (!(admitted instanceof Promise)) return admitted ? accept() : undefined;
    return admitted.then((isAdmitted) =>
      isAdmitted && this.isStillServed(endpoint, head, reply) ? accept() : undefined,
    );
  }

  private async upgradeTried(
    endpoint: Endpoint,
    head: RequestHead,
    reply: Reply,
    admitted: MaybePromise<boolean>,
  ): Promise<SocketHandler | undefined> {
    if (!(await admitted) || !this.isStillServed(endpoint, head, reply)) return undefined;
    const { runtime, webSockets } = this.options;
    const { trial } = runtime;
    const isTried = trial !== undefined && this.trials.mayConcern(trial, endpoint, head);
    const given = isTried ? await this.trials.given(trial, endpoint, head, reply, 'websocket') : endpoint;
    if (given === undefined || !reply.open) return undefined;
    if (runtime.trial === trial) return webSockets.accept(given, head);
    forgetCaller(head);
    return this.upgradeNow(head, reply);
  }

  /** What the listener says when it refuses by itself. */
  refusal(status: number, reason: string): { contentType: string; body: string } {
    this.options.traffic.refused(status);
    const code = REFUSAL_CODES[status] ?? ErrorCode.InvalidRequest;
    return { contentType: 'application/json', body: errorMessage(undefined, new RpcError(code, reason)) };
  }

  private route(head: RequestHead, body: Buffer, reply: Reply, isTaken: boolean): void {
    const endpoint = this.endpointOf(head);
    if (endpoint === undefined && !isMessagesPath(head.path)) {
      const { trial } = this.options.runtime;
      const added = trial?.find(streamTarget(head.path) ?? head.path);
      if (trial === undefined || added?.route === undefined) this.elsewhere(head, reply);
      else this.enterAdded(trial, added, head, body, reply);
      return;
    }
    if (!isTaken && this.isDraining(reply)) return;
    stripInternal(head);
    const route = endpoint?.route;
    if (endpoint === undefined || route === undefined || head.admission !== undefined) {
      if (head.admission !== undefined) head.admission = { ...head.admission, route };
      this.enterGiven(endpoint, head, body, reply);
      return;
    }
    const admitted = this.admitted(endpoint, head, reply, transportOf(head));
    if (admitted instanceof Promise)
      void admitted.then((isAdmitted) => isAdmitted && this.late(endpoint, head, body, reply));
    else if (admitted) this.enterGiven(endpoint, head, body, reply);
  }

  /** Where a request is going, if that is an endpoint of MCP. */
  private endpointOf(head: RequestHead): Endpoint | undefined {
    const { runtime, neighbours } = this.options;
    const { path } = head;
    if (!isMessagesPath(path)) return runtime.table.find(streamTarget(path) ?? path);
    // What is posted to a stream belongs where the stream does.
    const streamPath = neighbours.pathOf(streamToken(head));
    return streamPath === undefined ? undefined : runtime.table.find(streamPath);
  }

  /** What is served beside endpoints: health, metrics, pages of plugins. */
  private elsewhere(head: RequestHead, reply: Reply): void {
    const { ops, plugins, configuration } = this.options;
    if (ops.answer(head, reply, this.opsHere())) return;
    const { path, query, headers, method } = head;
    const origin = originOf(head, configuration().gateway.listen.tls !== undefined);
    const page =
      method === 'GET' || method === 'HEAD' ? plugins.page({ path, query, headers, origin }) : undefined;
    if (page === undefined) {
      this.unknownPath(head, reply);
      return;
    }
    page.then(
      (answer) => {
        if (answer === undefined) this.unknownPath(head, reply);
        else if (answer instanceof Refusal) this.refuseByPlugin(answer, reply);
        else reply.send(answer.status, answer.headers, answer.body);
      },
      (thrown: unknown) => this.failed(thrown, reply),
    );
  }

  /** 2b. Who calls, for every request anew: a session says which, never who. False when that was answered already. */
  private admitted(
    endpoint: Endpoint,
    head: RequestHead,
    reply: Reply,
    transport: Arrival['transport'],
  ): MaybePromise<boolean> {
    const { route } = endpoint;
    if (route === undefined) return true;
    const arrival = this.arrival(endpoint, route, head, transport);
    const take = (found: Admitted | Refusal): boolean => {
      if (found instanceof Refusal) {
        this.refuseByPlugin(found, reply);
        return false;
      }
      head.principal = found.identity.id;
      head.admission = { route, arrival, admitted: found };
      return true;
    };
    const found = route.admit(arrival);
    if (!(found instanceof Promise)) return take(found);
    return found.then(take, (thrown: unknown) => {
      this.failed(thrown, reply);
      return false;
    });
  }

  private arrival(
    endpoint: Endpoint,
    route: Route,
    head: RequestHead,
    transport: Arrival['transport'],
  ): Arrival {
    const isTls = this.options.configuration().gateway.listen.tls !== undefined;
    return new HttpArrival(
      head,
      endpoint.path,
      transport,
      isTls,
      route.readsAddress ? head.remoteAddress : '',
    );
  }

  /** Goes on with a request for which somebody had to be asked. */
  private late(endpoint: Endpoint, head: RequestHead, body: Buffer, reply: Reply): void {
    if (!this.isStillServed(endpoint, head, reply)) return;
    try {
      this.enterGiven(endpoint, head, body, reply);
    } catch (thrown) {
      this.failed(thrown, reply);
    }
  }

  /** 2b+. What the caller is given: nearly always what everybody is. */
  private enterGiven(endpoint: Endpoint | undefined, head: RequestHead, body: Buffer, reply: Reply): void {
    const { trial } = this.options.runtime;
    if (trial === undefined || endpoint === undefined || !this.trials.mayConcern(trial, endpoint, head))
      this.enter(endpoint, head, body, reply);
    else if (!this.isElsewhere(head, body, reply)) this.enterTried(trial, endpoint, head, body, reply);
  }

  /** What only some callers are given yet is not there for all others. */
  private enterAdded(trial: Trial, added: Endpoint, head: RequestHead, body: Buffer, reply: Reply): void {
    if (this.isDraining(reply)) return;
    stripInternal(head);
    this.trials
      .givenAdded(trial, added, head, reply, transportOf(head), body.length)
      .then((said) => {
        if (!reply.open || said === 'answered') return;
        if (said === 'not there') this.elsewhere(head, reply);
        else if (this.options.runtime.trial !== trial) this.again(head, body, reply);
        else if (!this.isElsewhere(head, body, reply)) this.enter(added, head, body, reply);
      })
      .catch((thrown: unknown) => this.failed(thrown, reply));
  }

  /** A request of a session that is not here: whoever has it decides. */
  private isElsewhere(head: RequestHead, body: Buffer, reply: Reply): boolean {
    const token = head.headers['mcp-session-id'];
    return token !== undefined && this.options.neighbours.takeSession(token, head, body, reply);
  }

  private enterTried(trial: Trial, endpoint: Endpoint, head: RequestHead, body: Buffer, reply: Reply): void {
    const enter = (given: Endpoint | undefined) => {
      if (given === undefined || !reply.open) return;
      if (this.options.runtime.trial === trial) this.enter(given, head, body, reply);
      else this.again(head, body, reply);
    };
    const given = this.trials.given(trial, endpoint, head, reply, transportOf(head), body.length);
    if (given instanceof Promise) given.then(enter).catch((thrown: unknown) => this.failed(thrown, reply));
    else enter(given);
  }

  /** While somebody was asked, what some callers were given has ended. */
  private again(head: RequestHead, body: Buffer, reply: Reply): void {
    forgetCaller(head);
    this.whole(head, body, reply, true);
  }

  /** False when so much has changed while somebody was asked that there is nowhere to go on; answers by itself then. */
  private isStillServed(endpoint: Endpoint, head: RequestHead, reply: Reply): boolean {
    if (!reply.open || this.isDraining(reply)) return false;
    if (this.endpointOf(head) === endpoint) return true;
    this.unknownPath(head, reply);
    return false;
  }

  /** 2c. By path and method to its front. */
  private enter(endpoint: Endpoint | undefined, head: RequestHead, body: Buffer, reply: Reply): void {
    if (endpoint === undefined || isMessagesPath(head.path)) this.message(head, body, reply);
    else if (streamTarget(head.path) !== undefined) this.options.sse.stream(endpoint, head, reply);
    else if (head.method === 'POST') this.post(endpoint, head, body, reply);
    else this.withoutBody(endpoint, head, reply);
  }

  private refuseByPlugin({ status, code, message, details }: Refusal, reply: Reply): void {
    this.options.traffic.refused(status);
    for (const [name, value] of details.headers ?? []) reply.addHeader(name, value);
    refuse(reply, status, code, message, undefined, details.data);
  }

  private failed(thrown: unknown, reply: Reply): void {
    this.options.onFault(thrown);
    refuse(reply, 500, ErrorCode.InternalError, 'Internal error of the gateway');
  }

  /** What has no address of its own is served at that of the clients. */
  private opsHere(): 'all' | 'metrics' | 'health' | 'none' {
    const { metrics, health } = this.options.configuration().gateway;
    if (metrics === undefined) return health === undefined ? 'all' : 'metrics';
    return health === undefined ? 'health' : 'none';
  }

  /** 3. A POST: the body is read once, and its era decides which front takes it. */
  private post(endpoint: Endpoint, head: RequestHead, body: Buffer, reply: Reply): void {
    const { headers } = head;
    const { neighbours, traffic, legacy } = this.options;
    if (!isJson(head, reply)) return;
    if (neighbours.takeSession(headers['mcp-session-id'], head, body, reply)) return;
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
      const reason = `revision ${said} has no batches; send one message in each POST`;
      refuse(reply, 400, ErrorCode.InvalidRequest, reason);
      return;
    }
    traffic.watch(endpoint, first.method, reply);
    const messages = envelopes.map((envelope) => ({ bytes: body, envelope }));
    legacy.post(endpoint, head, messages, batch, reply);
  }

  private modernRequest(
    endpoint: Endpoint,
    head: RequestHead,
    body: Buffer,
    envelope: Envelope,
    reply: Reply,
  ): void {
    const { modern, traffic } = this.options;
    const startedAt = performance.now();
    traffic.began();
    modern.request(endpoint, head, body, envelope, reply, (method, status, errorCode) =>
      traffic.ended(endpoint, method, status, errorCode, startedAt),
    );
  }

  /** 4. GET and DELETE belong to legacy sessions only. */
  private withoutBody(endpoint: Endpoint, head: RequestHead, reply: Reply): void {
    const { method, headers } = head;
    const { legacy, neighbours } = this.options;
    const isAction = method === 'GET' || method === 'DELETE';
    const version = headers['mcp-protocol-version'];
    const token = headers['mcp-session-id'];
    if (isAction && token !== undefined && (version === undefined || isLegacyRevision(version))) {
      if (neighbours.takeSession(token, head, NO_BODY, reply)) return;
      if (method === 'GET') legacy.get(endpoint, head, reply);
      else legacy.delete(endpoint, head, reply);
      return;
    }
    // 2026-07-28, streamable HTTP, "Earlier Streamable HTTP Revisions"; without a session the older ones say the same.
    const what = isAction
      ? `requests are sent with POST; ${method} is for a session of a revision before 2026-07-28, which the header ` +
        'Mcp-Session-Id names'
      : `${method} means nothing here`;
    refuseMethod(reply, 'POST, GET, DELETE', what, ErrorCode.InvalidRequest);
  }

  /** 5. What a client of HTTP+SSE posts belongs to its stream, which one worker has. */
  private message(head: RequestHead, body: Buffer, reply: Reply): void {
    const { neighbours, sse } = this.options;
    if (head.method === 'POST' && !isJson(head, reply)) return;
    if (!neighbours.takeStream(streamToken(head), head, body, reply)) sse.post(head, body, reply);
  }

  private isDraining(reply: Reply): boolean {
    const { traffic } = this.options;
    const refusal = traffic.draining ? traffic.refusal() : undefined;
    if (refusal !== undefined) refuse(reply, 503, refusal.code, refusal.message);
    return refusal !== undefined;
  }

  private refuseBody(thrown: unknown, reply: Reply): void {
    if (!(thrown instanceof ScanError)) throw thrown;
    const { code, message } = unreadable(thrown);
    this.options.traffic.refused(400);
    refuse(reply, 400, code, message, thrown.id);
  }

  private refuseHead(reply: Reply, status: number, code: number, reason: string): 0 {
    this.options.traffic.refused(status);
    refuse(reply, status, code, reason);
    return 0;
  }

  private unknownPath(head: RequestHead, reply: Reply): void {
    const { table } = this.options.runtime;
    // Where somebody wants to know who calls, names are not for everybody.
    const names = [...table].some(({ route }) => route?.authenticates || route?.authorizes)
      ? []
      : table.names;
    const known = names.length === 0 ? '' : `; upstreams are ${names.slice(0, 20).join(', ')}`;
    const path = streamTarget(head.path) ?? head.path;
    const what = path.startsWith('/mcp/')
      ? `there is no upstream ${JSON.stringify(path.slice(5, 105))}${known}`
      : `nothing is served at ${JSON.stringify(head.path.slice(0, 100))}; MCP is at /mcp`;
    this.refuseHead(reply, 404, ErrorCode.Forbidden, what);
  }
}

/** False when the body does not say that it is JSON; answers by itself then. */
function isJson({ headers }: RequestHead, reply: Reply): boolean {
  const type = headers['content-type'];
  if (type !== undefined && /^application\/json\s*(?:;|$)/i.test(type)) return true;
  refuse(reply, 415, ErrorCode.InvalidRequest, 'the header Content-Type must be application/json');
  return false;
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

function forgetCaller(head: RequestHead): void {
  head.admission = undefined;
  head.principal = ANONYMOUS;
}

function transportOf(head: RequestHead): Arrival['transport'] {
  if (asksForWebSocket(head)) return 'websocket';
  return streamTarget(head.path) === undefined && !isMessagesPath(head.path) ? 'http' : 'sse';
}

function stripInternal(head: RequestHead): void {
  const headers = head.headers as Record<string, string | undefined>;
  for (const name in headers) if (name.startsWith(INTERNAL_HEADER_PREFIX)) delete headers[name];
}
