import { assignNames, type Naming } from './names.js';
import { nearestName } from './nearest.js';
import type { Offered } from './offer.js';
import type { Resolution } from './resolution.js';

/** The names of all tools, or of all prompts, at the merged endpoint. */
export interface NameTable {
  /** Every exposed name and what it stands for. */
  readonly exposed: ReadonlyMap<string, Offered>;
  /** An exposed name, else a bare name that one upstream has. */
  resolve(name: string): Resolution<Offered>;
}

export function buildNameTable(offered: readonly Offered[], naming: Naming): NameTable {
  const exposed = assignNames(offered, naming);
  const byBareName = new Map<string, string[]>();
  for (const [name, target] of exposed) {
    // It goes by its new name alone.
    if (target.rename !== undefined) continue;
    const names = byBareName.get(target.name);
    if (names) names.push(name);
    else byBareName.set(target.name, [name]);
  }
  return {
    exposed,
    resolve(name) {
      const exact = exposed.get(name);
      if (exact) return { kind: 'found', ...exact };
      const candidates = byBareName.get(name) ?? [];
      const [only, ...others] = candidates;
      if (only === undefined) return { kind: 'unknown', nearest: nearestName(name, spellings(exposed)) };
      if (others.length > 0) return { kind: 'ambiguous', candidates };
      return { kind: 'found', ...(exposed.get(only) as Offered) };
    },
  };
}

function* spellings(exposed: ReadonlyMap<string, Offered>) {
  for (const [name, target] of exposed) {
    yield { spelling: name, name };
    if (target.rename === undefined) yield { spelling: target.name, name };
  }
}
