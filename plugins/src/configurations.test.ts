import type { TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { Plugin } from '@sluice/sdk';
import { configProblems } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import { BUILT_IN } from './index.js';

/* Every field of every built-in plugin: what it cannot be is refused, at its path, and never repeated. */

/** A text that no message may repeat: wrong values are often secrets in the wrong place. */
const TELLTALE = 'c5a1d0_telltale';
const VALUES: readonly unknown[] = [
  null,
  true,
  -1.5,
  1e300,
  TELLTALE,
  [TELLTALE],
  [[]],
  { [TELLTALE]: TELLTALE },
];

interface Field {
  readonly path: string;
  readonly schema: TSchema;
  /** A configuration that has this value at the field, and beside it only what leads there. */
  readonly with: (value: unknown) => object;
}

function fieldsOf(schema: TSchema, path: string, put: Field['with']): Field[] {
  const forms = (schema.anyOf as TSchema[] | undefined)?.filter(({ type }) => type === 'array') ?? [];
  const own = path === '' ? [] : [{ path, schema, with: put }];
  const below = [schema, ...forms].flatMap((form) => {
    const members = Object.entries<TSchema>(form.properties ?? {});
    const values = Object.values<TSchema>(form.patternProperties ?? {}).map(
      (each) => ['name', each] as const,
    );
    const items = form.items === undefined ? [] : [form.items as TSchema];
    return [
      ...[...members, ...values].flatMap(([name, each]) =>
        fieldsOf(each, path === '' ? name : `${path}.${name}`, (value) => put({ [name]: value })),
      ),
      ...items.flatMap((each) => fieldsOf(each, `${path}[0]`, (value) => put([value]))),
    ];
  });
  return [...own, ...below];
}

const ALL = await Promise.all(
  BUILT_IN.map(async (name) => {
    const { default: plugin } = (await import(`./${name}/index.ts`)) as { default: Plugin };
    return { name, plugin, fields: fieldsOf(plugin.config, '', (value) => value as object) };
  }),
);

describe.each(ALL)('$name', ({ plugin, fields }) => {
  it('has fields, each of them with a path of its own', () => {
    expect(fields.length).toBeGreaterThan(3);
    expect(new Set(fields.map(({ path }) => path)).size).toBe(fields.length);
  });

  const wrong = fields.flatMap((field) =>
    VALUES.filter((value) => !Value.Check(field.schema, value)).map((value) => ({ field, value })),
  );

  it.each(wrong.map(({ field, value }) => [field.path, value, field] as const))(
    '%s is not %j',
    (path, value, field) => {
      const problems = configProblems(plugin, field.with(value));
      // What is wrong inside a value is told at the part that is wrong.
      const at = problems.filter((each) => each.path === path || isBelow(each.path, path));
      expect(at.length).toBeGreaterThan(0);
      if (typeof value !== 'object' || value === null) expect(at.map((each) => each.path)).toContain(path);
      for (const { message, hint = '' } of at) {
        expect(message).not.toBe('');
        expect(message + hint).not.toContain(TELLTALE);
      }
    },
  );

  const objects = fields.filter(({ schema }) => schema.properties !== undefined);

  it.each([
    ['', (value: unknown) => value as object] as const,
    ...objects.map((each) => [each.path, each.with] as const),
  ])('has no fields but its own at %j', (path, put) => {
    for (const name of ['unknown_field', '__proto__']) {
      const member = JSON.parse(`{"${name}": {"scopes": ["admin"]}}`);
      const own = path === '' ? name : `${path}.${name}`;
      expect(configProblems(plugin, put(member)).map((each) => each.path)).toContain(own);
    }
  });

  it.each([null, true, 0, 'x', []].filter((value) => value !== null))('is not configured by %j', (config) => {
    expect(configProblems(plugin, config)).not.toEqual([]);
  });
});

function isBelow(path: string, above: string): boolean {
  return path.startsWith(`${above}.`) || path.startsWith(`${above}[`);
}

it('fields that hold secrets are marked, so that nobody shows them', () => {
  const marked = ALL.flatMap(({ name, fields }) =>
    fields.filter(({ schema }) => schema.writeOnly === true).map(({ path }) => `${name}.${path}`),
  );
  const secret = ALL.flatMap(({ name, fields }) =>
    fields
      .filter(
        ({ path, schema }) =>
          /(?:secret|password_hash|hash_key|private)$/.test(path) && schema.type === 'string',
      )
      .map(({ path }) => `${name}.${path}`),
  );
  expect(marked).toEqual(expect.arrayContaining(secret));
  expect(secret.length).toBeGreaterThan(3);
});
