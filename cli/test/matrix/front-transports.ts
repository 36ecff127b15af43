import type { ConnectOptions } from '../stories/official-client.js';
import { overWebSocket } from '../stories/over-websocket.js';
import { sseWire, stdioWire } from '../stories/wires.js';
import { BOTH_ERAS, type Era } from './era.js';

/** One way for a client to reach the gateway. */
export interface FrontTransport {
  /** As the documentation says it. */
  readonly name: string;
  /** The eras that are spoken over it. */
  readonly eras: readonly Era[];
  /** True when each client has a process of the gateway to itself, in which nobody else could hear what is its own. */
  readonly isPrivate: boolean;
  /** True when only servers over streamable HTTP take part: it ends at a gateway that the other transports begin at. */
  readonly isRelay: boolean;
  /** How the official client of this era moves its bytes; undefined leaves that to it (streamable HTTP). */
  transport(era: Era, goal: Goal): ConnectOptions['transport'];
}

/** Where a client wants to. */
export interface Goal {
  /** Of the running gateway, without a path. */
  readonly url: string;
  /** `/mcp` or `/mcp/{upstream}`. */
  readonly path: string;
  readonly upstream: string;
  /** A configuration with this upstream alone, for a gateway of the client's own. */
  readonly configFile: string;
}

/** The official client of an era. */
export const KIND_OF = { modern: 'SDK v2 2026-07-28', legacy: 'SDK v1' } as const;

export const FRONT_TRANSPORTS: readonly FrontTransport[] = [
  { name: 'streamable HTTP', eras: BOTH_ERAS, isPrivate: false, isRelay: false, transport: () => undefined },
  {
    name: 'WebSocket',
    eras: BOTH_ERAS,
    isPrivate: false,
    isRelay: false,
    transport: (_era, { url, path }) => overWebSocket(url + path),
  },
  {
    name: 'HTTP+SSE',
    // It is older than the modern era; a modern client has no use for it.
    eras: ['legacy'],
    isPrivate: false,
    isRelay: false,
    transport: (era, { url, path }) => sseWire(url + path.replace('/mcp', '/sse'))(KIND_OF[era]),
  },
  {
    name: 'stdio',
    eras: BOTH_ERAS,
    isPrivate: true,
    isRelay: false,
    transport: (era, { configFile, upstream }) =>
      stdioWire('--config', configFile, '--upstream', upstream)(KIND_OF[era]),
  },
  {
    name: 'stdio, as a relay',
    eras: BOTH_ERAS,
    isPrivate: true,
    isRelay: true,
    transport: (era, { url, path }) => stdioWire('--connect', url + path)(KIND_OF[era]),
  },
];
