/** States and changes of the configuration, as the services need them. */
import { keyOf, type Resource, type ResourceKey, type ResourceState } from '@sluice/proto/cluster';
import type { ConfigurationHead } from '../../revisions/head.js';
import { AdminError } from '../admin-error.js';

/**
 * What held at a revision; 0 for now. Read it in one go.
 *
 * @throws AdminError when there was none, or it is forgotten
 */
export function stateAt(head: ConfigurationHead, revision: number): ResourceState {
  if (revision === 0) return head.state;
  try {
    return head.stateAt(revision);
  } catch (thrown) {
    if (thrown instanceof RangeError) throw new AdminError('REVISION_UNKNOWN', thrown.message);
    throw thrown;
  }
}

export function knownKey(resource: Resource): ResourceKey {
  // A state holds only what has a key.
  return keyOf(resource) as ResourceKey;
}

/** Kind, tenant and name, so that texts are in the order of lists. */
export function sortText({ kind, tenant, name }: ResourceKey): string {
  return `${String.fromCharCode(64 + kind)}\0${tenant}\0${name}`;
}
