import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { picks, spell, spellString } from './json-spelling.js';
import { membersOf, objectOf } from './members.js';
import { scanMessage } from './scan.js';
import {
  addMember,
  binaryOf,
  binaryToBytes,
  type Edit,
  jsonBinary,
  parsed,
  replace,
  splice,
  stringOf,
  toBinary,
} from './text.js';

const anyText = fc.string({ unit: 'binary' });
const object = fc.dictionary(
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.jsonValue({ stringUnit: 'binary' }),
);
const whole = (bytes: Buffer) => ({ start: 0, end: bytes.length });

describe('binary text', () => {
  it('has one character for each byte, there and back', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const binary = toBinary(text);
        expect(binary).toHaveLength(Buffer.byteLength(text));
        expect(binaryToBytes(binary)).toEqual(Buffer.from(text));
      }),
    );
  });

  it('of JSON parses to the value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        expect(JSON.parse(binaryToBytes(jsonBinary(value)).toString())).toEqual(
          JSON.parse(JSON.stringify(value)),
        );
      }),
    );
  });

  it('of half a character stays what JSON says of it', () => {
    expect(JSON.parse(jsonBinary('\ud800'))).toBe('\ud800');
  });
});

describe('strings', () => {
  it('are read with their escapes undone', () => {
    fc.assert(
      fc.property(anyText, picks, (text, pick) => {
        const bytes = Buffer.from(` ${spellString(text, pick)} `);
        expect(stringOf(bytes, { start: 1, end: bytes.length - 1 })).toBe(text);
      }),
    );
  });

  it('are not made of other values', () => {
    expect(stringOf(Buffer.from('12'), { start: 0, end: 2 })).toBeUndefined();
    expect(stringOf(Buffer.from('12'), undefined)).toBeUndefined();
  });
});

describe('splicing', () => {
  const bytes = Buffer.from(' {"jsonrpc":"2.0","id":1,"method":"m","params":{"ü":1}} ');

  it('changes what the edits say and no other byte, in whatever order they come', () => {
    const text = fc.string({ unit: 'binary', maxLength: 5 });
    const edits = fc.tuple(
      fc.uniqueArray(fc.nat(120), { maxLength: 12 }),
      fc.array(text, { maxLength: 6 }),
      picks,
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 120, maxLength: 120 }), edits, (data, [places, texts, pick]) => {
        const from = Buffer.from(data);
        const sorted = places.sort((a, b) => a - b);
        const list: Edit[] = [];
        for (let i = 0; i + 1 < sorted.length; i += 2) {
          const [start, end] = [sorted[i] as number, sorted[i + 1] as number];
          list.push({ start, end, text: toBinary(texts[i / 2] ?? '') });
        }
        // From the last edit to the first, so that offsets in front stay true.
        let expected = from;
        for (const { start, end, text: own } of list.toReversed()) {
          expected = Buffer.concat([expected.subarray(0, start), binaryToBytes(own), expected.subarray(end)]);
        }
        const shuffled = list.map((edit) => ({ edit, at: pick(100) })).sort((a, b) => a.at - b.at);
        const envelope = Object.assign(scanMessage(bytes), whole(from));
        expect(
          binaryToBytes(
            splice(
              from,
              envelope,
              shuffled.map(({ edit }) => edit),
            ),
          ),
        ).toEqual(expected);
      }),
    );
  });

  it('begins and ends with the message', () => {
    const envelope = scanMessage(bytes);
    expect(binaryToBytes(splice(bytes, envelope, [])).toString()).toBe(bytes.toString().trim());
    const id = envelope.id as { start: number; end: number };
    expect(binaryToBytes(splice(bytes, envelope, [replace(id, '"a"')])).toString()).toBe(
      '{"jsonrpc":"2.0","id":"a","method":"m","params":{"ü":1}}',
    );
  });

  it('keeps the order of what is inserted at one place', () => {
    const envelope = scanMessage(bytes);
    const insert = (text: string): Edit => ({ start: envelope.start + 1, end: envelope.start + 1, text });
    expect(splice(bytes, envelope, [insert('"a":1,'), insert('"b":2,')])).toMatch(/^\{"a":1,"b":2,"jsonrpc"/);
  });

  it('adds a member to any object', () => {
    fc.assert(
      fc.property(object, anyText, picks, (value, key, pick) => {
        fc.pre(!Object.hasOwn(value, key));
        const own = Buffer.from(spell(value, pick));
        const envelope = Object.assign(scanMessage(bytes), whole(own));
        const added = splice(own, envelope, [addMember(own, whole(own), key, '[1]')]);
        const expected = JSON.parse(own.toString());
        Object.defineProperty(expected, key, { value: [1], enumerable: true });
        expect(JSON.parse(binaryToBytes(added).toString())).toEqual(expected);
      }),
    );
  });
});

describe('members', () => {
  it('are those of the parsed object, each with its bytes', () => {
    fc.assert(
      fc.property(object, picks, (value, pick) => {
        const bytes = Buffer.from(`[${spell(value, pick)}]`);
        const members = membersOf(bytes, { start: 1, end: bytes.length - 1 });
        const expected = JSON.parse(bytes.toString())[0] as object;
        expect(members).toHaveLength(Object.keys(expected).length);
        const read = new Map(members.map((each) => [each.key, parsed(bytes, each.value)]));
        expect(read).toEqual(new Map(Object.entries(expected)));
        for (const { key, start, value: span } of members) {
          const alone = Buffer.from(`{${bytes.toString('utf8', start, span.end)}}`);
          expect(Object.entries(JSON.parse(alone.toString()))).toEqual([[key, parsed(bytes, span)]]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('make an object again', () => {
    const bytes = Buffer.from('{ "a" : 1.0 , "b":[ "}" , {"c":"\\""}],"ü":-2e5 }');
    const members = membersOf(bytes, whole(bytes));
    expect(members.map(({ value }) => binaryOf(bytes, value))).toEqual([
      '1.0',
      '[ "}" , {"c":"\\""}]',
      '-2e5',
    ]);
    const rest = members.filter(({ key }) => key !== 'b');
    expect(binaryToBytes(objectOf(bytes, '', rest)).toString()).toBe('{"a" : 1.0,"ü":-2e5}');
    expect(binaryToBytes(objectOf(bytes, '"x":0', rest)).toString()).toBe('{"x":0,"a" : 1.0,"ü":-2e5}');
    expect(objectOf(bytes, '"x":0', [])).toBe('{"x":0}');
    expect(objectOf(bytes, '', [])).toBe('{}');
  });
});
