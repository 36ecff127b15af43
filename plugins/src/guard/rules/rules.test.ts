import { describe, expect, it } from 'vitest';
import { readings } from '../readings.js';
import { RULE_SETS } from './index.js';

const ALL = RULE_SETS.flatMap((set) => set.rules.map((rule) => ({ id: rule.id, set, rule })));

it('ids are unique, and say to which set they belong', () => {
  expect(new Set(ALL.map(({ id }) => id)).size).toBe(ALL.length);
  for (const { rules } of RULE_SETS)
    expect(new Set(rules.map(({ id }) => id.slice(0, id.indexOf('-')))).size).toBe(1);
});

describe.each(ALL)('$id', ({ set, rule }) => {
  const isIn = (text: string) =>
    readings(text, set.read).some((each) => rule.isIn({ text: each, member: '' }));

  it.each(rule.examples)('finds %j', (text) => {
    expect(isIn(text)).toBe(true);
    expect(isIn(`please do ${text}`) || /^\W|^\w+:|^[\d/\\.]/.test(text) || isIn(` ${text} `)).toBe(true);
  });
  it.each(rule.examples)('finds %j however it is written', (text) => {
    expect(isIn(encodeURIComponent(text))).toBe(true);
    expect(isIn(JSON.stringify(text).slice(1, -1))).toBe(true);
    expect(isIn([...text].map((each) => `&#x${each.codePointAt(0)?.toString(16)};`).join(''))).toBe(true);
    if (text.length >= 12) expect(isIn(Buffer.from(text).toString('base64'))).toBe(true);
    expect(isIn([...text].join('\u200b'))).toBe(true);
  });
  it.each(rule.harmless)('does not find %j', (text) => {
    expect(isIn(text)).toBe(false);
  });
});

it('take time as a text has length: each is held against texts that were made for it', () => {
  const long = [
    '../',
    'rm -r ',
    'select ',
    '$(',
    '{{',
    '"a',
    'http://',
    '0x',
    '::',
    '/*',
    'a.a',
    '<%',
    ' or 1',
    '\\\\a',
    'curl ',
    '| ',
  ];
  for (const unit of long) {
    const text = unit.repeat(16_000 / unit.length);
    for (const { set, rule } of ALL)
      for (const each of readings(text, set.read))
        expect(typeof rule.isIn({ text: each, member: '' })).toBe('boolean');
  }
});
