/**
 * HTTP+SSE in front, the transport of revision 2024-11-05 (basic/transports, "HTTP with SSE"): a GET opens a stream,
 * whose first event says where to POST; what is posted there is answered on the stream.
 */
import type { Reply, RequestHead } from '../../listener/listener.js';
import { ErrorCode, unreadable } from '../../protocol/errors.js';
import { looksLikeBatch, ScanError, scanBatch, scanMessage } from '../../protocol/scan.js';
import { SSE_COMMENT, sseEvent } from '../../protocol/sse.js';
import type { DuplexClient, DuplexConnection } from '../duplex/connection.js';
import type { DuplexFront } from '../duplex/front.js';
import type { Endpoint } from '../endpoint.js';
import { accepts, refuse, refuseMethod, SSE_HEADERS } from '../http-answers.js';

export interface SseFrontOptions {
  readonly duplex: Pick<DuplexFront, 'open'>;
  /** Streams on which nothing was said for so long get a comment. Asked at every look, because it may change. */
  readonly keepAliveMs: () => number;
  /** Makes the token that stands for a stream, which says what worker has it. */
  readonly mintToken: (endpoint: Endpoint, principal: string) => string;
}

const STREAM_PATH = '/sse';
const STREAM_PREFIX = '/sse/';
const MESSAGES_PATH = '/messages';
const TOKEN_PARAMETER = 'session_id';
/** How often silent streams are looked after; no interval is shorter. */
const TICK_MS = 500;

/** The path of the streamable endpoint that a stream's path stands for: `/sse/files` is `/mcp/files` in another transport. */
export function streamTarget(path: string): string | undefined {
  if (path !== STREAM_PATH && !path.startsWith(STREAM_PREFIX)) return undefined;
  return `/mcp${path.slice(STREAM_PATH.length)}`;
}

export function isMessagesPath(path: string): boolean {
  return path === MESSAGES_PATH;
}

/** The token in the query of a POST; undefined when there is none. */
export function streamToken({ path, query }: RequestHead): string | undefined {
  if (!isMessagesPath(path)) return undefined;
  return new URLSearchParams(query).get(TOKEN_PARAMETER) ?? undefined;
}

export class SseFront {
  private readonly streams = new Map<string, SseStream>();
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly options: SseFrontOptions) {
    this.timer = setInterval(() => this.keepAlive(), TICK_MS);
    this.timer.unref();
  }

  /** Opens a stream. */
  stream(endpoint: Endpoint, head: RequestHead, reply: Reply): void {
    if (head.method !== 'GET') {
      const what = `${STREAM_PATH} is a stream of HTTP+SSE and takes GET; streamable HTTP is at ${endpoint.path}`;
      refuseMethod(reply, 'GET', what, ErrorCode.InvalidRequest);
      return;
    }
    if (!accepts(head.headers.accept, 'text/event-stream')) {
      refuse(reply, 406, ErrorCode.InvalidRequest, 'the header Accept must take text/event-stream');
      return;
    }
    const token = this.options.mintToken(endpoint, head.principal);
    const stream = new SseStream(reply, head.principal, () => this.streams.delete(token));
    this.streams.set(token, stream);
    // The path alone: the client knows by which origin it came, the gateway may not.
    stream.begin(`${MESSAGES_PATH}?${TOKEN_PARAMETER}=${encodeURIComponent(token)}`);
    stream.client = this.options.duplex.open(endpoint, stream, head);
  }

  /** Takes what a client posts to its stream. `body` belongs to the front. */
  post(head: RequestHead, body: Buffer, reply: Reply): void {
    if (head.method !== 'POST') {
      const what = `${MESSAGES_PATH} takes POST; the stream is a GET of ${STREAM_PATH}`;
      refuseMethod(reply, 'POST', what, ErrorCode.InvalidRequest);
      return;
    }
    const token = streamToken(head);
    if (token === undefined) {
      const what = `the query needs ${TOKEN_PARAMETER}, as the first event of the stream at ${STREAM_PATH} says it`;
      refuse(reply, 400, ErrorCode.InvalidRequest, what);
      return;
    }
    const stream = this.streams.get(token);
    // Whoever learnt the token of another's stream is told what one hears who made it up.
    if (stream?.client === undefined || stream.principal !== head.principal) {
      const what = `Session not found: its stream has ended or never was; open one with a GET of ${STREAM_PATH}`;
      refuse(reply, 404, ErrorCode.SessionNotFound, what);
      return;
    }
    const fault = bodyFault(body);
    if (fault !== undefined) {
      const { code, message } = unreadable(fault);
      refuse(reply, 400, code, message, fault.id);
      return;
    }
    // Before the answer to it can stand on the stream.
    reply.send(202, [], '');
    stream.client.admittedAgain(head.admission);
    stream.client.message(body);
  }

  /** The streams themselves end with their connections at the duplex front. */
  close(): void {
    clearInterval(this.timer);
  }

  private keepAlive(): void {
    const now = Date.now();
    const intervalMs = this.options.keepAliveMs();
    for (const stream of this.streams.values()) stream.keepAlive(now, intervalMs);
  }
}

/** One stream, and with the POSTs that name it one connection. */
class SseStream implements DuplexConnection {
  readonly transport = 'sse';
  client: DuplexClient | undefined;
  private lastWriteAt = Date.now();

  constructor(
    private readonly reply: Reply,
    readonly principal: string,
    private readonly onEnd: () => void,
  ) {}

  begin(messagesUri: string): void {
    this.reply.begin(200, SSE_HEADERS);
    this.reply.write(`event: endpoint\ndata: ${messagesUri}\n\n`);
    this.reply.onAborted(() => {
      this.onEnd();
      this.client?.gone();
    });
  }

  send(message: Buffer): boolean {
    if (!this.reply.open) return false;
    // A client that does not read is cut off by the listener.
    this.reply.write(sseEvent(message));
    this.lastWriteAt = Date.now();
    return true;
  }

  close(_reason: string): void {
    this.onEnd();
    this.reply.end();
  }

  keepAlive(now: number, intervalMs: number): void {
    if (now - this.lastWriteAt < intervalMs) return;
    this.reply.write(SSE_COMMENT);
    this.lastWriteAt = now;
  }
}

/** What is wrong with a body, said to whoever posted it; on the stream nobody would know to what it belongs. */
function bodyFault(body: Buffer): ScanError | undefined {
  try {
    if (looksLikeBatch(body)) scanBatch(body);
    else scanMessage(body);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof ScanError) return thrown;
    throw thrown;
  }
}
