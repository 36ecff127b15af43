/**
 * The legacy front: streamable HTTP of the revisions 2025-03-26 to 2025-11-25 (and of clients that speak
 * 2024-11-05 over it), with sessions, GET streams, DELETE, resumption and batches.
 */
import type { Reply, RequestHead } from '../../listener/listener.js';
import { hasBatches } from '../../protocol/batch.js';
import { ErrorCode, errorMessage, RpcError, resultMessage } from '../../protocol/errors.js';
import { isLegacyRevision } from '../../protocol/revisions.js';
import { binaryOf, binaryToBytes } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import type { ClientConnection } from '../client-connection.js';
import type { Endpoint } from '../endpoint.js';
import { readHello } from '../handshake.js';
import { accepts, JSON_HEADERS, refuse } from '../http-answers.js';
import type { LegacySession } from './session.js';
import { LegacySessions, type LegacySessionsOptions } from './sessions.js';

export interface LegacyFrontOptions extends LegacySessionsOptions {
  /** The other workers, of this node and of others. */
  readonly others: LegacySessionsOptions['others'] & {
    /** Hands a request over; false when nobody is there. */
    forward(worker: WorkerAddress, head: RequestHead, body: Buffer, reply: Reply): boolean;
  };
}

/** A request for a session, of which nobody knows yet who has it. */
interface Arrival {
  readonly endpoint: Endpoint;
  readonly head: RequestHead;
  readonly body: Buffer;
  /** Of the request, as JSON text. */
  readonly id: string | undefined;
  readonly reply: Reply;
}

const NO_BODY = Buffer.alloc(0);
export class LegacyFront {
  private readonly sessions: LegacySessions;

  constructor(private readonly options: LegacyFrontOptions) {
    this.sessions = new LegacySessions(options);
  }

  /** The sessions of this worker. */
  get connections(): Iterable<ClientConnection> {
    return this.sessions.open;
  }

  /** Ends everything here. In the store the sessions stay: another worker goes on with them. */
  close(reason: string): void {
    this.sessions.close(reason);
  }

  /** Ends the sessions of an endpoint that is not there any more; requests under way end as they began. */
  closeEndpoint(endpoint: Endpoint, reason: string): void {
    this.sessions.closeEndpoint(endpoint, reason);
  }

  /** Sessions of an endpoint go on at another one at the same path, with the next request of each. */
  releaseEndpoint(endpoint: Endpoint, reason: string): void {
    this.sessions.releaseEndpoint(endpoint, reason);
  }

  /** Where the session of a token lives that is open here. */
  endpointOf(token: string): Endpoint | undefined {
    return this.sessions.endpointOf(token);
  }

  /** Other plugins stand in front of an endpoint: its GET streams go on for those who may still have them. */
  rerouted(endpoint: Endpoint): void {
    for (const session of this.sessions.open) if (session.endpoint === endpoint) void session.rerouted();
  }

  post(
    endpoint: Endpoint,
    head: RequestHead,
    messages: readonly Message[],
    batch: boolean,
    reply: Reply,
  ): void {
    const first = messages[0] as Message;
    const id = first.envelope.id === undefined ? undefined : binaryOf(first.bytes, first.envelope.id);
    const accept = head.headers.accept;
    const mayStream = accepts(accept, 'text/event-stream');
    if (!accepts(accept, 'application/json') && !mayStream) {
      refuse(
        reply,
        406,
        ErrorCode.InvalidRequest,
        'the header Accept must take application/json and text/event-stream',
        id,
      );
      return;
    }
    if (messages.some(({ envelope }) => envelope.kind === 'request' && envelope.method === 'initialize')) {
      if (batch)
        refuse(
          reply,
          400,
          ErrorCode.InvalidRequest,
          'initialize is not part of a batch (2025-03-26, basic/lifecycle)',
          id,
        );
      else this.initialize(endpoint, first, id as string, head, reply);
      return;
    }
    const session = this.known(endpoint, head);
    if (session !== undefined) this.deliver(session, messages, batch, mayStream, head, reply, id);
    else
      this.seek({ endpoint, head, body: first.bytes, id, reply }, (found) =>
        this.deliver(found, messages, batch, mayStream, head, reply, id),
      );
  }

  private deliver(
    session: LegacySession,
    messages: readonly Message[],
    batch: boolean,
    mayStream: boolean,
    head: RequestHead,
    reply: Reply,
    id: string | undefined,
  ): void {
    if (batch && !hasBatches(session.caller.revision)) {
      refuse(
        reply,
        400,
        ErrorCode.InvalidRequest,
        `revision ${session.caller.revision} has no batches; send one message in each POST`,
        id,
      );
      return;
    }
    session.post(messages, batch, mayStream, head, reply);
  }

  get(endpoint: Endpoint, head: RequestHead, reply: Reply): void {
    if (!accepts(head.headers.accept, 'text/event-stream')) {
      refuse(reply, 406, ErrorCode.InvalidRequest, 'the header Accept must take text/event-stream');
      return;
    }
    this.seek({ endpoint, head, body: NO_BODY, id: undefined, reply }, (session) => {
      const fault = session.listen(reply, head.headers['last-event-id'], head.admission);
      if (fault !== undefined) refuse(reply, fault.status, ErrorCode.InvalidRequest, fault.reason);
    });
  }

  delete(endpoint: Endpoint, head: RequestHead, reply: Reply): void {
    this.seek({ endpoint, head, body: NO_BODY, id: undefined, reply }, (session) => {
      this.sessions.end(session, 'ended by the client');
      reply.send(200, [], '');
    });
  }

  /** The session of a request that names one of this worker rightly; undefined for all other requests. */
  private known(endpoint: Endpoint, { headers, principal }: RequestHead): LegacySession | undefined {
    const said = headers['mcp-protocol-version'];
    if (said !== undefined && !isLegacyRevision(said)) return undefined;
    return this.sessions.get(endpoint, headers['mcp-session-id'], principal);
  }

  /** Finds the session of a request, here or where it went, and revives it when its worker is gone. */
  private seek(arrival: Arrival, use: (session: LegacySession) => void): void {
    const { endpoint, head, body, id, reply } = arrival;
    const known = this.known(endpoint, head);
    if (known !== undefined) {
      use(known);
      return;
    }
    const said = head.headers['mcp-protocol-version'];
    if (said !== undefined && !isLegacyRevision(said)) {
      const what = `the header MCP-Protocol-Version says ${JSON.stringify(said.slice(0, 40))}, which a session does not speak`;
      refuse(reply, 400, ErrorCode.InvalidRequest, `Bad Request: ${what}`, id);
      return;
    }
    const token = head.headers['mcp-session-id'];
    if (token === undefined) {
      const what = 'the header Mcp-Session-Id is missing; a session begins with initialize';
      refuse(reply, 400, ErrorCode.InvalidRequest, `Bad Request: ${what}`, id);
      return;
    }
    const { tokens, others } = this.options;
    const unknown = () =>
      refuse(
        reply,
        404,
        ErrorCode.SessionNotFound,
        'Session not found: it has ended or never was; begin a new one with initialize',
        id,
      );
    const reviving = this.sessions.revive(endpoint, token, head);
    if (reviving === undefined) {
      unknown();
      return;
    }
    reviving.then(
      (found) => {
        if (!reply.open) return;
        if (found === undefined) unknown();
        else if (typeof found !== 'string') use(found);
        else if (others.forward(found, head, body, reply)) tokens.remember(token, found);
        else unknown();
      },
      (thrown: unknown) => {
        if (reply.open) reply.send(200, JSON_HEADERS, binaryToBytes(errorMessage(id, RpcError.from(thrown))));
      },
    );
  }

  private initialize(
    endpoint: Endpoint,
    message: Message,
    id: string,
    { principal, admission }: RequestHead,
    reply: Reply,
  ): void {
    const hello = readHello(message, principal);
    if (hello instanceof RpcError) {
      refuse(reply, 400, hello.code, hello.message, id);
      return;
    }
    const { session, result } = this.sessions.begin(endpoint, hello, admission);
    result.then(
      (text) =>
        reply.send(
          200,
          [...JSON_HEADERS, ['mcp-session-id', session.token]],
          binaryToBytes(resultMessage(id, text)),
        ),
      (thrown: unknown) => {
        const error = RpcError.from(thrown);
        const { status = 200, headers = [] } = error.http ?? {};
        reply.send(status, [...JSON_HEADERS, ...headers], binaryToBytes(errorMessage(id, error)));
      },
    );
    // A client that leaves before the answer never learns the token: nobody could end the session but its idleness.
    reply.onAborted(() => this.sessions.end(session, 'the client left during initialize'));
  }
}
