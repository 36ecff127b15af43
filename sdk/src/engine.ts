/** What runs plugins: the data plane, and the harness of `@sluice/sdk/testing`. Authors of plugins do not need it. */
export { Binding, type BindingOptions } from './binding.js';
export { type Allowed, after, type Handler, type Known } from './chain.js';
export { type CheckedConfig, checkConfig } from './configuration.js';
export { Admitted, type Arrival, type Call, Exchange } from './exchange.js';
export type { FailureEvents } from './failures.js';
export { frozen } from './frozen.js';
export { entryTargets } from './lists.js';
export { compileRoute, type Route } from './route.js';
