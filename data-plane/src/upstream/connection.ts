/** Makes the connections of one upstream from its configuration, whatever the transport. */
import type { ResolvedUpstream } from '@sluice/proto';
import { rethrowLater } from '../exchange/rethrow-later.js';
import type { Channel, ChannelEvents } from './channel.js';
import { LegacyHttpChannel } from './legacy/http-channel.js';
import { ModernHttp } from './modern/http.js';
import { StdioChannel } from './stdio-channel.js';
import type { EgressPolicy } from './transport/egress-policy.js';
import type { HttpClient, HttpOrigin } from './transport/http.js';
import { createHttpClient } from './transport/http1-client.js';
import type { StdioLimits } from './transport/stdio.js';
import { spawnStdio } from './transport/stdio-process.js';

/** Bytes that may wait for a subprocess that does not read. */
const MAX_PENDING_WRITE_BYTES = 16 * 1024 * 1024;
/** Lines of stderr kept for messages. */
const MAX_STDERR_LINE_COUNT = 50;
/** From closed stdin to SIGTERM, and from there to SIGKILL. */
const TERMINATE_GRACE_MS = 2_000;

export interface Connections {
  readonly kind: 'http' | 'stdio';
  /** True when the transport says with which request a message came; over pipes all share one stream. */
  readonly tiesMessagesToRequests: boolean;
  /** Only over HTTP. */
  readonly modern: ModernHttp | undefined;
  openChannel(events: ChannelEvents): Channel;
  close(): void;
}

/** @param stderr hears what a subprocess writes there. */
export function makeConnections(
  upstream: ResolvedUpstream,
  egress: EgressPolicy,
  stderr: (line: string) => void,
): Connections {
  const { transport, name, timeoutMs, maxMessageBytes } = upstream;
  if (transport.kind === 'stdio') {
    const limits: StdioLimits = {
      maxLineBytes: maxMessageBytes,
      maxPendingWriteBytes: MAX_PENDING_WRITE_BYTES,
      terminateGraceMs: TERMINATE_GRACE_MS,
      maxStderrLineCount: MAX_STDERR_LINE_COUNT,
    };
    const command = {
      command: transport.command,
      args: transport.args,
      env: transport.env,
      cwd: transport.cwd || undefined,
    };
    return {
      kind: 'stdio',
      tiesMessagesToRequests: false,
      modern: undefined,
      openChannel: (events) =>
        new StdioChannel({ name, command, limits, timeoutMs, spawn: spawnStdio, stderr }, events),
      close() {},
    };
  }
  if (transport.kind !== 'http') throw new TypeError(`${name}: the transport ${transport.kind} is not known`);
  const url = new URL(transport.url);
  const origin: HttpOrigin = {
    protocol: url.protocol === 'https:' ? 'https:' : 'http:',
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
  };
  const client: HttpClient = createHttpClient(origin, {
    maxConnectionCount: transport.maxConnectionCount,
    connectTimeoutMs: upstream.connectTimeoutMs,
    policy: egress,
    onHandlerError: rethrowLater,
  });
  const headerLines = Object.entries(transport.headers)
    .map(([header, value]) => `${header}: ${value}\r\n`)
    .join('');
  const options = {
    name,
    client,
    path: `${url.pathname}${url.search}`,
    headerLines,
    timeoutMs,
    maxMessageBytes,
  };
  return {
    kind: 'http',
    tiesMessagesToRequests: true,
    modern: new ModernHttp(options),
    openChannel: (events) => new LegacyHttpChannel(options, events),
    close: () => client.close(),
  };
}
