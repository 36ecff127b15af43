import { describe, expect, it } from 'vitest';
import { idKey, idKeyOf, isId } from './ids.js';

const whole = (bytes: Buffer) => ({ start: 0, end: bytes.length });

describe('one id in many spellings', () => {
  it.each([
    ['"a/b"', '"a\\/b"'],
    ['"é"', '"\\u00e9"'],
    ['"\\"\\\\"', '"\\u0022\\u005C"'],
    ['"😀"', '"\\ud83d\\ude00"'],
  ])('%s and %s are the same', (one, other) => {
    const [a, b] = [Buffer.from(one), Buffer.from(other)];
    expect(idKey(a, whole(a))).toBe(idKey(b, whole(b)));
    expect(isId(a, whole(a), b.latin1Slice())).toBe(true);
    expect(JSON.parse(Buffer.from(idKeyOf(b.latin1Slice()), 'latin1').toString())).toBe(JSON.parse(one));
  });

  it.each([
    ['1', '"1"'],
    ['"a"', '"A"'],
    ['12', '1'],
    ['"\\n"', '"n"'],
  ])('%s and %s are not', (one, other) => {
    const bytes = Buffer.from(one);
    expect(isId(bytes, whole(bytes), other)).toBe(false);
  });

  it('leaves a number that JavaScript cannot hold as it is', () => {
    expect(idKeyOf('9007199254740993')).toBe('9007199254740993');
  });
});
