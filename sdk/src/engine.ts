/**
 * What runs plugins: the data plane, and the harness of `@sluice/sdk/testing`. Authors of plugins do not need it. It
 * loads no schema library: a gateway without plugins has no use for one.
 */
export {
  type Answered,
  type AskFor,
  answerTo,
  elicitationOf,
  isQuestion,
  type Question,
  questionDigest,
  questionOutcome,
  unaskable,
} from './asking.js';
export { INLINE_ATTRIBUTES, isEarlyAttribute } from './attributes.js';
export { Binding, type BindingOptions } from './binding.js';
export { MemoryBuckets, takePortion } from './buckets.js';
export { type Allowed, after, type Handler, type Known } from './chain.js';
export { Admitted, type Arrival, type Call, type Client, Exchange } from './exchange.js';
export type { FailureEvents } from './failures.js';
export { frozen } from './frozen.js';
export { ANONYMOUS } from './identity.js';
export { entryTargets } from './lists.js';
export { Outcome } from './outcome.js';
export { Refusal } from './refusal.js';
export { THE_GATEWAY } from './remarks.js';
export { compileRoute, type Route } from './route.js';
export { declaredOf } from './view.js';
