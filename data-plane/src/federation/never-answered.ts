/** Whose a name would be that nobody is known to have: of an upstream that has never said what it has. */
import type { Located } from '../chain/routed-endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { exposeName, type NameShape } from '../routing/names.js';
import type { Selection } from '../routing/selection.js';
import type { Known } from './discovery.js';

const NO_RENAMES: ReadonlyMap<string, string> = new Map();

/** The call cannot be sent, and is no mistake of the caller's. */
export class NeverAnswered extends RpcError {
  constructor(readonly located: Located) {
    super(
      ErrorCode.UpstreamUnavailable,
      `upstream ${JSON.stringify(located.upstream)} has not answered so far, so that nobody knows what it has; the request was not sent`,
    );
  }
}

/**
 * @param members the upstreams behind the endpoint
 * @param exposed a name that the endpoint does not know
 * @returns undefined when it would be nobody's of those who have never answered
 */
export function neverAnswered(
  members: readonly Known[],
  list: 'tools' | 'prompts',
  exposed: string,
  selection: Selection,
  naming: NameShape,
): NeverAnswered | undefined {
  for (const { upstream, offer, hasAnswered } of members) {
    if (hasAnswered) continue;
    const renames = selection.of(offer).renames?.[list] ?? NO_RENAMES;
    for (const [name, rename] of renames)
      if (rename === exposed) return new NeverAnswered({ upstream: upstream.name, name });
    const prefix = upstream.name + naming.separator;
    if (!exposed.startsWith(prefix)) continue;
    const name = exposed.slice(prefix.length);
    // What was given a name goes by that one alone.
    const isTaken = !renames.has(name) && selection.of({ ...offer, [list]: [{ name }] })[list].length > 0;
    if (isTaken && exposeName(upstream.name, name, naming) === exposed)
      return new NeverAnswered({ upstream: upstream.name, name });
  }
  return undefined;
}
