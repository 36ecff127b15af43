/**
 * Compiles what nodes would get by a change, with their own compiler, before it is a revision. What a node alone has,
 * its environment and its files, is taken to be there.
 */
import { type Compiled, CompileError, compileInSteps, type Lookup } from '@sluice/data-plane/compiler';
import {
  type Entry,
  type KeyText,
  keyText,
  type ResourceKey,
  type ResourceState,
  type StateChange,
  sees,
  type View,
} from '@sluice/proto/cluster';

/** The event loop is not held for longer at once: nodes ask meanwhile. */
const SLICE_MS = 2;

/** Configurations of regions from which the next one is compiled; what is compiled for more begins anew each time. */
const MAX_KEPT_COUNT = 16;

/** Long enough for whatever a node keeps secret. */
const PLACEHOLDER = '0123456789abcdef'.repeat(4);

const LOOKUP: Lookup = { variable: () => PLACEHOLDER, file: () => PLACEHOLDER };

/** Why nodes could not run it. */
export interface CompileProblem {
  /** Absent when it is no single one. */
  readonly resource?: ResourceKey;
  readonly field: string;
  readonly reason: string;
  readonly hint: string;
}

/** A check that begins with what it compiled last; one for each control plane. */
export function compileCheck(): (after: ResourceState) => Promise<readonly CompileProblem[]> {
  const kept = new Map<string, Compiled>();
  return async (after) => {
    const problems = new Map<string, CompileProblem>();
    for (const region of regionsIn(after)) {
      const before = kept.get(region);
      const change = changeSince(before, after, { region, tenants: undefined });
      if (before !== undefined && change.changed.length === 0 && change.removed.length === 0) continue;
      const result = await compiled(before, change);
      if ('reason' in result) {
        const problem = { ...result, reason: `${result.reason}${placeOf(region)}` };
        const known = `${result.resource && keyText(result.resource)} ${result.field} ${result.reason}`;
        if (!problems.has(known)) problems.set(known, problem);
      } else if (before !== undefined || kept.size < MAX_KEPT_COUNT) kept.set(region, result);
    }
    return [...problems.values()];
  };
}

/** Those that may see something else than others, and none, for nodes that were started without a region. */
function regionsIn(state: ResourceState): ReadonlySet<string> {
  const regions = new Set(['']);
  for (const { resource } of state.entries()) for (const region of resource.regions) regions.add(region);
  return regions;
}

function placeOf(region: string): string {
  return region === '' ? '' : ` (on nodes of the region ${region})`;
}

/** What a node that runs one configuration would have to change for another. */
function changeSince(before: Compiled | undefined, after: ResourceState, view: View): StateChange {
  const changed: Entry[] = [];
  for (const entry of after.entries())
    if (sees(view, entry.resource) && before?.parts.get(entry.key)?.entry !== entry) changed.push(entry);
  const removed: KeyText[] = [];
  for (const key of before?.parts.keys() ?? []) {
    const now = after.get(key);
    if (now === undefined || !sees(view, now.resource)) removed.push(key);
  }
  return { changed, removed };
}

async function compiled(
  before: Compiled | undefined,
  change: StateChange,
): Promise<Compiled | CompileProblem> {
  const steps = compileInSteps(before, change, { lookup: LOOKUP });
  let untilMs = performance.now() + SLICE_MS;
  try {
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      if (performance.now() < untilMs) continue;
      await new Promise(setImmediate);
      untilMs = performance.now() + SLICE_MS;
    }
  } catch (thrown) {
    if (!(thrown instanceof CompileError)) throw thrown;
    const { resource, field, reason } = thrown;
    return { ...(resource && { resource }), field, reason, hint: hintFor(reason) };
  }
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/^there is no secret/, 'add a `secret` of that name, of the same tenant and for the same regions'],
  [/variables of nodes are the operator/, 'add a `secret` that says where nodes find it, and refer to that'],
  [/^the secret .* says neither/, 'say `env` or `file` in the secret'],
  [/has the id/, 'give each upstream an id of its own'],
  [/is not of the tenant/, 'choose a path that begins so'],
  [/is served$/, 'choose another path'],
  [/does not begin a reference/, 'write $${ where no reference is meant'],
];

function hintFor(reason: string): string {
  return HINTS.find(([pattern]) => pattern.test(reason))?.[1] ?? 'change it, or what it contradicts';
}
