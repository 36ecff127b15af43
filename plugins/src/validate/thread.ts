/** What is done with schemas off the event loop: to make programs of them, and to check what is long. */
import { createRequire } from 'node:module';
import type { JsonObject } from '@sluice/sdk';
import type { Ajv as AjvClass, CodeKeywordDefinition, KeywordCxt, Options } from 'ajv';
import { kept } from '../matching/kept.js';
import { compileEcmaPattern } from './ecma-pattern.js';
import { type Finding, findingOf } from './finding.js';
import { FORMATS } from './formats.js';
import { areUnique, budget, checkOf, pattern } from './runtime.js';
import { measured, STEP_KEYWORD, UnfitSchema } from './schema-limits.js';

const require = createRequire(import.meta.url);

export interface CompileTask {
  /** As JSON. */
  readonly schema: string;
  /** True where formats are more than remarks. */
  readonly formats: boolean;
}

/** The text of a program, or why there is none. */
export type Compiled = { readonly program: string } | { readonly unfit: string };

const DIALECTS = {
  '2020-12': { module: 'ajv/dist/2020', meta: 'https://json-schema.org/draft/2020-12/schema' },
  'draft-07': { module: 'ajv', meta: 'http://json-schema.org/draft-07/schema' },
} as const;
type Dialect = keyof typeof DIALECTS;

/** What all patterns of one schema may be as programs of RE2. */
const MAX_PATTERNS_SIZE = 20_000;
const MAX_PATTERN_LENGTH = 4_096;
const MAX_REASON_LENGTH = 300;

/** Never throws: a schema of which nothing can be made is an answer. */
export function compileSchema({ schema, formats }: CompileTask): Compiled {
  try {
    return { program: programOf(JSON.parse(schema) as unknown, formats) };
  } catch (thrown) {
    const isDeep = thrown instanceof RangeError;
    const reason = isDeep ? 'its references lead nowhere or it is too large' : (thrown as Error).message;
    return { unfit: reason.slice(0, MAX_REASON_LENGTH) };
  }
}

function programOf(schema: unknown, formats: boolean): string {
  if (typeof schema === 'boolean') return programOf(schema ? {} : { not: {} }, formats);
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    throw new UnfitSchema('it is no JSON object');
  const dialect = dialectOf(schema as JsonObject);
  const own = measured(schema as JsonObject, dialect === 'draft-07');
  validator(dialect, schema as JsonObject);
  const ajv = freshAjv(dialect, formats, JSON.stringify(own).includes('json-schema.org/'));
  const check = ajv.compile(own as object);
  const standalone = require('ajv/dist/standalone') as {
    default: (ajv: AjvClass, check: unknown) => string;
  };
  return standalone.default(ajv, check);
}

/** Defaults to 2020-12 (2026-07-28, basic, "Schema Dialect"). */
function dialectOf({ $schema }: JsonObject): Dialect {
  if ($schema === undefined) return '2020-12';
  const said = String($schema)
    .replace(/#$/, '')
    .replace(/^https?:/, '');
  for (const [dialect, { meta }] of Object.entries(DIALECTS))
    if (said === meta.replace(/^https?:/, '')) return dialect as Dialect;
  throw new UnfitSchema(
    `its dialect ${JSON.stringify($schema).slice(0, 100)} is not supported; 2020-12 and draft-07 are`,
  );
}

const metaAjvs = new Map<Dialect, AjvClass>();

/** Schemas must be valid in their dialect (2026-07-28, basic, "Schema Validation"). */
function validator(dialect: Dialect, { $id: _, $schema: __, ...schema }: JsonObject): void {
  let ajv = metaAjvs.get(dialect);
  if (ajv === undefined) {
    ajv = new (ajvClass(dialect))({ strict: false, logger: false, validateFormats: false });
    metaAjvs.set(dialect, ajv);
  }
  if (ajv.validateSchema(schema as object) === true) return;
  const [error] = ajv.errors ?? [];
  throw new UnfitSchema(`it is no schema of ${dialect}: ${error?.instancePath || 'it'} ${error?.message}`);
}

function ajvClass(dialect: Dialect): new (options: Options) => AjvClass {
  return (require(DIALECTS[dialect].module) as { default: new (options: Options) => AjvClass }).default;
}

/** One for each schema: what a schema says of itself by `$id` reaches no other. */
function freshAjv(dialect: Dialect, formats: boolean, meta: boolean): AjvClass {
  const { _ } = require('ajv') as typeof import('ajv');
  const runtime = (name: string) => _`require("sluice-runtime")${_`.${new (require('ajv').Name)(name)}`}`;
  const ajv = new (ajvClass(dialect))({
    strict: false,
    logger: false,
    meta,
    validateSchema: false,
    // Members that every object inherits are nobody's.
    ownProperties: true,
    inlineRefs: false,
    validateFormats: formats,
    formats: FORMATS,
    code: {
      source: true,
      optimize: false,
      formats: runtime('formats'),
      regExp: Object.assign(countedPatterns(), { code: 'require("sluice-runtime").pattern' }),
    },
  } as Options);
  const charge = ({ gen }: KeywordCxt, cost: number) =>
    gen.code(_`${gen.scopeValue('obj', { ref: budget, code: runtime('budget') })}.spend(${cost});`);
  ajv.addKeyword({
    keyword: STEP_KEYWORD,
    code: (cxt) => charge(cxt, cxt.schema as number),
  } as CodeKeywordDefinition);
  ajv.removeKeyword('uniqueItems');
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    error: { message: 'must NOT have duplicate items' },
    code(cxt) {
      const unique = cxt.gen.scopeValue('func', { ref: areUnique, code: runtime('areUnique') });
      if (cxt.schema === true) cxt.fail(_`!${unique}(${cxt.data})`);
    },
  } as CodeKeywordDefinition);
  for (const keyword of ['$ref', '$dynamicRef']) chargeReference(ajv, keyword, charge);
  return ajv;
}

/** Where a reference leads into what is no subschema nothing else would be charged. */
function chargeReference(
  ajv: AjvClass,
  keyword: string,
  charge: (cxt: KeywordCxt, cost: number) => void,
): void {
  const rule = ajv.RULES.all[keyword];
  if (typeof rule !== 'object') return;
  const { code, ...others } = rule.definition as CodeKeywordDefinition;
  (rule as { definition: unknown }).definition = {
    ...others,
    code(cxt: KeywordCxt) {
      charge(cxt, 1);
      code(cxt);
    },
  };
}

/** Takes the place of `RegExp` for one schema. */
function countedPatterns() {
  let left = MAX_PATTERNS_SIZE;
  return (source: string) => {
    if (source.length > MAX_PATTERN_LENGTH)
      throw new UnfitSchema(`a pattern is longer than ${MAX_PATTERN_LENGTH} characters`);
    let size: number;
    try {
      size = compileEcmaPattern(source).matcher('').programSize();
    } catch {
      throw new UnfitSchema("a pattern cannot be had in RE2's syntax, which has no lookaround");
    }
    left -= size;
    if (left < 0) throw new UnfitSchema('its patterns repeat too much');
    return pattern(source);
  };
}

export interface LongTask {
  readonly program: string;
  /** JSON of an object. */
  readonly text: string;
  /** The member of it that is checked. */
  readonly member: string;
}

/** Programs that a thread keeps; with one more it begins anew. */
const MAX_KEPT_COUNT = 16;
const checks = new Map<string, ReturnType<typeof checkOf>>();

/** What is wrong with a member of a text; undefined when nothing is, or it is not there. */
export function checkLong({ program, text, member }: LongTask): Finding | undefined {
  const check = kept(checks, program, MAX_KEPT_COUNT, () => checkOf(program));
  return findingOf(check, (JSON.parse(text) as JsonObject)[member]);
}
