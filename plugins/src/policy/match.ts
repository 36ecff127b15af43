/** What `match` of a rule means. */
import type { ConfigProblem, Target } from '@sluice/sdk';
import { plainUri } from '../authorize/spelling.js';
import { FALSE, TRUE } from '../expressions/condition.js';
import { WITH_TARGET } from '../method-targets.js';
import { compilePattern, type Matches, patternProblems } from '../patterns.js';
import type { RuleConfig } from './config.js';
import type { Question } from './decision-point.js';

/**
 * Makes what says whether a rule is for what a question is about, as a set of what may be.
 *
 * @param path of `match` in the configuration.
 */
export function compileMatch(match: RuleConfig['match'], path: string, problems: ConfigProblem[]) {
  const wrong = patternProblems(match?.targets ?? [], `${path}.targets`);
  problems.push(...wrong);
  const methods = match?.methods && new Set(match.methods);
  const targets =
    match?.targets === undefined || wrong.length > 0 ? undefined : match.targets.map(compileTarget);
  return (question: Question): number => {
    const isMethod =
      methods === undefined
        ? WITH_TARGET.has(question.method)
        : question.methods.some((method) => methods.has(method));
    if (!isMethod) return FALSE;
    if (targets === undefined) return TRUE;
    const { target } = question;
    if (target === undefined) return question.isNameOpen ? TRUE | FALSE : FALSE;
    let all = 0;
    for (const each of targets) all |= each(target, question);
    return (all & TRUE) !== 0 && (all & FALSE) !== 0 && !question.isNameOpen ? TRUE : all;
  };
}

/** Says what may be of a target; of one whose name is open, by its upstream. */
function compileTarget(pattern: string): (target: Target, question: Question) => number {
  const matches: Matches = compilePattern(pattern);
  const colon = pattern.indexOf(':') + 1;
  const matchesPlain = compilePattern(pattern.slice(0, colon) + plainUri(pattern.slice(colon)));
  const upstream = compilePattern(`${pattern.slice(0, pattern.indexOf(':'))}:*`);
  const isAnyName = /^\*+$/.test(pattern.slice(colon));
  return (target, { isNameOpen, isPlain }) => {
    if (isPlain && target.kind === 'resource') return matchesPlain(target) ? TRUE : FALSE;
    if (!isNameOpen || isAnyName) return matches(target) ? TRUE : FALSE;
    return upstream(target) ? TRUE | FALSE : FALSE;
  };
}
