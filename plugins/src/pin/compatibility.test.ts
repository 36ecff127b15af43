import type { JsonObject } from '@sluice/sdk';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changesBetween } from './compatibility.js';

const tool = (inputSchema: object, more: object = {}) => ({ name: 'do', inputSchema, ...more }) as JsonObject;
const between = (before: object, after: object) => changesBetween(before as JsonObject, after as JsonObject);
const texts = (before: object, after: object) =>
  between(before, after).map(({ path, what, isBreaking }) => `${isBreaking ? '!' : ' '} ${path} ${what}`);

const BASE = {
  type: 'object',
  properties: { path: { type: 'string', maxLength: 10 }, mode: { enum: ['r', 'w'] } },
  required: ['path'],
};

describe('breaks calls', () => {
  it.each<[string, object, object, string]>([
    [
      'an argument that is required now',
      {},
      { required: ['mode', 'path'] },
      '/properties/mode is required now',
    ],
    [
      'a type that is gone',
      {},
      { properties: { ...BASE.properties, path: { type: 'integer', maxLength: 10 } } },
      '/properties/path/type cannot be string any more',
    ],
    [
      'a value that is gone',
      {},
      { properties: { ...BASE.properties, mode: { enum: ['r'] } } },
      '/properties/mode/enum takes fewer values',
    ],
    [
      'one value alone',
      {},
      { properties: { ...BASE.properties, mode: { const: 'r' } } },
      '/properties/mode/const takes fewer values',
    ],
    [
      'a bound that is closer',
      {},
      { properties: { ...BASE.properties, path: { type: 'string', maxLength: 9 } } },
      '/properties/path/maxLength takes less',
    ],
    ['a bound that is new', {}, { minProperties: 2 }, '/minProperties takes less'],
    [
      'a pattern that is new',
      {},
      { properties: { ...BASE.properties, path: { ...BASE.properties.path, pattern: '^/' } } },
      '/properties/path/pattern has changed',
    ],
    [
      'an argument that is not taken',
      {},
      { properties: { path: BASE.properties.path }, additionalProperties: false },
      '/properties/mode is not taken any more',
    ],
    [
      'others that are not taken',
      {},
      { additionalProperties: false },
      '/additionalProperties is not taken any more',
    ],
    [
      'others of one type',
      { additionalProperties: { type: ['string', 'null'] } },
      { additionalProperties: { type: 'string' } },
      '/additionalProperties/type cannot be null any more',
    ],
    [
      'a way that is gone',
      { anyOf: [{ required: ['mode'] }, { maxProperties: 1 }] },
      { anyOf: [{ required: ['mode'] }] },
      '/anyOf has changed',
    ],
    ['a condition', {}, { if: { required: ['mode'] }, then: { maxProperties: 1 } }, '/if has changed'],
    [
      'a header field that clients have to send',
      {},
      { properties: { ...BASE.properties, path: { ...BASE.properties.path, 'x-mcp-header': 'Path' } } },
      '/properties/path/x-mcp-header has changed',
    ],
    ['another dialect', {}, { $schema: 'http://json-schema.org/draft-07/schema#' }, '/$schema has changed'],
    [
      'what a reference stands for',
      { $defs: { n: { type: ['string', 'null'] } } },
      { $defs: { n: { type: 'string' } } },
      '/$defs/n/type cannot be null any more',
    ],
    [
      'a name with a slash',
      { properties: { 'a/b~': { type: ['string', 'null'] } } },
      { properties: { 'a/b~': { type: 'string' } } },
      '/properties/a~1b~0/type cannot be null any more',
    ],
  ])('%s', (_, before, after, said) => {
    expect(texts(tool({ ...BASE, ...before }), tool({ ...BASE, ...after }))).toContain(
      `! /inputSchema${said}`,
    );
  });

  it.each<[string, object, object, string]>([
    [
      'a tool that writes by now',
      { annotations: { readOnlyHint: true } },
      {},
      '! /annotations/readOnlyHint is false now',
    ],
    [
      'a tool that destroys by now',
      { annotations: { destructiveHint: false } },
      { annotations: {} },
      '! /annotations/destructiveHint is true now',
    ],
    [
      'a tool that cannot be repeated',
      { annotations: { idempotentHint: true } },
      { annotations: { idempotentHint: false } },
      '! /annotations/idempotentHint is false now',
    ],
    [
      'a tool that reaches out',
      { annotations: { openWorldHint: false } },
      {},
      '! /annotations/openWorldHint is true now',
    ],
    [
      'a tool that runs otherwise',
      {},
      { execution: { taskSupport: 'required' } },
      '! /execution has changed',
    ],
    ['a result that is not described', { outputSchema: { type: 'object' } }, {}, '! /outputSchema is gone'],
    [
      'a result that may be more',
      { outputSchema: { type: 'object', required: ['a'] } },
      { outputSchema: { type: 'object' } },
      '! /outputSchema/properties/a allows more than before',
    ],
    ['a tool without arguments to describe', {}, { inputSchema: undefined }, '! /inputSchema is gone'],
  ])('%s', (_, before, after, said) => {
    expect(texts(tool(BASE, before), tool(BASE, after))).toContain(said);
  });
});

describe('breaks nothing, and is told', () => {
  it.each<[string, object, object, string]>([
    ['another description', { description: 'a' }, { description: 'b' }, '/description has changed'],
    [
      'a description with something that nobody sees',
      { description: 'a' },
      { description: 'a\u200b' },
      '/description has changed',
    ],
    ['a look-alike', { title: 'Read' }, { title: 'Rеad' }, '/title has changed'],
    ['a title', {}, { title: 'b' }, '/title is new'],
    ['what nobody knows', { _meta: { a: 1 } }, {}, '/_meta is gone'],
    [
      'a hint that promises more',
      {},
      { annotations: { readOnlyHint: true } },
      '/annotations/readOnlyHint is true now',
    ],
    [
      'words inside of the schema',
      { inputSchema: BASE },
      { inputSchema: { ...BASE, description: 'new' } },
      '/inputSchema has changed',
    ],
    [
      'a new argument',
      { inputSchema: BASE },
      { inputSchema: { ...BASE, properties: { ...BASE.properties, more: { type: 'string' } } } },
      '/inputSchema/properties/more is new',
    ],
    ['a result that is described', {}, { outputSchema: { type: 'object' } }, '/outputSchema is new'],
  ])('%s', (_, before, after, said) => {
    expect(texts(tool(BASE, before), tool(BASE, after))).toEqual([`  ${said}`]);
  });

  it('nothing, where only the order of members is another', () => {
    const turned = JSON.parse('{"inputSchema":{"required":["path"],"type":"object"},"name":"do"}');
    expect(between({ name: 'do', inputSchema: { type: 'object', required: ['path'] } }, turned)).toEqual([]);
  });
});

it('is given up where it would take long, and then breaks calls', () => {
  const anyOf = Array.from({ length: 1_500 }, (_, i) => ({ required: [`p${i}`, 'x'] }));
  const turned = [...anyOf].reverse();
  expect(texts(tool({ anyOf }), tool({ anyOf: turned }))).toEqual(['!  is too large to be compared']);
  expect(texts(tool(BASE), tool(BASE))).toEqual([]);
});

it('what is said to break nothing breaks no call that could be made before', () => {
  const leaf = fc.oneof(
    fc.record({ type: fc.constantFrom('string', 'integer', 'number', 'boolean') }),
    fc.record({ type: fc.uniqueArray(fc.constantFrom('string', 'integer', 'null'), { minLength: 1 }) }),
    fc.record({ enum: fc.uniqueArray(fc.constantFrom<unknown>('a', 'b', 1, null), { minLength: 1 }) }),
    fc.record(
      { type: fc.constant('string'), maxLength: fc.integer({ min: 0, max: 3 }) },
      { requiredKeys: ['type'] },
    ),
    fc.record({ minimum: fc.integer({ min: -2, max: 2 }) }),
    fc.record({
      anyOf: fc.array(fc.record({ type: fc.constantFrom('string', 'integer', 'null') }), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
    fc.record({ not: fc.record({ type: fc.constantFrom('string', 'integer') }) }),
  );
  const schema = fc.record(
    {
      type: fc.constant('object'),
      properties: fc.dictionary(fc.constantFrom('a', 'b', 'c'), leaf, { maxKeys: 3 }),
      required: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')),
      additionalProperties: fc.oneof(fc.boolean(), leaf),
      minProperties: fc.integer({ min: 0, max: 3 }),
    },
    { requiredKeys: ['type', 'properties'] },
  );
  const value = fc.constantFrom<unknown>('', 'a', 'b', 'abcd', 0, 1, -3, 1.5, true, null);
  const ajv = new Ajv2020({ strict: false, ownProperties: true });
  fc.assert(
    fc.property(
      schema,
      schema,
      fc.array(fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), value), { maxLength: 8 }),
      (before, after, calls) => {
        const isBreaking = between(tool(before), tool(after)).some((each) => each.isBreaking);
        if (isBreaking) return;
        const [old, own] = [ajv.compile(before), ajv.compile(after)];
        for (const call of calls) {
          // What nobody had described may be described now.
          const isNew = (name: string) =>
            Object.hasOwn(after.properties, name) && !Object.hasOwn(before.properties, name);
          if (Object.keys(call).some(isNew)) continue;
          if (old(call)) expect([call, own(call)]).toEqual([call, true]);
        }
      },
    ),
    { numRuns: 300 },
  );
});
