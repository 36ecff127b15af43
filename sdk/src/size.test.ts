import { Type } from '@sinclair/typebox';
import { expect, it } from 'vitest';
import { definePlugin } from './plugin.js';
import { Size, sizeBytes } from './size.js';
import { configProblems } from './testing.js';

const holding = definePlugin({
  name: 'holding',
  version: '1.0.0',
  description: 'For a test.',
  phase: 'door',
  config: Type.Object({ most: Size({ description: 'How much, for example 64KiB.' }) }),
  reads: [],
  changes: [],
  hooks: () => ({}),
});

it.each([
  [1, 1],
  [65_536, 65_536],
  ['64KiB', 65_536],
  ['4 MiB', 4_194_304],
  ['1.5GB', 1_500_000_000],
  ['10kB', 10_000],
  ['7B', 7],
  ['65536', 65_536],
  ['9999999999GiB', 4_294_967_295],
])('%j are %i bytes', (written, bytes) => {
  expect(configProblems(holding, { most: written })).toEqual([]);
  expect(sizeBytes(written)).toBe(bytes);
});

it('are as large as they are written where more than 4 GiB may be', () => {
  expect(sizeBytes('20GiB', Number.MAX_SAFE_INTEGER)).toBe(20 * 2 ** 30);
});

it.each([0, -1, 1.5, 2 ** 32, '', '0', '0KiB', '64 apples', '64KiB ', '-1MB', true, null, [1]])(
  '%j is no size',
  (written) => {
    expect(configProblems(holding, { most: written })).toEqual([
      expect.objectContaining({ path: 'most', hint: 'How much, for example 64KiB.' }),
    ]);
  },
);
