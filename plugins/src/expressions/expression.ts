/**
 * Expressions of the Common Expression Language (https://cel.dev) that operators write into configurations, compiled
 * once. What an expression reads is found in its text, so a plugin declares exactly that.
 *
 * The operator writes the expression, and callers what it is held against, so what callers can make it cost is
 * bounded: `matches` runs on RE2, which never goes back in the text, with a pattern that is written out; a macro over
 * a list inside of another goes over a part of what that one goes over; and lists are as long as
 * {@link MAX_LIST_VALUE_COUNT} says.
 */
import { Environment, EvaluationError } from '@marcbachmann/cel-js';
import type { Json } from '@sluice/sdk';
import { addPattern, NoValue, registerFunctions, TooLong } from './functions.js';
import { type Node, ROOTS, readingOf } from './reading.js';
import { compileScope, type Scope } from './scope.js';

const MAX_EXPRESSION_LENGTH = 4_096;
const MAX_NODE_COUNT = 500;
const MAX_DEPTH = 32;
/** Values, in all that an expression with a macro over a list is given, and characters in them. */
const MAX_LIST_VALUE_COUNT = 5_000;
const MAX_LIST_TEXT_LENGTH = 262_144;
/** What the library says of a failure may hold a name that a caller chose. */
const MAX_SUMMARY_LENGTH = 200;
/** Values inside of what an expression gives, and how deep they lie in each other. */
const MAX_VALUE_COUNT = 100_000;
const MAX_VALUE_DEPTH = 64;

const TOO_MUCH = 'there is too much to go over item by item';

export { NoValue } from './functions.js';

export interface Expression {
  /** Attributes that it reads. */
  readonly reads: readonly string[];
  /** Names that it uses of those that are handed over beside the attributes. */
  readonly locals: readonly string[];
  /** What it reads of both, as far as that is written out: `session.count`. */
  readonly paths: readonly string[];
  /** Patterns that it holds texts against. */
  readonly patterns: readonly string[];
  /** What it gives as the checker sees it: `bool`, `string`, `dyn`, … */
  readonly type: string;
  /**
   * Its value as JSON.
   *
   * @param ctx what the hook was given.
   * @param locals values of names that are no attributes, or that have changed since.
   * @throws NoValue
   */
  value(ctx: Scope, locals: Scope): Json;
  /**
   * Whether it is true.
   *
   * @param scope with all that it reads, made by compileScope and kept for other expressions too
   * @throws NoValue, also when it is neither true nor false; TooLong
   */
  holdsIn(scope: Scope): boolean;
}

export type Compiled<T> =
  | { readonly ok: true; readonly it: T }
  | { readonly ok: false; readonly problem: string };

/** @param locals names beside the attributes that it may use, for example `result`. */
export function compileExpression(source: string, locals: readonly string[] = []): Compiled<Expression> {
  if (source.length > MAX_EXPRESSION_LENGTH)
    return { ok: false, problem: `is longer than ${MAX_EXPRESSION_LENGTH} characters` };
  const environment = environmentFor(locals);
  let parsed: ReturnType<Environment['parse']>;
  try {
    parsed = environment.parse(source);
  } catch (error) {
    return { ok: false, problem: problemOf(error, source) };
  }
  const reading = readingOf(parsed.ast as unknown as Node, locals);
  if (!reading.ok) return reading;
  const { reads, patterns, hasMacro } = reading.it;
  for (const pattern of patterns) {
    const problem = addPattern(pattern);
    if (problem !== undefined) return { ok: false, problem };
  }
  const { valid, type = 'dyn', error } = parsed.check();
  if (!valid) return { ok: false, problem: problemOf(error, source) };
  const scopeOf = compileScope(reads);
  const member = principalMember(parsed.ast as unknown as Node);
  return {
    ok: true,
    it: {
      reads,
      locals: reading.it.locals,
      paths: reading.it.paths,
      patterns,
      type,
      value(ctx, own) {
        // A text that is named and nothing else is what it is: most templates need no scope to be built.
        const text = member === undefined ? undefined : (ctx.principal as Scope | undefined)?.[member];
        if (typeof text === 'string') return text;
        const scope = scopeOf(ctx, own);
        if (hasMacro && !isSmall(scope)) throw new NoValue(TOO_MUCH);
        return new JsonCopy().of(evaluated(parsed, scope), 0);
      },
      holdsIn(scope) {
        if (hasMacro && !isSmall(scope)) throw new NoValue(TOO_MUCH);
        const value = evaluated(parsed, scope);
        if (typeof value === 'boolean') return value;
        throw new NoValue('it is neither true nor false');
      },
    },
  };
}

/** `id` of an expression that is `principal.id` and no more. */
function principalMember({ op, args }: Node): string | undefined {
  if (op !== '.') return undefined;
  const [object, name] = args as [Node, string];
  return object.op === 'id' && object.args === 'principal' ? name : undefined;
}

function evaluated(parsed: (scope: Scope) => unknown, scope: Scope): unknown {
  try {
    return parsed(scope);
  } catch (error) {
    if (error instanceof TooLong) throw error;
    // Anything else may hold what it failed at.
    throw error instanceof NoValue || error instanceof EvaluationError
      ? new NoValue(summaryOf(error))
      : new NoValue('it cannot be computed');
  }
}

/**
 * What CEL gives as JSON. Only own members are taken, so what an expression builds brings no prototype with it; and
 * each place of it counts, so naming one large value often makes no huge one.
 */
class JsonCopy {
  private valueCount = 0;

  of(value: unknown, depth: number): Json {
    if (++this.valueCount > MAX_VALUE_COUNT || depth > MAX_VALUE_DEPTH)
      throw new NoValue('the value is too large');
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    if (typeof value === 'bigint' && value === BigInt(Number(value))) return Number(value);
    if (Array.isArray(value)) return value.map((item) => this.of(item, depth + 1));
    if (value instanceof Date) return value.toISOString();
    if (value instanceof Map) return this.members([...value], depth);
    if (typeof value === 'object' && isPlain(value)) return this.members(Object.entries(value), depth);
    throw new NoValue('the value is none that JSON has');
  }

  private members(entries: readonly (readonly [unknown, unknown])[], depth: number): Json {
    return Object.fromEntries(entries.map(([name, member]) => [String(name), this.of(member, depth + 1)]));
  }
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isSmall(scope: Scope): boolean {
  let [valueCount, textLength] = [0, 0];
  const stack: unknown[] = [scope];
  for (;;) {
    const value = stack.pop();
    if (value === undefined && stack.length === 0) return true;
    valueCount++;
    if (typeof value === 'string') textLength += value.length;
    else if (typeof value === 'object' && value !== null) {
      for (const name in value) {
        stack.push((value as Scope)[name]);
        if (valueCount + stack.length > MAX_LIST_VALUE_COUNT) return false;
      }
    }
    if (textLength > MAX_LIST_TEXT_LENGTH) return false;
  }
}

const environments = new Map<string, Environment>();

function environmentFor(locals: readonly string[]): Environment {
  const key = locals.join();
  const known = environments.get(key);
  if (known !== undefined) return known;
  const environment = new Environment({
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: MAX_NODE_COUNT, maxDepth: MAX_DEPTH, maxListElements: 100, maxMapEntries: 100 },
  });
  registerFunctions(environment);
  for (const root of [...ROOTS, ...locals]) {
    if (!environment.hasVariable(root)) environment.registerVariable(root, 'dyn');
  }
  environments.set(key, environment);
  return environment;
}

function problemOf(error: unknown, source: string): string {
  const { range } = error as { range?: { start: number } };
  const place = range === undefined ? '' : `, at ${placeIn(source, range.start)}`;
  return `is no expression: ${summaryOf(error)}${place}`;
}

/** `character 7`, or `line 2, character 7` where there are several. */
function placeIn(source: string, start: number): string {
  const before = source.slice(0, start).split('\n');
  const character = `character ${(before.at(-1) as string).length + 1}`;
  return source.includes('\n') ? `line ${before.length}, ${character}` : character;
}

function summaryOf(error: unknown): string {
  const { summary, message } = error as { summary?: string; message: string };
  const text = summary ?? message;
  return (text.charAt(0).toLowerCase() + text.slice(1)).slice(0, MAX_SUMMARY_LENGTH);
}
