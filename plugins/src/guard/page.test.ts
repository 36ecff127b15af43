import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { DETECTORS } from '../redaction/index.js';
import { JSON_RULES } from './config.js';
import { SIGNALS } from './instructions.js';
import { RULE_SETS } from './rules/index.js';

/* The tables of the page say what the code has. */

const PAGE = readFileSync(new URL('../../../docs/plugins/guard.md', import.meta.url), 'utf8');

function tableUnder(head: string): readonly string[] {
  const [, behind = ''] = PAGE.split(`${head}\n`);
  return (behind.split('\n\n')[0] as string).split('\n').slice(1);
}

it('the page has every rule', () => {
  const sets = RULE_SETS.flatMap(({ name, rules }) =>
    rules.map(({ id, finds }) => [name, id, finds] as const),
  );
  const json = Object.entries(JSON_RULES).map(([id, finds]) => ['json', id, finds] as const);
  expect(tableUnder('| set | rule | finds |')).toEqual(
    [...sets, ...json].map(([set, id, finds]) => `| \`${set}\` | \`${id}\` | ${finds} |`),
  );
});

it('the page has every detector', () => {
  expect(tableUnder('| detector | finds | kind |')).toEqual(
    DETECTORS.map(
      ({ id, finds, kind, isDefault }) =>
        `| \`${id}\` | ${finds} | ${kind}${isDefault ? '' : ', when it is asked for'} |`,
    ),
  );
});

it('the page has every signal', () => {
  expect(tableUnder('| signal | weight | says |')).toEqual(
    SIGNALS.map(({ id, weight, finds }) => `| \`${id}\` | ${weight} | ${finds} |`),
  );
});
