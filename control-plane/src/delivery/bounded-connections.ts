/** How many connections a server of grpc-js may have, which has no setting for that. */
import type { Server as NetServer } from 'node:net';
import type { Server } from '@grpc/grpc-js';

/**
 * One more is closed before anything is read of it. Call it when the server listens.
 *
 * @throws Error when the library has changed, so that nobody believes in a limit that is none
 */
export function boundConnections(server: Server, maxConnectionsCount: number): void {
  const { http2Servers } = server as unknown as { http2Servers?: ReadonlyMap<NetServer, unknown> };
  const listening = [...(http2Servers?.keys() ?? [])];
  if (listening.length === 0) throw new Error('grpc-js does not say what it listens with');
  for (const each of listening) each.maxConnections = maxConnectionsCount;
}
