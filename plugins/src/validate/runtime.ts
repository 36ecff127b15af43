/** What programs that are made of schemas need while they run: a budget, patterns, formats. */
import { createRequire } from 'node:module';
import type { RE2JS } from 're2js';
import { compileEcmaPattern } from './ecma-pattern.js';
import { FORMATS } from './formats.js';

/** Subschemas that one check may evaluate, with what each costs; a million takes about 20 ms. */
const MAX_STEP_COUNT = 1_000_000;
/** Characters that a pattern looks at in the time of one step. */
const CHARACTERS_A_STEP = 4;
/** A check looks at the clock once in so many steps. */
const STEPS_BETWEEN_LOOKS = 1_024;
/** A member of an object is looked at by some keywords without a subschema, so steps do not tell all. */
const MAX_CHECK_MS = 1_000;

/** A check took too many steps. */
export class TooCostly extends Error {
  override readonly name = 'TooCostly';
}

class Budget {
  private left = 0;
  private lookAt = 0;
  private until = 0;

  begin(): void {
    this.left = MAX_STEP_COUNT;
    this.lookAt = MAX_STEP_COUNT - STEPS_BETWEEN_LOOKS;
    this.until = performance.now() + MAX_CHECK_MS;
  }

  spend(count: number): void {
    this.left -= count;
    if (this.left > this.lookAt) return;
    this.lookAt = this.left - STEPS_BETWEEN_LOOKS;
    if (this.left < 0 || performance.now() > this.until) throw new TooCostly();
  }
}

/** Checks run one after the other, and none waits in the middle. */
export const budget = new Budget();

class Pattern {
  private compiled: RE2JS | undefined;

  constructor(private readonly source: string) {}

  test(text: string): boolean {
    budget.spend(1 + text.length / CHARACTERS_A_STEP);
    this.compiled ??= compileEcmaPattern(this.source);
    return this.compiled.test(text);
  }

  /** For the schema compiler, which tells patterns apart by it. */
  toString(): string {
    return this.source;
  }
}

/** Takes the place of `RegExp`, whose flag `u` goes without saying. */
export function pattern(source: string): Pattern {
  return new Pattern(source);
}

/** Items that are all different, in time that grows with them and not with their square. */
export function areUnique(items: readonly unknown[]): boolean {
  budget.spend(items.length);
  const seen = new Set<unknown>();
  for (const item of items) {
    const own = typeof item === 'object' && item !== null ? `o${spelled(item)}` : plain(item);
    if (seen.has(own)) return false;
    seen.add(own);
  }
  return true;
}

/** Text that looks like an object is none. */
function plain(item: unknown): unknown {
  return typeof item === 'string' ? `s${item}` : item;
}

/** The same for objects whose members stand in another order. */
function spelled(value: unknown): string {
  budget.spend(1);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(spelled).join()}]`;
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${spelled((value as Record<string, unknown>)[name])}`).join()}}`;
}

/** One thing that a value is not, as the schema compiler tells it. */
export interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string;
}

/** A program that was made of a schema. */
export type Check = ((value: unknown) => boolean) & { readonly errors?: readonly SchemaError[] | null };

const require = createRequire(import.meta.url);
/** What the generated text may ask for, and nothing else. */
const MODULES: Readonly<Record<string, () => unknown>> = {
  'sluice-runtime': () => ({ budget, pattern, areUnique, formats: FORMATS }),
  'ajv/dist/runtime/equal': () => require('ajv/dist/runtime/equal'),
  'ajv/dist/runtime/ucs2length': () => require('ajv/dist/runtime/ucs2length'),
  'ajv/dist/runtime/validation_error': () => require('ajv/dist/runtime/validation_error'),
};

/** Makes a check of the text that {@link compileSchema} has written. */
export function checkOf(program: string): Check {
  const module: { exports: unknown } = { exports: {} };
  const wanted = (name: string) => {
    const own = Object.hasOwn(MODULES, name) ? MODULES[name] : undefined;
    if (own === undefined) throw new Error(`a schema's program asks for ${name}`);
    return own();
  };
  // The schema compiler writes it, and puts nothing of a schema into it but as a literal.
  new Function('module', 'exports', 'require', program)(module, module.exports, wanted);
  return module.exports as Check;
}
