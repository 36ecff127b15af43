/** What programs import that use the admin API of a cluster. */
export type { AdminTls } from './addresses.js';
export { type AdminClient, type AdminOptions, connectAdmin } from './client.js';
export { AdminCallError, type AdminErrorCode, type AdminErrorDetails, type FieldViolation } from './error.js';
export type { CallOptions } from './services.js';
