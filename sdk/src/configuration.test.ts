import { type TObject, type TSchema, Type } from '@sinclair/typebox';
import { describe, expect, it } from 'vitest';
import { definePlugin } from './plugin.js';

function pluginOf(config: TObject) {
  return definePlugin({
    name: 'tested',
    version: '1.0.0',
    description: 'For a test.',
    phase: 'shape',
    config,
    reads: [],
    changes: [],
    check: ({ forbidden }: { forbidden?: string }) =>
      forbidden === undefined ? [] : [{ path: 'forbidden', message: 'is there' }],
    hooks: () => ({}),
  });
}

const checked = (config: TObject, value: unknown) => pluginOf(config).checked(value);

const LIST = Type.Array(Type.String(), { default: ['a', 'b', 'c'] });
const EITHER = Type.Union([Type.String(), Type.Array(Type.String())], { default: ['a', 'b', 'c'] });
const MAP = Type.Record(Type.String(), Type.Integer(), { default: { a: 1 } });

describe('a default', () => {
  it.each<[string, TSchema, unknown, unknown]>([
    ['a list', LIST, undefined, ['a', 'b', 'c']],
    ['a shorter list', LIST, ['x'], ['x']],
    ['an empty list', LIST, [], []],
    ['one of several forms', EITHER, undefined, ['a', 'b', 'c']],
    ['a shorter list that is one of several forms', EITHER, ['x'], ['x']],
    ['a text that is one of several forms', EITHER, 'x', 'x'],
    ['a map', MAP, undefined, { a: 1 }],
    ['a map with other names', MAP, { b: 2 }, { b: 2 }],
    ['an object', Type.Object({ a: Type.Integer({ default: 1 }) }, { default: {} }), undefined, { a: 1 }],
    ['a part of an object', Type.Object({ a: Type.Integer({ default: 1 }) }), {}, { a: 1 }],
    [
      'a part of each entry',
      Type.Array(Type.Object({ a: Type.Integer({ default: 1 }) })),
      [{}, { a: 2 }],
      [{ a: 1 }, { a: 2 }],
    ],
    [
      'a part of each value of a map',
      Type.Record(Type.String(), Type.Object({ a: Type.Integer({ default: 1 }) })),
      { x: {} },
      { x: { a: 1 } },
    ],
    [
      'a part of the form that fits',
      Type.Union([
        Type.Object({ kind: Type.Literal('a'), a: Type.Integer({ default: 1 }) }),
        Type.Object({ kind: Type.Literal('b'), b: Type.Integer({ default: 2 }) }),
      ]),
      { kind: 'b' },
      { kind: 'b', b: 2 },
    ],
    [
      'a part of each of two that hold together',
      Type.Intersect([
        Type.Object({ a: Type.Integer({ default: 1 }) }),
        Type.Object({ b: Type.Integer({ default: 2 }) }),
      ]),
      {},
      { a: 1, b: 2 },
    ],
    [
      'a part of what contains itself',
      Type.Recursive((Self) =>
        Type.Object({ a: Type.Integer({ default: 1 }), below: Type.Array(Self, { default: [] }) }),
      ),
      { below: [{ a: 2 }] },
      { a: 1, below: [{ a: 2, below: [] }] },
    ],
    [
      'a name that every object inherits',
      Type.Object({ toString: Type.Integer({ default: 1 }) }),
      {},
      { toString: 1 },
    ],
  ])('for %s', (_, schema, value, expected) => {
    const given = value === undefined ? {} : { field: value };
    const before = structuredClone(given);
    expect(checked(Type.Object({ field: schema }), given)).toEqual({ ok: true, config: { field: expected } });
    expect(given).toEqual(before);
  });

  it('is made anew for each', () => {
    const [one, two] = [1, 2].map(() => checked(Type.Object({ list: LIST }), {}));
    expect(one).toEqual(two);
    expect((one as { config: { list: unknown } }).config.list).not.toBe(
      (two as { config: { list: unknown } }).config.list,
    );
  });

  it.each<[string, TSchema, unknown, string]>([
    ['a list where a map stands', LIST, { x: 'a' }, 'expected array; it is an object'],
    ['a map where a list stands', MAP, [1], 'expected object; it is a list'],
    [
      'a map where nothing is a default for it',
      Type.Object({}, { default: {} }),
      ['x'],
      'expected object; it is a list',
    ],
  ])('takes the place of nothing: %s', (_, schema, value, message) => {
    const problems = [expect.objectContaining({ path: 'field', message })];
    expect(checked(Type.Object({ field: schema }), { field: value })).toEqual({ ok: false, problems });
  });
});

describe('a problem of a field with several forms', () => {
  const forms = Type.Union([Type.String({ minLength: 2 }), Type.Array(Type.String({ minLength: 2 }))]);
  it.each<[unknown, string]>([
    [['ab', 'a'], 'field[1]'],
    [[null], 'field[0]'],
    ['a', 'field'],
    [1, 'field'],
  ])('is told where it is: %j', (value, path) => {
    const said = checked(Type.Object({ field: forms }), { field: value });
    expect(said).toEqual({ ok: false, problems: [expect.objectContaining({ path })] });
  });
});

describe('a configuration that is refused', () => {
  const config = Type.Object(
    { key: Type.Optional(Type.String({ pattern: '^k_', description: 'Names it.' })), limit: Type.Integer() },
    { additionalProperties: false },
  );

  it.each([
    ['limits', 'did you mean limit?'],
    ['lim-it', 'did you mean limit?'],
    ['consumers', 'known here: key, limit'],
  ])('with the field %s is told which there are', (path, hint) => {
    expect(checked(config, { limit: 1, [path]: 2 })).toEqual({
      ok: false,
      problems: [{ path, message: 'unknown field', hint }],
    });
  });

  it('is told the form of a text', () => {
    expect(checked(config, { limit: 1, key: 'abc' })).toEqual({
      ok: false,
      problems: [{ path: 'key', message: 'does not have the form ^k_', hint: 'Names it.' }],
    });
  });
});

describe('a configuration that is checked in steps', () => {
  const Item = Type.Object(
    { name: Type.String({ pattern: '^k' }), tags: Type.Array(Type.String(), { default: ['x'] }) },
    { additionalProperties: false },
  );
  const Config = Type.Object(
    {
      keys: Type.Array(Item, { default: [], maxItems: 500 }),
      users: Type.Array(Type.String(), { default: [] }),
      limit: Type.Integer({ default: 3 }),
      forbidden: Type.Optional(Type.String()),
    },
    { additionalProperties: false },
  );
  const items = (count: number) =>
    Array.from({ length: count }, (_, index): object => ({ name: `k${index}` }));
  const withItem = (item: unknown) => ({ keys: [...items(200), item, ...items(20)] });

  function inSteps(config: TObject, value: unknown) {
    const steps = pluginOf(config).checkedInSteps(value);
    for (let count = 0; ; count++) {
      const step = steps.next();
      if (step.done) return { said: step.value, count };
    }
  }

  it('pauses after some of many entries', () => {
    expect(inSteps(Config, { keys: items(500) }).count).toBeGreaterThanOrEqual(10);
    expect(inSteps(Config, { keys: items(5) }).count).toBe(0);
  });

  it.each<[string, unknown]>([
    ['many entries', { keys: items(333), limit: 7 }],
    ['two long lists', { keys: items(200), users: Array.from({ length: 400 }, (_, index) => `u${index}`) }],
    ['too many entries', { keys: items(501) }],
    ['an entry of another form', withItem({ name: 'other' })],
    ['an entry that is none', withItem(null)],
    ['an entry that is not there', withItem(undefined)],
    ['an entry with one field more', withItem({ name: 'k', more: 1 })],
    ['an entry with a name for the prototype', withItem(JSON.parse('{"name": "k", "__proto__": {}}'))],
    ['a name for the prototype', JSON.parse(`{"keys": ${JSON.stringify(items(99))}, "__proto__": {}}`)],
    ['a field that is unknown', { keys: items(99), more: 1 }],
    ['another field that is wrong', { keys: items(99), limit: 'many' }],
    ['what the plugin refuses', { keys: items(99), forbidden: 'yes' }],
    ['nothing', undefined],
    ['no object', 5],
  ])('comes to the same as at once: %s', (_, value) => {
    const before = JSON.stringify(value);
    expect(inSteps(Config, value).said).toEqual(checked(Config, value));
    expect(JSON.stringify(value)).toBe(before);
  });

  it('does not check again what is frozen, and comes to the same', () => {
    const fixed = items(200).map((item) => Object.freeze(item));
    const keysOf = (value: unknown) => {
      const { said } = inSteps(Config, value);
      return said.ok ? (said.config as { keys: object[] }).keys : undefined;
    };
    const first = keysOf({ keys: fixed });
    const value = { keys: [...fixed.slice(1), ...items(1)] };
    const second = keysOf(value);
    expect(second?.slice(0, 199).every((each, index) => each === first?.[index + 1])).toBe(true);
    expect(second?.[199]).not.toBe(first?.[0]);
    expect(inSteps(Config, value).said).toEqual(checked(Config, value));
    const wrong = { keys: [...fixed, Object.freeze({ name: 'other' })] };
    for (let round = 0; round < 2; round++)
      expect(inSteps(Config, wrong).said).toEqual(checked(Config, wrong));
    expect(checked(Config, wrong).ok).toBe(false);
  });

  it('comes to the same where a list holds more than its entries say', () => {
    const unique = Type.Object({ keys: Type.Array(Type.String(), { uniqueItems: true }) });
    const value = { keys: Array.from({ length: 200 }, (_, index) => `k${index % 150}`) };
    expect(inSteps(unique, value).said).toEqual(checked(unique, value));
    expect(checked(unique, value).ok).toBe(false);
  });
});
