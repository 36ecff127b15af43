/** What expressions have beside the functions of CEL, and what takes the place of some of those. */
import type { Environment } from '@marcbachmann/cel-js';
import { RE2JS, RE2JSException } from 're2js';
import type { LongTexts } from './long-texts.js';
import { isBelow, mayBeBelow } from './paths.js';
import { isWithin, scheduleProblem, wallClock, zoneProblem } from './schedule.js';

/** Longer texts are not held against a pattern here: RE2 takes 2 ms for this many at worst. */
const MAX_MATCHED_LENGTH = 16_384;

/** An expression has no value for what it was held against. The message says why, and holds none of it. */
export class NoValue extends Error {
  override readonly name = 'NoValue';
}

/** A text is too long to be held against a pattern at once; {@link withLongTexts} there is a value all the same. */
export class TooLong extends NoValue {
  constructor() {
    super(`a text of more than ${MAX_MATCHED_LENGTH} characters is not held against a pattern`);
  }
}

/** The name under which `matches` runs on RE2; the library's own cannot be replaced, and can be made to hang. */
export const MATCHES = 'matchesRe2';

/** Names of functions that ask for the clock of a time zone; the library's own take 0.1 ms for that. */
export const LOCAL_CLOCK: ReadonlyMap<string, string> = new Map([
  ['getDayOfWeek', 'localDayOfWeek'],
  ['getHours', 'localHours'],
  ['getMinutes', 'localMinutes'],
]);

/** What a counted repetition becomes is not seen in its text: `(?:a{1000}){1000}` is short. */
const MAX_PROGRAM_SIZE = 20_000;

const TIMESTAMP = 'google.protobuf.Timestamp';

export function registerFunctions(environment: Environment): void {
  const clock = (name: string, read: (at: { day: number; minutes: number }) => number) =>
    environment.registerFunction(`${TIMESTAMP}.${name}(string): int`, (at: Date, zone: string) =>
      BigInt(read(wallClock(at.getTime(), zone))),
    );
  clock('localDayOfWeek', ({ day }) => day);
  clock('localHours', ({ minutes }) => Math.floor(minutes / 60));
  clock('localMinutes', ({ minutes }) => minutes % 60);
  environment.registerFunction(`${TIMESTAMP}.within(string, string): bool`, isWithin);
  environment.registerFunction(`string.${MATCHES}(string): bool`, matches);
  environment.registerFunction('string.isBelow(string): bool', isBelow);
  environment.registerFunction('string.mayBeBelow(string): bool', mayBeBelow);
}

/**
 * Why a call cannot be taken whose arguments have to be written out; undefined when it can.
 *
 * @param args texts; undefined for what is not written out.
 */
export function writtenOutProblem(name: string, args: readonly (string | undefined)[]): string | undefined {
  const isLocalClock = LOCAL_CLOCK.has(name) && args.length === 1;
  if (name !== 'within' && !isLocalClock) return undefined;
  const [first, second] = args;
  const zone = isLocalClock ? first : second;
  if (zone === undefined || (name === 'within' && first === undefined))
    return `has ${name} with something that is not written out as a text`;
  const problem = (name === 'within' ? scheduleProblem(first as string) : undefined) ?? zoneProblem(zone);
  return problem === undefined ? undefined : `has ${name}, and ${problem}`;
}

/** Patterns of all configurations, compiled. They are written out, so callers cannot make more of them. */
const patternsByText = new Map<string, RE2JS>();

export function addPattern(text: string): string | undefined {
  if (patternsByText.has(text)) return undefined;
  try {
    const compiled = RE2JS.compile(text);
    if (compiled.matcher('').programSize() > MAX_PROGRAM_SIZE)
      return `has the pattern ${JSON.stringify(text)}, which repeats too much`;
    patternsByText.set(text, compiled);
    return undefined;
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return `has the pattern ${JSON.stringify(text)}, which is none: ${error.message}`;
  }
}

/** Characters that are held against patterns at once in one computation; RE2 takes 8 ms for so many at worst. */
const MAX_AT_ONCE_LENGTH = 65_536;

/** Whoever computes something at this moment that can wait for texts. Expressions are computed without a pause. */
let longTexts: LongTexts | undefined;
let atOnceLength = Number.POSITIVE_INFINITY;

/**
 * Computes something that may hold texts against patterns, so many characters at once.
 *
 * @param texts answers about others, where there are some
 * @throws TooLong when one is missing
 */
export function withLongTexts<T>(texts: LongTexts | undefined, compute: () => T): T {
  longTexts = texts;
  atOnceLength = MAX_AT_ONCE_LENGTH;
  try {
    return compute();
  } finally {
    longTexts = undefined;
    atOnceLength = Number.POSITIVE_INFINITY;
  }
}

function matches(text: string, pattern: string): boolean {
  if (text.length <= MAX_MATCHED_LENGTH && text.length <= atOnceLength) {
    atOnceLength -= text.length;
    return patternsByText.get(pattern)?.matcher(text).find() === true;
  }
  const known = longTexts?.answer(text, pattern);
  if (known === undefined) throw new TooLong();
  return known;
}
