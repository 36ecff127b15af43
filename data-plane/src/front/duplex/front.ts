/**
 * The front for connections that carry messages both ways to one client, in whatever eras it speaks. It does not
 * know which transport carries them.
 */
import type { RequestHeaders } from '../../exchange/exchange.js';
import type { ClientConnection } from '../client-connection.js';
import type { Endpoint } from '../endpoint.js';
import type { SessionRoom } from '../session-room.js';
import { type ClientHost, ConnectedClient } from './client.js';
import type { Beginning, DuplexClient, DuplexConnection } from './connection.js';
import type { DuplexTraffic } from './traffic.js';

export interface DuplexFrontOptions {
  /** Where legacy sessions have their places. */
  readonly room: SessionRoom;
  readonly traffic: DuplexTraffic;
  /** Longest message, in bytes. */
  readonly maxMessageBytes: () => number;
  /** Hands a request over to another worker, as a POST; false when nobody is there. */
  readonly forward: ClientHost['forward'];
  readonly onSessionEnd: (reason: string) => void;
  /** An exception that nobody expected: it cost a message. */
  readonly onFault: (thrown: unknown) => void;
}

export class DuplexFront implements ClientHost {
  readonly room: SessionRoom;
  readonly traffic: DuplexTraffic;
  readonly forward: ClientHost['forward'];
  private readonly clients = new Set<ConnectedClient>();

  constructor(private readonly options: DuplexFrontOptions) {
    this.room = options.room;
    this.traffic = options.traffic;
    this.forward = options.forward;
  }

  /** Takes a connection, whose messages all are of whoever began it. */
  open(endpoint: Endpoint, connection: DuplexConnection, beginning: Beginning): DuplexClient {
    const client = new ConnectedClient(this, endpoint, connection, {
      ...beginning,
      headers: ownHeaders(beginning.headers),
    });
    this.clients.add(client);
    return client;
  }

  get connections(): Iterable<ClientConnection> {
    return this.clients;
  }

  /** Ends the connections of an endpoint that is not there any more; requests under way end as they began. */
  closeEndpoint(endpoint: Endpoint, reason: string): void {
    for (const client of [...this.clients]) if (client.endpoint === endpoint) client.retire(reason);
  }

  /** Other plugins stand in front of an endpoint: whoever speaks there is looked at anew. */
  rerouted(endpoint: Endpoint): void {
    for (const client of [...this.clients]) {
      if (client.endpoint !== endpoint) continue;
      client.rerouted().catch((thrown: unknown) => {
        this.onFault(thrown);
        client.end('it could not be found out who calls');
      });
    }
  }

  /** Ends every connection when its requests have ended; subscriptions end at once. */
  drain(reason: string): void {
    for (const client of [...this.clients]) client.retire(reason);
  }

  close(reason: string): void {
    for (const client of [...this.clients]) client.end(reason);
  }

  maxMessageBytes(): number {
    return this.options.maxMessageBytes();
  }

  onSessionEnd(reason: string): void {
    this.options.onSessionEnd(reason);
  }

  onFault(thrown: unknown): void {
    this.options.onFault(thrown);
  }

  left(client: ConnectedClient): void {
    this.clients.delete(client);
  }
}

/** What a connection began with speaks for none of its messages: `Mcp-*` would name what one of them is about. */
function ownHeaders(headers: RequestHeaders): RequestHeaders {
  const own: Record<string, string | undefined> = Object.create(null);
  for (const name in headers) if (!name.startsWith('mcp-')) own[name] = headers[name];
  return own;
}
