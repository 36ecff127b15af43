import { describe, expect, it } from 'vitest';
import { KeyedHash } from './keyed-hash.js';

/** The key 00 01 … 07 of the published vectors. */
const KEY = [0x03020100, 0x07060504] as const;

function hashed(byteCount: number): string {
  const bytes = Uint8Array.from({ length: byteCount }, (_, index) => index);
  const hash = new KeyedHash(...KEY);
  hash.hash(Buffer.from(bytes).toString('utf16le'));
  const out = Buffer.alloc(8);
  out.writeInt32LE(hash.low, 0);
  out.writeInt32LE(hash.high, 4);
  return out.toString('hex');
}

describe('the keyed hash', () => {
  it.each([
    [0, '218d1f59b9b83cc8'],
    [2, '064f39ef7c50eb57'],
    [4, 'd5e78a175be52ea1'],
    [6, 'ce3e91358aa2bc25'],
    [8, 'edfee820bce4858c'],
    [10, '95b0469f06a6f2ee'],
    [12, '7bc71f9faef5c799'],
    [14, '3bb1a870eae8e658'],
    [16, '7336aad25f7bf3b5'],
    [24, '70741045ae3fa6f1'],
    [28, '2d925ffb1e0016b5'],
  ])('of %i bytes is that of the published vectors', (byteCount, expected) => {
    expect(hashed(byteCount)).toBe(expected);
  });

  it('is another one under another key', () => {
    const [one, other] = [new KeyedHash(1, 2), new KeyedHash(1, 3)];
    one.hash('the same text');
    other.hash('the same text');
    expect([one.low, one.high]).not.toEqual([other.low, other.high]);
  });
});
