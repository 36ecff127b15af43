import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { membersOf, objectOf, placesOf } from './canonical-json.js';

const canonical = (text: string) => objectOf(membersOf(text));

/** JSON of the same value in another spelling: other spaces, another order, escapes where none are needed. */
function respelled(value: unknown, turn: number): string {
  const space = [' ', '\n\t', ''][turn % 3];
  if (Array.isArray(value))
    return `[${value.map((item) => respelled(item, turn + 1)).join(`,${space}`)}${space}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(
      ([name, member]) => `${space}${escaped(name)}${space}:${respelled(member, turn + 1)}`,
    );
    return `{${turn % 2 === 0 ? members.reverse().join() : members.join()}${space}}`;
  }
  return typeof value === 'string' ? escaped(value) : JSON.stringify(value);
}

function escaped(text: string): string {
  const all = [...Array(text.length).keys()].map(
    (index) => `\\u${text.charCodeAt(index).toString(16).padStart(4, '0')}`,
  );
  return `"${all.join('')}"`;
}

describe('canonical JSON', () => {
  it.each([
    ['{"b":1,"a":[true,{"d":null,"c":"x"}]}', '{"a":[true,{"c":"x","d":null}],"b":1}'],
    [' { "a" : 1 , "b" : [ ] , "c" : { } } ', '{"a":1,"b":[],"c":{}}'],
    ['{"\\u0061":"\\/\\u00e9\\n"}', '{"a":"/é\\n"}'],
    ['{"a":"\\\\","b":"\\\\\\""}', '{"a":"\\\\","b":"\\\\\\""}'],
    ['{"__proto__":{"a":1},"constructor":2}', '{"__proto__":{"a":1},"constructor":2}'],
    ['{"a":{ },"b":[ ],"c":[{ "d":1}],"e":{"f":1 }}', '{"a":{},"b":[],"c":[{"d":1}],"e":{"f":1}}'],
    ['{"\\n":"\\u000a","a":"\\u0061","b":"\\\\"}', '{"\\n":"\\n","a":"a","b":"\\\\"}'],
    ['{"b":{"\\u0062":1,"a":2},"a":"c"}', '{"a":"c","b":{"a":2,"b":1}}'],
    ['{"a":1,"b":2,"a":3}', '{"a":1,"a":3,"b":2}'],
  ])('writes %s as %s', (text, expected) => {
    expect(canonical(text)).toBe(expected);
  });

  it.each([
    ['{"a":1}', '{"a":1.0}'],
    ['{"a":9007199254740993}', '{"a":9007199254740992}'],
    ['{"a":0.1}', '{"a":0.10000000000000000001}'],
    ['{"a":1e2}', '{"a":100}'],
    ['{"a":1}', '{"a":"1"}'],
    ['{"a":null}', '{}'],
    ['{"a":"é"}', '{"a":"e\\u0301"}'],
    ['{"a":"ﬁ"}', '{"a":"fi"}'],
    ['{"a":"A"}', '{"a":"А"}'],
    ['{"a":[1,[2]]}', '{"a":[[1],2]}'],
    ['{"a":"b\\",\\"c"}', '{"a":"b","c":1}'],
    ['{"a":"\\ud800"}', '{"a":"\\ufffd"}'],
    ['{"a":1,"__proto__":{"b":2}}', '{"a":1}'],
  ])('keeps %s and %s apart', (one, other) => {
    expect(canonical(one)).not.toBe(canonical(other));
  });

  it('puts many members in order', () => {
    const names = [...Array(100).keys()].map((index) => `n${String(index).padStart(3, '0')}`);
    const text = (own: readonly string[]) => `{${own.map((name) => `"${name}":1`).join()}}`;
    expect(canonical(text(names.toReversed()))).toBe(text(names));
  });

  it('gives the members of one that is opened', () => {
    const [a, b] = membersOf('{"b":{"d":1,"c":{ "e":2}},"a":{"f":1}}', 'b');
    expect(a).toEqual({ name: 'a', spelled: '"a"', value: '{"f":1}', members: undefined });
    expect(b?.members?.map(({ name, value }) => [name, value])).toEqual([
      ['c', '{"e":2}'],
      ['d', '1'],
    ]);
    expect(membersOf('{"b":[{}]}', 'b')[0]).toMatchObject({ value: '[{}]', members: undefined });
  });

  it('is the same for every spelling of a value, and means what it meant', () => {
    const objects = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { noNullPrototype: true });
    fc.assert(
      fc.property(objects, fc.nat(5), (value, turn) => {
        const text = JSON.stringify(value);
        expect(canonical(respelled(JSON.parse(text), turn))).toBe(canonical(text));
        expect(JSON.parse(canonical(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  it('is the same for two values only when they are the same', () => {
    const objects = fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), fc.jsonValue({ maxDepth: 2 }));
    fc.assert(
      fc.property(objects, objects, (one, other) => {
        const [a, b] = [JSON.stringify(one), JSON.stringify(other)];
        if (canonical(a) === canonical(b)) expect(JSON.parse(a)).toEqual(JSON.parse(b));
      }),
    );
  });

  it.each([
    '',
    '[]',
    '1',
    '{',
    '{"a"}',
    '{"a":}',
    '{"a":1',
    '{"a":1}}',
    '{"a":"b}',
    '{a:1}',
    '{"a":1 "b":2}',
  ])('reads no object in %s', (text) => {
    expect(() => canonical(text)).toThrow(SyntaxError);
  });

  it.each([
    ['{"ttlMs":5}', '5'],
    ['{"a":{"ttlMs":1},"b":["ttlMs",{"ttlMs":2}],"c":"\\"ttlMs\\":3", "ttlMs" : 12 ,"d":4}', '12'],
    ['{"ttl\\u004ds":7,"a":"ttlMs"}', '7'],
    ['{"ttlMs":1,"ttlMs":2}', '2'],
    ['{"a":{"ttlMs":1}}', undefined],
    ['{"a":1}', undefined],
    ['{}', undefined],
  ])('finds a member of %s', (text, expected) => {
    const [place] = placesOf(text, ['ttlMs']);
    expect(place && text.slice(place.start, place.end)).toBe(expected);
  });
});
