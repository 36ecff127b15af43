/** Resources that could be stored, and then not be read by everybody who has to. */
import { create } from '@bufbuild/protobuf';
import { type Finding, FindingSchema } from '@sluice/proto/admin';
import type { Resource } from '@sluice/proto/cluster';
import { knownKey } from './states.js';

/**
 * Levels of objects and lists in a resource. Readers of Protocol Buffers give up at 100 levels of messages, of which
 * each of these takes two, and what resources travel in takes some.
 */
const MAX_DEPTH_COUNT = 32;

/** Undefined for a resource that can be read. */
export function unreadableIn(resource: Resource): Finding | undefined {
  let level: readonly object[] = [resource];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH_COUNT)
      return create(FindingSchema, {
        resource: knownKey(resource),
        message: `has more than ${MAX_DEPTH_COUNT} levels of objects and lists inside one another`,
        hint: 'use fewer',
      });
    if (level.some((each) => '$unknown' in each && (each.$unknown as unknown[]).length > 0))
      return create(FindingSchema, {
        resource: knownKey(resource),
        message: 'has fields that this version of the control plane does not know',
        hint: 'upgrade the control plane first, or leave them out',
      });
    level = level.flatMap((each) => Object.values(each).filter(isInner));
  }
  return undefined;
}

function isInner(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
}
