/** What the author of a plugin imports. */
export { type Static, Type } from '@sinclair/typebox';
export type { Answered, Ask, Question } from './asking.js';
export type { Attribute, Attributes, View } from './attributes.js';
export type { BucketAllowance, PluginBuckets, Portion } from './buckets.js';
export { Secret, TargetPattern } from './configuration.js';
export { Duration, durationMs } from './duration.js';
export type { Changes, Target, TargetKind, Transport } from './exchange.js';
export { RequestFailure } from './failures.js';
export { frozen } from './frozen.js';
export { ANONYMOUS, type Identity, type Json, type JsonObject } from './identity.js';
export { Outcome, type OutcomeError, type OutcomeKind } from './outcome.js';
export { PHASES, type Phase } from './phases.js';
export {
  type Change,
  type Clock,
  type ConfigProblem,
  type Decision,
  definePlugin,
  type FetchAnswer,
  type FetchOptions,
  type HeadControl,
  type Hooks,
  INTERFACE_VERSION,
  type InputRequest,
  type Isolation,
  type ListEntry,
  type MaybePromise,
  type Notification,
  type PageAnswer,
  type PageRequest,
  type Plugin,
  type PluginDeclaration,
  type PluginHost,
  type PluginLog,
  type PluginMetrics,
  type PluginRecords,
  type PluginStore,
  type UpstreamChange,
} from './plugin.js';
export { type Fields, Refusal, RefusalKind } from './refusal.js';
export type { Remark, Remarked } from './remarks.js';
export { Size, sizeBytes } from './size.js';
