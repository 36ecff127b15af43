/** Checks of callers that stand nowhere any more after a change: nothing is wrong with that, and it is seldom meant. */
import { builtIn } from '@sluice/plugins';
import type { Entry, KeyText, Resource, ResourceState, StateChange } from '@sluice/proto/cluster';
import type { Problem } from './problem.js';
import type { ResourceIndex } from './resource-index.js';
import { pathThing } from './resource-links.js';

type Check = 'who calls' | 'what they may';

/** Where something stands; empty for everywhere. */
interface Place {
  readonly region: string;
  readonly endpoint: string;
}

interface Standing {
  readonly key: KeyText;
  readonly check: Check;
  readonly tenant: string;
  readonly regions: readonly string[];
  readonly endpoints: readonly string[];
}

const WORDS = {
  'who calls': {
    lost: 'nobody is asked who they are',
    hint: 'keep a plugin that knows callers (auth-…) in the same step, unless everybody may come in',
  },
  'what they may': {
    lost: 'no rule decides what callers may do',
    hint: 'keep `authorize`, `policy` or a policy in the same step, unless callers may do everything',
  },
} as const;

const DECIDING: readonly string[] = ['authorize', 'policy'];

/** A warning at what stood somewhere as the last of its kind, and does not after the change. */
export function* lostChecks(
  before: ResourceState,
  after: ResourceState,
  { changed, removed }: StateChange,
  index: ResourceIndex,
): Generator<readonly [KeyText, readonly Problem[]]> {
  const touched = [...removed, ...changed.map(({ key }) => key)];
  const earlier = touched.flatMap((key) => standing(before.get(key)));
  if (earlier.length === 0) return;
  const now = [...after.entries()].flatMap(standing);
  const told = new Set<string>();
  for (const each of earlier) {
    const lost = placesOf(each).filter(
      (place) => isServed(place, index) && !now.some((other) => covers(other, each, place)),
    );
    const words = lost.map((place) => placeWords(place, each.tenant));
    const fresh = words.filter((place) => !told.has(`${each.check} ${place}`));
    for (const place of fresh) told.add(`${each.check} ${place}`);
    if (fresh.length === 0) continue;
    const { lost: what, hint } = WORDS[each.check];
    yield [
      each.key,
      [{ severity: 'warning', path: '', message: `${what} ${fresh.join(', ')} any more`, hint }],
    ];
  }
}

function standing(entry: Entry | undefined): Standing[] {
  if (entry === undefined) return [];
  const { key, resource } = entry;
  const { tenant, regions, spec } = resource;
  const check = checkOf(spec);
  if (check === undefined || (spec.case !== 'plugin' && spec.case !== 'policy')) return [];
  return [{ key, check, tenant, regions, endpoints: spec.value.endpoints }];
}

function checkOf(spec: Resource['spec']): Check | undefined {
  if (spec.case === 'policy') return 'what they may';
  if (spec.case !== 'plugin' || spec.value.disabled) return undefined;
  const { plugin } = spec.value;
  if (DECIDING.includes(plugin)) return 'what they may';
  return plugin !== 'anonymous' && builtIn(plugin)?.phase === 'identity' ? 'who calls' : undefined;
}

function placesOf({ regions, endpoints }: Standing): Place[] {
  const everywhere = (names: readonly string[]) => (names.length === 0 ? [''] : names);
  return everywhere(regions).flatMap((region) =>
    everywhere(endpoints).map((endpoint) => ({ region, endpoint })),
  );
}

function isServed({ endpoint }: Place, index: ResourceIndex): boolean {
  return endpoint === '' || endpoint === '/mcp' || index.has(pathThing(endpoint));
}

/** What is the operator's stands in front of the endpoints of tenants too. */
function covers(by: Standing, { check, tenant }: Standing, { region, endpoint }: Place): boolean {
  return (
    by.check === check &&
    (by.tenant === '' || by.tenant === tenant) &&
    (by.regions.length === 0 || by.regions.includes(region)) &&
    (by.endpoints.length === 0 || by.endpoints.includes(endpoint))
  );
}

function placeWords({ region, endpoint }: Place, tenant: string): string {
  const everywhere = tenant === '' ? 'at all endpoints' : `at all endpoints of ${tenant}`;
  return `${endpoint === '' ? everywhere : `at ${endpoint}`}${region === '' ? '' : ` in ${region}`}`;
}
