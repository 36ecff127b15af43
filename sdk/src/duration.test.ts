import { Type } from '@sinclair/typebox';
import { expect, it } from 'vitest';
import { Duration, durationMs } from './duration.js';
import { definePlugin } from './plugin.js';
import { configProblems } from './testing.js';

const waiting = definePlugin({
  name: 'waiting',
  version: '1.0.0',
  description: 'For a test.',
  phase: 'door',
  config: Type.Object({ wait: Duration({ description: 'How long, for example 10s.' }) }),
  reads: [],
  changes: [],
  hooks: () => ({}),
});

it.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['1.5h', 5_400_000],
  ['1h30m', 5_400_000],
  ['2d', 172_800_000],
  ['0s', 0],
])('%s are %i milliseconds', (written, ms) => {
  expect(configProblems(waiting, { wait: written })).toEqual([]);
  expect(durationMs(written)).toBe(ms);
});

it.each([10, '10', '', 's', '10 s', '-1s', '1w', '1e3s', '9'.repeat(40)])('%j is no duration', (written) => {
  expect(configProblems(waiting, { wait: written })).toEqual([
    expect.objectContaining({ path: 'wait', hint: 'How long, for example 10s.' }),
  ]);
});
