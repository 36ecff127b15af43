/** All microbenchmarks of plugins, and how one is run. */
import { definePlugin, Type } from '@sluice/sdk';
import { bench as anonymous } from './anonymous/bench.js';
import { bench as audit } from './audit/bench.js';
import { bench as authApiKey } from './auth-api-key/bench.js';
import { bench as authBasic } from './auth-basic/bench.js';
import { bench as authJwt } from './auth-jwt/bench.js';
import { bench as authOauth } from './auth-oauth/bench.js';
import { bench as authorize } from './authorize/bench.js';
import type { PluginBench } from './bench-case.js';
import { bench as cache } from './cache/bench.js';
import { bench as cors } from './cors/bench.js';
import { bench as guard } from './guard/bench.js';
import { bench as loginLimit } from './login-limit/bench.js';
import { bench as pin } from './pin/bench.js';
import { bench as policy } from './policy/bench.js';
import { bench as ratelimit } from './ratelimit/bench.js';
import { bench as requestLimit } from './request-limit/bench.js';
import { bench as securityHeaders } from './security-headers/bench.js';
import { bench as transform } from './transform/bench.js';
import { bench as validate } from './validate/bench.js';

export type { BenchCase, PluginBench } from './bench-case.js';
export { benchSubject, type Subject } from './bench-subject.js';

/** What a place in the chain costs by itself. */
const emptyLayer: PluginBench = {
  plugin: definePlugin({
    name: 'empty',
    version: '1.0.0',
    description: 'Hands everything on as it came.',
    phase: 'shape',
    config: Type.Object({}),
    reads: [],
    changes: [],
    hooks: () => ({ exchange: (_ctx, next) => next() }),
  }),
  cases: [{ name: 'a layer', stage: 'call', isAsExpected: ({ outcome }) => outcome?.errorCode === 0 }],
};

export const BENCHES: readonly PluginBench[] = [
  emptyLayer,
  anonymous,
  audit,
  authApiKey,
  authBasic,
  authJwt,
  authOauth,
  authorize,
  cache,
  cors,
  guard,
  loginLimit,
  pin,
  policy,
  ratelimit,
  requestLimit,
  securityHeaders,
  transform,
  validate,
];
