import { readFileSync } from 'node:fs';
import { BUILT_IN, builtIn } from '@sluice/plugins';
import { Duration, type Plugin, Secret, Size, Type } from '@sluice/sdk';
import { describe, expect, it } from 'vitest';
import { pluginsPage } from './plugins-page.js';
import { type Schema, settingsOf } from './settings.js';

/** As they were built: plugins are loaded by name when somebody asks for them. */
const plugins = BUILT_IN.map((name) => builtIn(name) as Plugin);

describe('the reference page of the plugins', () => {
  it('is as committed (else: npm run generate -w @sluice/plugins)', () => {
    const file = new URL('../../../docs/reference/plugins.md', import.meta.url);
    expect(readFileSync(file, 'utf8')).toBe(pluginsPage(plugins));
  });

  it.each(plugins)('has a meaning for each setting of $name', ({ config }) => {
    const settings = settingsOf(config as Schema);
    expect(settings).not.toHaveLength(0);
    for (const { path, meaning } of settings) expect(meaning, path).toMatch(/[.…]$/);
  });
});

describe('a setting', () => {
  const Rate = Type.Object({ rate: Type.Integer({ minimum: 1, description: 'How many.' }) });
  const rows = settingsOf(
    Type.Object({
      key: Secret({ minLength: 32, maxLength: 64 }),
      mode: Type.Union([Type.Literal('any'), Type.Literal('all')], { default: 'any' }),
      after: Type.Optional(Duration({ description: 'Later.' })),
      most: Type.Optional(Size()),
      names: Type.Array(Type.String({ maxLength: 8 }), { minItems: 1, default: ['a', 'b'] }),
      tiers: Type.Record(Type.String(), Rate, { maxProperties: 3 }),
      other: Type.Optional(Type.Array(Rate)),
      pattern: Type.String({ pattern: '^`$', default: '' }),
    }) as unknown as Schema,
  ).map(({ path, takes, default: value, meaning }) => [path, takes, value, meaning]);

  it('says what it takes, how much, and what holds without it', () => {
    expect(rows).toEqual([
      ['key', 'secret text, 32 to 64 characters', 'has to be there', ''],
      ['mode', '`any`, `all`', '`any`', ''],
      ['after', 'duration', '', 'Later.'],
      ['most', 'size', '', ''],
      ['names', 'list of (text, at most 8 characters), not empty', '`a`, `b`', ''],
      ['tiers', 'mapping to mapping, at most 3 entries', 'has to be there', ''],
      ['tiers.*.rate', 'whole number, at least 1', 'has to be there', 'How many.'],
      ['other', 'list of mapping', '', 'Its fields are those of `tiers.*`.'],
      ['pattern', 'text like ``^`$``', 'an empty text', ''],
    ]);
  });
});
