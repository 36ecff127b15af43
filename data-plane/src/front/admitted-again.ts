/** Connections and streams go on while other plugins come to stand in front of their endpoint, for those whom these know. */
import { isDeepStrictEqual } from 'node:util';
import { Refusal } from '@sluice/sdk/engine';
import type { Admission } from '../exchange/exchange.js';
import type { Endpoint } from './endpoint.js';

/**
 * What the plugins that stand there now find out about whoever came in before them. Undefined when that is not the
 * same caller any more, or when nobody was asked then who calls.
 */
export async function admittedAgain(
  { route }: Endpoint,
  admission: Admission | undefined,
): Promise<Admission | undefined> {
  if (admission === undefined || route === undefined) return admission;
  const { arrival } = admission;
  const admitted = await route.admit(arrival);
  const isSame = !(admitted instanceof Refusal) && admitted.identity.id === admission.admitted.identity.id;
  return isSame ? { route, arrival, admitted } : undefined;
}

/** True when nothing that could have been decided about the caller has changed. */
export function isUnchanged(before: Admission | undefined, after: Admission): boolean {
  return isDeepStrictEqual(before?.admitted.identity, after.admitted.identity);
}
