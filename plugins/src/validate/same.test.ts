import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { findingOf } from './finding.js';
import { checkOf } from './runtime.js';
import { compileSchema } from './thread.js';

/* What is put into schemas, and taken out of the way, changes nothing of what they mean. */

const MAX_KEYWORD_COUNT = 4;
const NAMES = ['a', 'b', 'length', 'x/y', 'enum', 'properties'];
const name = fc.constantFrom(...NAMES);
const type = fc.constantFrom('string', 'integer', 'number', 'boolean', 'null', 'object', 'array');
const small = fc.integer({ min: 0, max: 3 });

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, 0, 1, 2.5, -1, '', 'a', 'bb', 'ß\n'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(name, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
}));

const { schema } = fc.letrec<{ schema: unknown }>((tie) => {
  const inner = tie('schema');
  const some = fc.array(inner, { minLength: 1, maxLength: 3 });
  const keywords: Record<string, fc.Arbitrary<unknown>> = {
    type: fc.oneof(type, fc.uniqueArray(type, { minLength: 1, maxLength: 3 })),
    enum: fc.uniqueArray(value, { minLength: 1, maxLength: 3, selector: (each) => JSON.stringify(each) }),
    const: value,
    minimum: small,
    maxLength: small,
    minItems: small,
    maxProperties: small,
    uniqueItems: fc.boolean(),
    pattern: fc.constantFrom('^a', 'b$', '\\s', '^.{2}$'),
    required: fc.uniqueArray(name, { maxLength: 2 }),
    dependentRequired: fc.dictionary(name, fc.uniqueArray(name, { maxLength: 2 }), {
      maxKeys: 2,
      noNullPrototype: true,
    }),
    properties: fc.dictionary(name, inner, { maxKeys: 3, noNullPrototype: true }),
    patternProperties: fc.dictionary(fc.constantFrom('^a', 'e'), inner, {
      maxKeys: 1,
      noNullPrototype: true,
    }),
    additionalProperties: inner,
    propertyNames: fc.record({ maxLength: small }),
    dependentSchemas: fc.dictionary(name, inner, { maxKeys: 1, noNullPrototype: true }),
    unevaluatedProperties: inner,
    items: inner,
    prefixItems: some,
    unevaluatedItems: inner,
    contains: inner,
    allOf: some,
    anyOf: some,
    oneOf: some,
    not: inner,
    if: inner,
    then: inner,
    else: inner,
    $ref: fc.constantFrom('#/$defs/one', '#/$defs/two'),
    default: value,
    'x-own': value,
  };
  const each = Object.entries(keywords).map(([keyword, of]) => of.map((own) => [keyword, own] as const));
  const few = fc
    .array(fc.oneof(...each), { maxLength: MAX_KEYWORD_COUNT })
    .map((own) => Object.fromEntries(own));
  return {
    schema: fc.oneof({ maxDepth: 3, withCrossShrink: true }, fc.boolean(), fc.record({ type }), few),
  };
});

const whole = fc
  .tuple(schema, schema, schema)
  // What a reference leads to refers to nothing, so that all of them end.
  .map(([own, one, two]) => ({ ...(own as object), $defs: { one: ended(one), two: ended(two) } }));

function ended(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), function (key, each) {
    return key === '$ref' && typeof each === 'string' && !('$ref' in (this.properties ?? {}))
      ? undefined
      : each;
  });
}

const RUNS = { numRuns: process.env.SLUICE_TEST_FULL === undefined ? 100 : 500 };

it('a schema takes what it takes elsewhere, in 2020-12', () => {
  const ajv = new Ajv2020({ strict: false, ownProperties: true, logger: false });
  fc.assert(
    fc.property(whole, fc.array(value, { minLength: 1, maxLength: 5 }), (own, values) => {
      const expected = ajv.compile(own);
      const compiled = compileSchema({ schema: JSON.stringify(own), formats: false });
      if (!('program' in compiled)) throw new Error(compiled.unfit);
      const check = checkOf(compiled.program);
      for (const each of values)
        expect([each, findingOf(check, each) === undefined]).toEqual([each, expected(each)]);
    }),
    RUNS,
  );
});

it('a schema takes what it takes elsewhere, in draft-07', () => {
  const ajv = new Ajv({ strict: false, ownProperties: true, logger: false });
  const older = fc.tuple(schema, schema).map(([own, one]) => ({
    $schema: 'http://json-schema.org/draft-07/schema#',
    definitions: { one: ended(one) },
    properties: { a: ended(own), b: { $ref: '#/definitions/one' } },
  }));
  fc.assert(
    fc.property(older, fc.array(value, { minLength: 1, maxLength: 5 }), (own, values) => {
      const expected = ajv.compile(own);
      const compiled = compileSchema({ schema: JSON.stringify(own), formats: false });
      if (!('program' in compiled)) throw new Error(compiled.unfit);
      const check = checkOf(compiled.program);
      for (const each of values)
        expect([each, findingOf(check, each) === undefined]).toEqual([each, expected(each)]);
    }),
    RUNS,
  );
});
