import type { RunningGateway } from '../gateway.js';
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
  /**
   * How the official client of this era moves its bytes; undefined leaves that to it (streamable HTTP).
   *
   * @param path `/mcp` or `/mcp/{upstream}`
   */
  transport(era: Era, gateway: RunningGateway, path: string): ConnectOptions['transport'];
}

/** The official client of an era. */
export const KIND_OF = { modern: 'SDK v2 2026-07-28', legacy: 'SDK v1' } as const;

export const FRONT_TRANSPORTS: readonly FrontTransport[] = [
  { name: 'streamable HTTP', eras: BOTH_ERAS, transport: () => undefined },
  { name: 'WebSocket', eras: BOTH_ERAS, transport: (_era, url) => overWebSocket(url) },
  {
    name: 'HTTP+SSE',
    // It is older than the modern era; a modern client has no use for it.
    eras: ['legacy'],
    transport: (era, { url }, path) => sseWire(url + path.replace('/mcp', '/sse'))(KIND_OF[era]),
  },
  {
    name: 'stdio',
    eras: BOTH_ERAS,
    transport: (era, { configFile }, path) => {
      const upstream = path.replace(/^\/mcp\//, '');
      return stdioWire('--config', configFile, '--upstream', upstream)(KIND_OF[era]);
    },
  },
  {
    name: 'stdio, as a relay',
    eras: BOTH_ERAS,
    transport: (era, { url }, path) => stdioWire('--connect', url + path)(KIND_OF[era]),
  },
];
