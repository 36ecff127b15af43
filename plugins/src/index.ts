/** The plugins that come with Sluice, by name. They are built on the public interface of `@sluice/sdk` alone. */
import type { Plugin } from '@sluice/sdk';
import anonymous from './anonymous/index.js';
import authApiKey from './auth-api-key/index.js';
import authBasic from './auth-basic/index.js';
import authJwt from './auth-jwt/index.js';
import authOauth from './auth-oauth/index.js';
import authorize from './authorize/index.js';
import cors from './cors/index.js';
import loginLimit from './login-limit/index.js';
import ratelimit from './ratelimit/index.js';
import requestLimit from './request-limit/index.js';
import securityHeaders from './security-headers/index.js';
import transform from './transform/index.js';

export { createApiKey, type NewApiKey } from './auth-api-key/index.js';
export { hashPassword } from './auth-basic/password.js';

export const BUILT_IN: ReadonlyMap<string, Plugin> = new Map(
  [
    anonymous,
    authApiKey,
    authBasic,
    authJwt,
    authOauth,
    authorize,
    cors,
    loginLimit,
    ratelimit,
    requestLimit,
    securityHeaders,
    transform,
  ].map((plugin) => [plugin.name, plugin]),
);
