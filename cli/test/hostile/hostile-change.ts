/** One change of a valid configuration that somebody might send: the same for the same seed. */
import { fromJson } from '@bufbuild/protobuf';
import { type KeyText, keyOf, keyText, type Resource, ResourceSchema } from '@sluice/proto/cluster';
import { Random } from '../fuzz/random.js';
import { validSet } from './base.js';
import { mutated } from './mutate.js';

export interface HostileChange {
  readonly there: readonly Resource[];
  readonly changed: readonly Resource[];
  readonly removed: readonly KeyText[];
}

/** Seeds next to each other shall not make sets like each other. */
const SEED_STEP = 7_919;

export function hostileChange(seed: number): HostileChange {
  const random = new Random(seed * SEED_STEP);
  const there = validSet(random).map((json) => fromJson(ResourceSchema, json));
  const more = validSet(random).map((json) => fromJson(ResourceSchema, json));
  const known = new Set(there.map(keyTextOf));
  // What is new may be right, wrong, or lack what it needs.
  const fresh = more.filter((each) => !known.has(keyTextOf(each)) && !random.oneIn(8));
  const changed = random.oneIn(2) ? [...fresh] : [];
  for (let count = random.below(4); count > 0; count--) {
    const pool = [...there, ...changed];
    if (pool.length === 0) break;
    const from = random.of(pool);
    const another = mutated(random.oneIn(3) ? (mutated(from, random) ?? from) : from, random);
    if (another === undefined) continue;
    const at = changed.indexOf(from);
    // Beside the right one it is a second of its name.
    if (at >= 0 && !random.oneIn(4)) changed[at] = another;
    else changed.push(another);
  }
  const removed: KeyText[] = [];
  while (there.length > 0 && random.oneIn(4)) removed.push(keyTextOf(random.of(there)));
  if (random.oneIn(20)) removed.push(random.of(['upstream//nobody', 'x', '//', '__proto__//a']));
  const changedKeys = new Set(changed.map(keyTextOf));
  return { there, changed, removed: removed.filter((key) => !changedKeys.has(key)) };
}

function keyTextOf(resource: Resource): KeyText {
  const key = keyOf(resource);
  return key === undefined ? '' : keyText(key);
}
