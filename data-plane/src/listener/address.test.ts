import { isIP } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressText, plainAddress } from './address.js';

test('addresses are written as RFC 5952 has it', () => {
  const v6 = (...groups: number[]) =>
    addressText(Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));
  expect(addressText(Uint8Array.of(192, 0, 2, 1))).toBe('192.0.2.1');
  expect(v6(0, 0, 0, 0, 0, 0, 0, 1)).toBe('::1');
  expect(v6(0, 0, 0, 0, 0, 0, 0, 0)).toBe('::');
  expect(v6(0x2001, 0xdb8, 0, 0, 1, 0, 0, 1)).toBe('2001:db8::1:0:0:1');
  expect(v6(0x2001, 0xdb8, 0, 1, 1, 1, 1, 1)).toBe('2001:db8:0:1:1:1:1:1');
  expect(v6(1, 0, 0, 0, 0, 0, 0, 0)).toBe('1::');
  expect(v6(0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201)).toBe('192.0.2.1');
  expect([plainAddress('::ffff:192.0.2.1'), plainAddress('::1')]).toEqual(['192.0.2.1', '::1']);
});

test('every binary address has a text form, and what is none has none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      expect(isIP(addressText(bytes))).toBeGreaterThan(0);
    }),
  );
  expect(addressText(new Uint8Array(0))).toBe('');
});
