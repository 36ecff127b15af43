/** Who comes in at the endpoints of a tenant. */
import { frozen } from './frozen.js';
import type { Identity } from './identity.js';
import { Refusal } from './refusal.js';

/**
 * What is made of an answer of `identify` at an endpoint of a tenant. A plugin of the tenant itself says who calls, and
 * whoever that is is one of the tenant's, told apart from all others; what it writes into identities counts nowhere
 * else. To a plugin of the operator's only those are known there who belong to the tenant; for others it is as if the
 * plugin did not know them, and the next one is asked.
 */
export function identitiesAt(
  tenant: string,
  isOwnPlugin: boolean,
): (said: Identity | Refusal | undefined) => Identity | Refusal | undefined {
  if (!isOwnPlugin)
    return (said) =>
      said === undefined || said instanceof Refusal || said.tenant === tenant ? said : undefined;
  // A plugin that remembers callers gives the same object each time.
  const known = new WeakMap<Identity, Identity>();
  return (said) => {
    if (said === undefined || said instanceof Refusal) return said;
    let own = known.get(said);
    if (own === undefined) {
      own = frozen({ ...said, tenant, id: `${JSON.stringify(tenant)}/${said.id}` });
      known.set(said, own);
    }
    return own;
  };
}
