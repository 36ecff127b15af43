/** What the transports can do, so that nobody else has to know them by name. */
import type { ResolvedTransport } from '@sluice/proto';

export interface TransportTraits {
  /** Each message comes on the stream of the request that it belongs to, if it belongs to one. */
  readonly hasOwnStreams: boolean;
  /** A modern request is mirrored in headers (2026-07-28, streamable HTTP, "Standard Headers"). */
  readonly mirrorsHeaders: boolean;
  /** A legacy client can have a connection of its own. */
  readonly canHaveOwnSessions: boolean;
  /** One connection serves all workers, because the other end cannot be had twice. */
  readonly sharedAcrossWorkers: boolean;
  /** And it serves all nodes. */
  readonly sharedAcrossNodes: boolean;
}

/** @param transport as it is configured */
export function traitsOf(transport: ResolvedTransport): TransportTraits {
  switch (transport.kind) {
    case 'http':
      return {
        hasOwnStreams: true,
        mirrorsHeaders: true,
        canHaveOwnSessions: true,
        sharedAcrossWorkers: false,
        sharedAcrossNodes: false,
      };
    case 'sse':
    case 'websocket':
      return {
        hasOwnStreams: false,
        mirrorsHeaders: false,
        // The only connection that there may be is shared.
        canHaveOwnSessions: transport.kind === 'sse' || transport.maxConnectionCount > 1,
        sharedAcrossWorkers: false,
        sharedAcrossNodes: false,
      };
    case 'stdio':
      return {
        hasOwnStreams: false,
        mirrorsHeaders: false,
        canHaveOwnSessions: transport.sharing === 'per_session',
        sharedAcrossWorkers: true,
        sharedAcrossNodes: transport.sharing === 'cluster',
      };
  }
}
