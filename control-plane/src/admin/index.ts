/** The admin API: gRPC and REST at one address, from the same definitions. */
import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { PluginDescription } from '@sluice/proto/admin';
import type { FleetView } from '../fleet/fleet-view.js';
import type { ConfigurationHead } from '../revisions/head.js';
import type { Compile } from '../validation/resources.js';
import { type Access, type AccessOptions, createAccess } from './access/access.js';
import type { AdminError } from './admin-error.js';
import { type GrpcServer, grpcServer } from './grpc/grpc-server.js';
import { type AdminTls, renewTls, sharedServer } from './listener.js';
import { REASONS } from './reasons.js';
import { REST_LIMITS, refuseBytes, restListener } from './rest/rest-server.js';
import type { RolloutControl } from './services/rollouts.js';
import { boundServices } from './services/services.js';

export type { AccessOptions } from './access/access.js';
export type { AdminTls } from './listener.js';

export interface AdminApiOptions {
  readonly head: ConfigurationHead;
  readonly fleet: FleetView;
  readonly rollouts: RolloutControl;
  /** Absent: what would hold is not compiled before it is stored. */
  readonly compile?: Compile | undefined;
  /** The plugins that come with the gateway, by name. */
  readonly catalogue: readonly PluginDescription[];
  readonly access: AccessOptions;
  readonly listen: AdminListen;
  /** A call failed by no fault of the caller. The cause may say more than the caller was told. */
  readonly onFailure: (error: AdminError) => void;
}

export interface AdminListen {
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** 0: any that is free. */
  readonly port: number;
  /** Needed for an address that is not loopback. */
  readonly tls?: AdminTls | undefined;
  /** Tokens and secrets may cross the network in the clear. */
  readonly insecure?: boolean | undefined;
}

export interface AdminApi {
  readonly host: string;
  readonly port: number;
  /**
   * Takes others for callers from now on, and shows another certificate to those who connect.
   *
   * @throws TypeError for options that contradict themselves; Error for a certificate that cannot be used
   */
  renew(access: AccessOptions, tls: AdminTls | undefined): void;
  /** Takes no new calls, gives those under way so long, and ends. */
  close(graceMs: number): Promise<void>;
}

const LOOPBACK = /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1)$/;
const SERVER_FAULT = 500;

/** @throws TypeError for options that contradict themselves; what `listen` fails with */
export async function startAdminApi(options: AdminApiOptions): Promise<AdminApi> {
  const { access: accessOptions, listen, onFailure } = options;
  const { host = '127.0.0.1', port, tls } = listen;
  refuseUnsafe(host, listen, accessOptions);
  let current = createAccess(accessOptions);
  const access: Access = { authenticate: (credentials) => current.authenticate(credentials) };
  const methods = boundServices(options);
  const tell = (error: AdminError) => {
    if (REASONS[error.reason].httpStatus >= SERVER_FAULT) onFailure(error);
  };
  const grpc = grpcServer(methods, access, tell);
  const server = sharedServer(
    REST_LIMITS,
    restListener(methods, access, tell),
    (socket) => grpc.injector.injectConnection(socket),
    tls,
  );
  server.on('clientError', refuseBytes);
  const close = ending(server, grpc);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const renew: AdminApi['renew'] = (nextAccess, nextTls) => {
    refuseUnsafe(host, { ...listen, tls: nextTls }, nextAccess);
    const next = createAccess(nextAccess);
    if (nextTls !== undefined) renewTls(server, nextTls);
    current = next;
  };
  return { host, port: (server.address() as AddressInfo).port, renew, close };
}

/** Follows what is open on a server, and makes the function that ends it. */
function ending(server: Server, grpc: GrpcServer): AdminApi['close'] {
  const open = trackedSockets(server);
  let isClosing = false;
  server.on('request', (_, response) => {
    // A connection whose last call has ended would wait for another one.
    response.on('close', () => isClosing && setImmediate(() => server.closeIdleConnections()));
  });
  return async (graceMs) => {
    isClosing = true;
    const ended = new Promise((resolve) => server.close(resolve));
    grpc.injector.drain(graceMs);
    const late = setTimeout(() => {
      for (const socket of open) socket.destroy();
    }, graceMs);
    await ended;
    clearTimeout(late);
    grpc.close();
  };
}

function refuseUnsafe(host: string, { tls, insecure = false }: AdminListen, access: AccessOptions): void {
  if (tls === undefined && !insecure && !LOOPBACK.test(host))
    throw new TypeError(`the admin API at ${host} needs TLS: tokens would cross the network in the clear`);
  if ((access.certificates ?? []).length > 0 && tls?.ca === undefined)
    throw new TypeError('client certificates need TLS and the certificate of their authority');
}

/** All connections, those of HTTP/2 too. */
function trackedSockets(server: Server): ReadonlySet<Socket> {
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return open;
}
