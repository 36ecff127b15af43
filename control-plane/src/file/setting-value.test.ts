import { fromJson } from '@bufbuild/protobuf';
import { DurationSchema, durationMs } from '@bufbuild/protobuf/wkt';
import { EraSchema, formatQuantity, StdioSharingSchema } from '@sluice/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  convertBoolean,
  convertBytes,
  convertDuration,
  convertNumber,
  convertWord,
} from './setting-value.js';

describe('durations', () => {
  it.each([
    ['10s', '10s'],
    ['500ms', '0.5s'],
    ['1.5s', '1.5s'],
    ['0.250s', '0.25s'],
    ['5m', '300s'],
    ['2h', '7200s'],
    ['1d', '86400s'],
    ['1h30m', '5400s'],
    [' 10s ', '10s'],
    ['0s', '0s'],
    ['-3s', '-3s'],
    ['100s', '100s'],
    ['0.000000001s', '0.000000001s'],
  ])('%s is %s', (written, json) => {
    expect(convertDuration(written)).toEqual({ json });
    expect(() => fromJson(DurationSchema, json)).not.toThrow();
  });

  it.each([
    [10, /without a unit/],
    ['10', /without a unit/],
    ['10 s', /not a duration/],
    ['ten', /not a duration/],
    ['10w', /not a duration/],
    ['', /not a duration/],
    ['1e3s', /not a duration/],
    ['99999999999999999999s', /beyond/],
    [true, /without a unit/],
  ])('refuses %s', (written, message) => {
    expect(convertDuration(written)).toMatchObject({ message: expect.stringMatching(message) });
  });

  it('reads back what it is formatted as', () => {
    fc.assert(
      fc.property(fc.nat(), (ms) => {
        const converted = convertDuration(formatQuantity(ms, 'duration'));
        if (!('json' in converted)) throw new Error(converted.message);
        expect(durationMs(fromJson(DurationSchema, converted.json))).toBe(ms);
      }),
    );
  });
});

describe('sizes', () => {
  it.each([
    [4096, 4096],
    ['4096', 4096],
    ['4MiB', 4_194_304],
    ['4 MiB', 4_194_304],
    ['4mib', 4_194_304],
    ['16Ki', 16_384],
    ['1.5KiB', 1536],
    ['1kB', 1000],
    ['1 GB', 1_000_000_000],
    ['7b', 7],
    ['0', 0],
  ])('%s is %d bytes', (written, json) => {
    expect(convertBytes(written)).toEqual({ json });
  });

  it.each([
    ['4XB', /not a size/],
    ['MiB', /not a size/],
    ['-1', /not a size/],
    ['4MiBs', /not a size/],
    ['constructor', /not a size/],
    ['4constructor', /not a size/],
    ['8GiB', /more than 4 GiB/],
    ['0.3KiB', /not a whole number of bytes/],
    [-1, /out of range/],
    [1.5, /not a whole number/],
    [true, /not a whole number/],
  ])('refuses %s', (written, message) => {
    expect(convertBytes(written)).toMatchObject({ message: expect.stringMatching(message) });
  });

  it('reads back what it is formatted as', () => {
    fc.assert(
      fc.property(fc.nat(), (bytes) => {
        expect(convertBytes(formatQuantity(bytes, 'bytes'))).toEqual({ json: bytes });
      }),
    );
  });
});

describe('numbers, booleans and words', () => {
  it.each([
    [8080, 8080],
    ['8080', 8080],
    [' 8080 ', 8080],
    [0, 0],
  ])('%s is the number %d', (written, json) => {
    expect(convertNumber(written)).toEqual({ json });
  });

  it.each([['x'], [''], ['0x10'], ['1.5'], [1.5], [-1], [2 ** 32], [10n ** 30n], [Number.NaN], [true]])(
    'refuses %s as a number',
    (written) => {
      expect(convertNumber(written)).toHaveProperty('message');
    },
  );

  it.each([
    [true, true],
    ['TRUE', true],
    ['yes', true],
    ['1', true],
    [1, true],
    ['off', false],
    ['0', false],
  ])('%s is %s', (written, json) => {
    expect(convertBoolean(written)).toEqual({ json });
  });

  it.each([['maybe'], [''], [2], ['constructor']])('refuses %s as a boolean', (written) => {
    expect(convertBoolean(written)).toHaveProperty('message');
  });

  it.each([
    [EraSchema, 'modern', 'ERA_MODERN'],
    [EraSchema, 'auto', 'ERA_UNSPECIFIED'],
    [EraSchema, 'ERA_LEGACY', 'ERA_LEGACY'],
    [StdioSharingSchema, 'per_session', 'STDIO_SHARING_PER_SESSION'],
    [StdioSharingSchema, 'Per-Session', 'STDIO_SHARING_PER_SESSION'],
  ])('%s knows the word %s', (description, written, json) => {
    expect(convertWord(description, written)).toEqual({ json });
  });

  it('names the words when none fits', () => {
    expect(convertWord(EraSchema, 'ancient')).toMatchObject({ hint: 'write one of: auto, modern, legacy' });
    expect(convertWord(StdioSharingSchema, 'auto')).toMatchObject({
      hint: 'write one of: shared, per_session, cluster',
    });
  });
});
