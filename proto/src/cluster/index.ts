/** What a cluster stores, delivers and counts, and how its messages are made and travel. */
export { create, fromBinary, toBinary } from '@bufbuild/protobuf';
export { timestampFromMs } from '@bufbuild/protobuf/wkt';
export * from '../gen/sluice/config/v1/place_pb.js';
export * from '../gen/sluice/config/v1/resource_pb.js';
export * from '../gen/sluice/delivery/v1/delivery_pb.js';
export * from '../gen/sluice/fleet/v1/fleet_pb.js';
export * from '../gen/sluice/rollout/v1/rollout_pb.js';
export * from '../gen/sluice/store/v1/revision_pb.js';
export { digestBytes } from './digest.js';
export { type FieldViolation, fieldViolations } from './field-rules.js';
export {
  type KeyText,
  KIND_WORDS,
  keyName,
  keyNameOf,
  keyOf,
  keyText,
  kindOfWord,
  kindWord,
  parseKeyText,
  parseOwnedName,
} from './key.js';
export {
  type Entry,
  entryOf,
  entryOfBytes,
  ResourceState,
  type StateChange,
  UnknownResourceError,
} from './state.js';
export { mayRefer, withTexts } from './texts.js';
export { sees, type View, viewId } from './view.js';
