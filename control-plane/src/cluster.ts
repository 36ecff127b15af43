/** What a replica of the control plane is started with. A gateway of one process loads none of it. */

export type { AccessOptions } from './admin/index.js';
export {
  type ControlPlane,
  type ControlPlaneOptions,
  type RenewedAccess,
  startControlPlane,
} from './control-plane.js';
export type { NatsOptions } from './delivery/nats-bus.js';
export type { NodeGrant } from './delivery/node-access.js';
export type { StoreOptions } from './store/open-store.js';
export { StoreDamagedError } from './store/revision-log.js';
export { newToken, readAdminAccess, readNodeGrants, TokenFileError } from './token-files.js';
