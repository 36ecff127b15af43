/** Where secrets and personal data stand in a text, however they are written there. */
import { CompiledTextPatterns, type TextPattern } from '../matching/text-patterns.js';
import { base64Runs } from './base64.js';
import { type Detector, NUMBERS, type Numbers } from './detectors.js';
import { viewsOf } from './views.js';

/** Something found, by its place in the text as it came. */
export interface Finding {
  readonly id: string;
  readonly start: number;
  readonly end: number;
  /** What is secret, without the way in which it was written. */
  readonly secret: string;
}

/** Base64 inside of base64: so often it is opened. */
const MAX_BASE64_DEPTH = 2;
/** How characters that have a meaning in expressions are written as themselves. */
const WORD = /[A-Za-z]/;
const SPECIAL = /[.*+?^${}()|[\]\\/-]/g;

export class Detection {
  private readonly words: RegExp | undefined;
  private readonly signs: readonly string[];
  private readonly byAnchor: ReadonlyMap<string, readonly Detector[]>;
  private readonly numbers: readonly Numbers[];
  private readonly own: CompiledTextPatterns | undefined;

  constructor(detectors: readonly Detector[], patterns: readonly TextPattern[]) {
    const byAnchor = new Map<string, Detector[]>();
    for (const detector of detectors) {
      for (const anchor of detector.anchors) {
        const others = byAnchor.get(anchor) ?? [];
        byAnchor.set(anchor, [...others, detector]);
      }
    }
    this.byAnchor = byAnchor;
    // Signs that are rare are looked for one by one, which takes next to nothing.
    this.signs = [...byAnchor.keys()].filter((each) => !WORD.test(each));
    // The longest first: `sk-ant-` is no `sk-`.
    const literals = [...byAnchor.keys()]
      .filter((each) => WORD.test(each))
      .sort((a, b) => b.length - a.length);
    this.words =
      literals.length === 0
        ? undefined
        : new RegExp(literals.map((each) => each.replace(SPECIAL, '\\$&')).join('|'), 'g');
    this.numbers = NUMBERS.filter(({ detector }) => detectors.includes(detector));
    this.own = patterns.length === 0 ? undefined : new CompiledTextPatterns(patterns);
  }

  /** All of it, by place; what lies in another is part of that. */
  find(text: string): readonly Finding[] {
    const all: Finding[] = [];
    this.collect(text, 0, all);
    return all.length < 2 ? all : merged(all);
  }

  private collect(text: string, depth: number, all: Finding[]): void {
    for (const view of viewsOf(text)) {
      this.inView(view.text, (id, start, end, secret) => {
        const place = view.origin(start, end);
        if (place.end > place.start) all.push({ id, ...place, secret });
      });
      if (depth === MAX_BASE64_DEPTH) continue;
      for (const run of base64Runs(view.text)) {
        const inside: Finding[] = [];
        this.collect(run.decoded, depth + 1, inside);
        const first = inside[0];
        if (first === undefined) continue;
        // Of what is written in base64 no part can be replaced, so all of it is.
        const secret = inside.length === 1 ? first.secret : run.decoded;
        all.push({ id: first.id, ...view.origin(run.start, run.end), secret });
      }
    }
  }

  /** Where to go on. */
  private atAnchor(anchor: string, text: string, place: number, found: Tell): number {
    let next = place + 1;
    for (const { id, at } of this.byAnchor.get(anchor) ?? []) {
      const own = at(text, place);
      if (own === undefined) continue;
      found(id, own.start, own.end, own.secret);
      next = Math.max(next, own.end);
    }
    return next;
  }

  private inView(text: string, found: Tell): void {
    const { words } = this;
    if (words !== undefined) {
      words.lastIndex = 0;
      for (let hit = words.exec(text); hit !== null; hit = words.exec(text))
        words.lastIndex = this.atAnchor(hit[0], text, hit.index, found);
    }
    for (const sign of this.signs) {
      for (let place = text.indexOf(sign); place !== -1; )
        place = text.indexOf(sign, this.atAnchor(sign, text, place, found));
    }
    for (const { detector, begins } of this.numbers) {
      begins.lastIndex = 0;
      for (let hit = begins.exec(text); hit !== null; hit = begins.exec(text)) {
        const from = hit.index;
        const own = detector.at(text, from);
        if (own !== undefined) found(detector.id, own.start, own.end, own.secret);
        begins.lastIndex = own?.end ?? from + 1;
      }
    }
    for (const { id, start, end } of this.own?.scan(text) ?? [])
      found(id, start, end, text.slice(start, end));
  }
}

/** How it is told what was found in a reading of a text. */
type Tell = (id: string, start: number, end: number, secret: string) => void;

function merged(all: readonly Finding[]): readonly Finding[] {
  const sorted = [...all].sort((a, b) => a.start - b.start || b.end - a.end);
  const out: Finding[] = [];
  for (const each of sorted) {
    const last = out.at(-1);
    if (last === undefined || each.start >= last.end) out.push(each);
    else if (each.end > last.end)
      out[out.length - 1] = { ...last, end: each.end, secret: `${last.secret} ${each.secret}` };
  }
  return out;
}
