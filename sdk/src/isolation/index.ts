/** What runs plugins elsewhere than on the thread of the request. Authors of plugins do not need it. */
export type {
  FromPlugin,
  IsolableHook,
  LoadedFacts,
  LoadOrder,
  RunAnswer,
  RunOrder,
  ToPlugin,
} from './messages.js';
export { isPlugin, messageOf, PluginSide } from './plugin-side.js';
export {
  readChanges,
  readDecision,
  readEntries,
  readFacts,
  readIdentity,
  readNothing,
  readOutcome,
  readPage,
  readRemarks,
  type WireOutcome,
  wireOutcome,
} from './wire.js';
