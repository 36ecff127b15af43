/** Makes what callers show and what a configuration holds of it. */
export { createApiKey, type NewApiKey } from './auth-api-key/index.js';
export { hashPassword } from './auth-basic/password.js';
