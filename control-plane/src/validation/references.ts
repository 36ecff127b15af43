/** References that a change would leave without what they refer to. */
import type { KeyText, ResourceState, StateChange } from '@sluice/proto/cluster';
import type { Problem } from './problem.js';
import type { ResourceIndex } from './resource-index.js';
import { keyWords, linksOf, type Thing, wordsOf } from './resource-links.js';

/** Told of a thing that is gone; the others refer to it too. */
const MAX_TOLD_COUNT = 20;

/** Of resources that are not changed themselves: those are looked at as a whole. */
export function* danglingLinks(
  before: ResourceState,
  { changed, removed }: StateChange,
  index: ResourceIndex,
): Generator<readonly [KeyText, readonly Problem[]]> {
  const touched = new Set([...removed, ...changed.map(({ key }) => key)]);
  for (const key of touched) {
    const entry = before.get(key);
    if (entry === undefined) continue;
    for (const thing of linksOf(entry).gives) {
      if (index.has(thing)) continue;
      yield* danglingFrom(thing, key, touched, index);
    }
  }
}

function* danglingFrom(
  thing: Thing,
  owner: KeyText,
  touched: ReadonlySet<KeyText>,
  index: ResourceIndex,
): Generator<readonly [KeyText, readonly Problem[]]> {
  let toldCount = 0;
  for (const key of index.referrersOf(thing)) {
    if (touched.has(key)) continue;
    const links = index.linksOf(key)?.refersTo ?? [];
    const lost = links.find(
      ({ toOneOf }) => toOneOf.includes(thing) && !toOneOf.some((each) => index.has(each)),
    );
    if (lost === undefined) continue;
    if (++toldCount > MAX_TOLD_COUNT) return;
    const message = `there would be no ${wordsOf(thing)} any more: this changes or removes the ${keyWords(owner)}`;
    const hint = `change or remove this reference in the same step, or keep the ${keyWords(owner)}`;
    yield [key, [{ severity: 'error', path: lost.field, message, hint }]];
  }
}
