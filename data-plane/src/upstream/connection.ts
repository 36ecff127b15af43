/** Makes the connections of one upstream from its configuration, whatever the transport. */
import { createSecureContext } from 'node:tls';
import type {
  ResolvedHttpTransport,
  ResolvedSseTransport,
  ResolvedStdioTransport,
  ResolvedUpstream,
  ResolvedWebSocketTransport,
} from '@sluice/proto';
import { rethrowLater } from '../exchange/rethrow-later.js';
import type { Channel, ChannelEvents } from './channel.js';
import { DuplexChannel } from './duplex-channel.js';
import type { HttpTarget } from './http-target.js';
import { LegacyHttpChannel } from './legacy/http-channel.js';
import { openSse } from './legacy/sse-pipe.js';
import { ModernHttp } from './modern/http.js';
import type { EgressPolicy } from './transport/egress-policy.js';
import type { HttpClient, HttpOrigin } from './transport/http.js';
import { createHttpClient } from './transport/http1-client.js';
import type { OpenPipe } from './transport/pipe.js';
import type { StdioLimits } from './transport/stdio.js';
import { spawnStdio } from './transport/stdio-process.js';
import { parseUnixUrl } from './transport/unix-url.js';
import { openWebSocket } from './transport/websocket-pipe.js';

/** Bytes that may wait for a peer that does not read. */
const MAX_PENDING_WRITE_BYTES = 16 * 1024 * 1024;
/** Lines of stderr kept for messages. */
const MAX_STDERR_LINE_COUNT = 50;
/** From closed stdin to SIGTERM, and from there to SIGKILL. */
const TERMINATE_GRACE_MS = 2_000;
/** Longest wait before a subprocess is started again, which is work for the whole machine. */
const MAX_RESTART_WAIT_MS = 30_000;
/** Longest wait before a WebSocket is connected again: a server that is back should be found soon. */
const MAX_RECONNECT_WAIT_MS = 5_000;
/** Streams of HTTP+SSE for each worker: one that is shared, and one for each legacy client. */
const MAX_SSE_STREAM_COUNT = 1024;
/** Connections for the messages of all these streams, for each worker. */
const MAX_SSE_POST_CONNECTION_COUNT = 64;

export interface Connections {
  /**
   * How the era is found out: `http` by a request of the modern era, `pipe` by `server/discover` on the connection that
   * then serves, `none` where the transport has the legacy era only.
   */
  readonly probe: 'http' | 'pipe' | 'none';
  /**
   * The longest time until a shared connection that was lost is made again, in milliseconds. Undefined where the
   * session makes it again by itself, with the next request.
   */
  readonly backoffMaxMs: number | undefined;
  /** Only over streamable HTTP. */
  readonly modern: ModernHttp | undefined;
  /** How many connections of one client's own there may be on one worker, what they are, and which setting says so. */
  readonly dedicatedLimit:
    | { readonly count: number; readonly things: string; readonly setting: string }
    | undefined;
  openChannel(events: ChannelEvents): Channel;
  close(): void;
}

/** What is heard beside the messages. */
export interface Diagnostics {
  /** A line that a subprocess wrote to stderr. */
  stderr(line: string): void;
  /** What was wrong with a message that is not JSON-RPC. */
  badMessage(fault: string): void;
}

export function makeConnections(
  upstream: ResolvedUpstream,
  egress: EgressPolicy,
  diagnostics: Diagnostics,
): Connections {
  const { transport } = upstream;
  switch (transport.kind) {
    case 'http':
      return httpConnections(upstream, transport, egress);
    case 'sse':
      return sseConnections(upstream, transport, egress, diagnostics);
    case 'websocket':
      return webSocketConnections(upstream, transport, egress, diagnostics);
    case 'stdio':
      return stdioConnections(upstream, transport, diagnostics);
  }
}

function httpConnections(
  { name, timeoutMs, connectTimeoutMs, maxMessageBytes }: ResolvedUpstream,
  { url, headers, maxConnectionCount }: ResolvedHttpTransport,
  policy: EgressPolicy,
): Connections {
  const { origin, path } = parseUnixUrl(url) ?? placeOf(new URL(url));
  const client = createHttpClient(origin, {
    maxConnectionCount,
    connectTimeoutMs,
    policy,
    onHandlerError: rethrowLater,
  });
  const target: HttpTarget = {
    name,
    client,
    path,
    headerLines: linesOf(headers),
    timeoutMs,
    maxMessageBytes,
  };
  return {
    probe: 'http',
    backoffMaxMs: undefined,
    dedicatedLimit: undefined,
    modern: new ModernHttp(target),
    openChannel: (events) => new LegacyHttpChannel(target, events),
    close: () => client.close(),
  };
}

function sseConnections(
  upstream: ResolvedUpstream,
  transport: ResolvedSseTransport,
  policy: EgressPolicy,
  diagnostics: Diagnostics,
): Connections {
  const { name, timeoutMs, connectTimeoutMs, maxMessageBytes } = upstream;
  const url = new URL(transport.url);
  const client = (maxConnectionCount: number): HttpClient =>
    createHttpClient(placeOf(url).origin, {
      maxConnectionCount,
      connectTimeoutMs,
      policy,
      onHandlerError: rethrowLater,
    });
  const streams = client(MAX_SSE_STREAM_COUNT);
  const posts = client(MAX_SSE_POST_CONNECTION_COUNT);
  const options = {
    name,
    url,
    streams,
    posts,
    headerLines: linesOf(transport.headers),
    connectTimeoutMs,
    timeoutMs,
    maxMessageBytes,
    maxPendingWriteBytes: MAX_PENDING_WRITE_BYTES,
  };
  return {
    probe: 'none',
    backoffMaxMs: undefined,
    dedicatedLimit: undefined,
    modern: undefined,
    openChannel: duplex(upstream, 'the connection', diagnostics, (events) => openSse(options, events)),
    close() {
      streams.close();
      posts.close();
    },
  };
}

function webSocketConnections(
  upstream: ResolvedUpstream,
  { url, headers, maxConnectionCount }: ResolvedWebSocketTransport,
  policy: EgressPolicy,
  diagnostics: Diagnostics,
): Connections {
  const { connectTimeoutMs, maxMessageBytes } = upstream;
  const address = new URL(url);
  const options = {
    url: address,
    headers,
    policy,
    secureContext: address.protocol === 'wss:' ? createSecureContext() : undefined,
    connectTimeoutMs,
    maxMessageBytes,
    maxPendingWriteBytes: MAX_PENDING_WRITE_BYTES,
  };
  return {
    probe: 'pipe',
    backoffMaxMs: MAX_RECONNECT_WAIT_MS,
    // One more is shared.
    dedicatedLimit: { count: maxConnectionCount - 1, things: 'connections', setting: 'max_connections' },
    modern: undefined,
    openChannel: duplex(upstream, 'the connection', diagnostics, (events) => openWebSocket(options, events)),
    close() {},
  };
}

function stdioConnections(
  upstream: ResolvedUpstream,
  { command, args, env, cwd, maxProcessCount }: ResolvedStdioTransport,
  diagnostics: Diagnostics,
): Connections {
  const limits: StdioLimits = {
    maxLineBytes: upstream.maxMessageBytes,
    maxPendingWriteBytes: MAX_PENDING_WRITE_BYTES,
    terminateGraceMs: TERMINATE_GRACE_MS,
    maxStderrLineCount: MAX_STDERR_LINE_COUNT,
  };
  return {
    probe: 'pipe',
    backoffMaxMs: MAX_RESTART_WAIT_MS,
    dedicatedLimit: { count: maxProcessCount, things: 'processes', setting: 'max_processes' },
    modern: undefined,
    openChannel: duplex(upstream, 'the process', diagnostics, (events) => {
      const process = spawnStdio({ command, args, env, cwd: cwd || undefined }, limits, {
        line: (line) => events.message(line),
        stderr: (line) => diagnostics.stderr(line),
        exit: (reason) => events.closed(reason),
      });
      // The pipe of a process takes what is written from the beginning.
      events.opened();
      return process;
    }),
    close() {},
  };
}

function duplex(
  { name, timeoutMs }: ResolvedUpstream,
  subject: string,
  { badMessage }: Diagnostics,
  openPipe: OpenPipe,
): Connections['openChannel'] {
  return (events) => new DuplexChannel({ name, subject, timeoutMs, openPipe, badMessage }, events);
}

function placeOf(url: URL): { origin: HttpOrigin; path: string } {
  const secure = url.protocol === 'https:';
  return {
    origin: {
      protocol: secure ? 'https:' : 'http:',
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port) || (secure ? 443 : 80),
    },
    path: `${url.pathname}${url.search}`,
  };
}

function linesOf(headers: Readonly<Record<string, string>>): string {
  return Object.entries(headers)
    .map(([header, value]) => `${header}: ${value}\r\n`)
    .join('');
}
