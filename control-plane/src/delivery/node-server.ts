/** The listener for nodes. */
import { experimental, logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { passOverClosedStreams } from '@sluice/proto/grpc';
import { boundConnections } from './bounded-connections.js';
import { type NodeTls, RenewedCertificate } from './renewed-certificate.js';
import type { Delivery } from './service.js';

/** What a node says is small. */
const MAX_REQUEST_BYTES = 1024 * 1024;
/** A connection that is cut without a word is noticed after these. */
const KEEPALIVE_INTERVAL_MS = 10_000;
const KEEPALIVE_TIMEOUT_MS = 5_000;
/** Calls at once on one connection: a node has a standing stream and pulls. */
const MAX_CONCURRENT_STREAMS_COUNT = 100;
/**
 * One for each node that a cluster may have, and room for those that come again before the old one has gone. What nobody
 * has said anything on counts too: else strangers could take all that the process may open.
 */
const MAX_CONNECTIONS_COUNT = 12_000;
/** For streams to be told that they end. */
const CLOSE_TIMEOUT_MS = 1_000;

export interface NodeListen {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly tls?: NodeTls | undefined;
}

export interface NodeServer {
  /** `host:port`, with the port that was chosen. */
  readonly address: string;
  /** Shows another certificate to those who come from now on, and asks for those of another authority. */
  renew(tls: NodeTls): void;
  close(): Promise<void>;
}

/** @throws Error with the address and the reason when it cannot be listened on */
export async function serveNodes(delivery: Delivery, { host, port, tls }: NodeListen): Promise<NodeServer> {
  // What it would write to stderr comes as an error, and is logged as everything else. The variable is for debugging.
  if (process.env.GRPC_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.max_concurrent_streams': MAX_CONCURRENT_STREAMS_COUNT,
  });
  passOverClosedStreams(server);
  server.addService(delivery.definition, delivery.implementation);
  const certificate = tls === undefined ? undefined : new RenewedCertificate(tls);
  const urlHost = host.includes(':') ? `[${host}]` : host;
  const chosen = await new Promise<number>((resolve, reject) => {
    const at = `${urlHost}:${port}`;
    server.bindAsync(at, credentials(certificate, tls), (error, bound) => {
      if (error)
        reject(new Error(`cannot listen for nodes on ${at}: ${bindReason(error)}`, { cause: error }));
      else resolve(bound);
    });
  });
  boundConnections(server, MAX_CONNECTIONS_COUNT);
  return {
    address: `${urlHost}:${chosen}`,
    renew: (next) => certificate?.renew(next),
    async close() {
      delivery.close();
      const timer = setTimeout(() => server.forceShutdown(), CLOSE_TIMEOUT_MS);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(timer);
    },
  };
}

/** The reasons in `No address added out of total 1 resolved errors: […]`, as grpc-js has them. */
function bindReason({ message }: Error): string {
  return /errors: \[(.*)\]$/s.exec(message)?.[1] ?? message;
}

/** Where there is an authority for clients, each has to show a certificate of it. */
function credentials(
  certificate: RenewedCertificate | undefined,
  tls: NodeTls | undefined,
): ServerCredentials {
  if (certificate === undefined) return ServerCredentials.createInsecure();
  const isNodeAsked = tls?.clientCa !== undefined;
  const { createCertificateProviderServerCredentials: provided } = experimental;
  // Its types have the two providers the wrong way around.
  return provided(certificate, isNodeAsked ? certificate : null, isNodeAsked);
}
