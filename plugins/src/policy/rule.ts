/** One rule of the configuration, compiled. */
import type { ConfigProblem } from '@sluice/sdk';
import { LRUCache } from 'lru-cache';
import {
  ANYTHING,
  answerOf,
  type Condition,
  compileCondition,
  FALSE,
  outcomes,
  type Part,
  TRUE,
} from '../expressions/condition.js';
import type { Compiled } from '../expressions/expression.js';
import { NoValue, TooLong } from '../expressions/functions.js';
import type { Scope } from '../expressions/scope.js';
import { compileTemplate, type Template } from '../expressions/template.js';
import type { RuleConfig } from './config.js';
import type { Asking, Question, Verdict } from './decision-point.js';
import { compileMatch } from './match.js';

/** Names that rules use beside the attributes, or in place of them. */
export const FACTS = ['agent', 'method', 'now', 'session', 'target'];

/** What is not known before a use: facts, and the attribute of the same sense. */
const LATER_PATHS = /^(?:arguments|session|now)(?:\.|$)/;
/** What is known of a target whose name is not. */
const KNOWN_OF_TARGET: readonly string[] = ['target.kind', 'target.upstream'];

/** What facts have, that are not plain values. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  agent: ['name', 'version', 'capabilities', 'source'],
  session: ['count', 'tools', 'rules'],
  target: ['kind', 'upstream', 'name'],
};

/** Why a path leads to nothing that there is; undefined when it may lead somewhere. */
function pathProblem(path: string, ids: ReadonlySet<string>): string | undefined {
  const [root = '', member, ...rest] = path.split('.');
  const members = MEMBERS[root];
  if (members === undefined || member === undefined) return undefined;
  if (!members.includes(member)) return `reads ${root}.${member}; it has ${members.join(', ')}`;
  const [id] = rest;
  if (root === 'session' && member === 'rules' && id !== undefined && !ids.has(id))
    return `reads session.rules.${id}, and there is no such rule`;
  return undefined;
}

export interface CompiledRule {
  readonly id: string;
  readonly outcome: Verdict['outcome'];
  readonly isEnforced: boolean;
  readonly reads: readonly string[];
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
  readonly condition: Condition | undefined;
  /** Whether the rule is for what the question is about, as a set of what may be; see `outcomes`. */
  matches(question: Question): number;
  reason(question: Question): string | undefined;
  /** @throws NoValue */
  asking(question: Question): Asking | undefined;
}

interface Findings {
  readonly problems: ConfigProblem[];
  readonly reads: Set<string>;
  readonly paths: Set<string>;
  readonly patterns: Set<string>;
  /** Of all rules. */
  readonly ids: ReadonlySet<string>;
}

/**
 * @param path of the rule in the configuration.
 * @param ids of all rules.
 */
export function compileRule(
  rule: RuleConfig,
  path: string,
  problems: ConfigProblem[],
  ids: ReadonlySet<string>,
): CompiledRule {
  const findings: Findings = { problems, reads: new Set(), paths: new Set(), patterns: new Set(), ids };
  const { id, outcome, match, ask } = rule;
  if (outcome === 'ask' && ask === undefined)
    problems.push({
      path: `${path}.ask`,
      message: 'is missing',
      hint: 'say what the person is asked: ask.message',
    });
  if (outcome !== 'ask' && ask !== undefined)
    problems.push({ path: `${path}.ask`, message: `is for nothing where the outcome is ${outcome}` });
  if (ask?.url !== undefined && ask.schema !== undefined)
    problems.push({ path: `${path}.ask.schema`, message: 'is for nothing beside `url`' });
  if ((ask?.url === undefined) !== (ask?.confirm_url === undefined))
    problems.push({
      path: `${path}.ask.${ask?.url === undefined ? 'url' : 'confirm_url'}`,
      message: 'is missing',
      hint: 'a page needs both: to open one is not to approve on it',
    });
  if (ask?.url !== undefined && !ask.url.includes('{id}'))
    problems.push({
      path: `${path}.ask.url`,
      message: 'has no {id}, so the page cannot know what it is about',
    });
  const form = ask?.schema;
  if (form !== undefined && (form.type !== 'object' || typeof form.properties !== 'object'))
    problems.push({
      path: `${path}.ask.schema`,
      message: 'is no schema of a form',
      hint: 'write type: object, and properties with its fields',
    });
  const condition = compileWhen(rule.when, `${path}.when`, findings);
  const reason = compileText(rule.reason, `${path}.reason`, findings);
  const message = compileText(ask?.message, `${path}.ask.message`, findings);
  const fleeting = message?.paths.find((each) => /^(?:now|session)(?:\.|$)/.test(each));
  if (fleeting !== undefined)
    problems.push({
      path: `${path}.ask.message`,
      message: `reads ${fleeting}, which changes by itself`,
      hint: 'an answer counts for the very question that was asked',
    });
  const schema = ask?.schema as Asking['schema'];
  return {
    id,
    outcome,
    isEnforced: rule.mode === 'enforce',
    reads: [...findings.reads],
    paths: [...findings.paths],
    patterns: [...findings.patterns],
    condition,
    matches: compileMatch(match, `${path}.match`, problems),
    reason({ ctx, facts }) {
      try {
        return reason?.text(ctx, facts, shown);
      } catch (error) {
        if (error instanceof NoValue && !(error instanceof TooLong)) return undefined;
        throw error;
      }
    },
    asking({ ctx, facts }) {
      if (message === undefined) return undefined;
      const text = message.text(ctx, facts, shown);
      if (text.trim() === '') throw new NoValue('there is nothing to ask');
      return { message: text, schema, url: ask?.url, confirmUrl: ask?.confirm_url };
    },
  };
}

function found(
  { reads, paths, patterns }: Pick<Condition, 'reads' | 'paths' | 'patterns'>,
  path: string,
  findings: Findings,
): void {
  for (const read of reads) findings.reads.add(read);
  for (const pattern of patterns) findings.patterns.add(pattern);
  for (const each of paths) {
    findings.paths.add(each);
    const message = pathProblem(each, findings.ids);
    if (message !== undefined) findings.problems.push({ path, message });
  }
}

/** A configuration is looked at more than once, and the next one has most of the same rules. */
const compiledConditions = new LRUCache<string, Compiled<Condition>>({ max: 10_000 });

function conditionOf(source: string): Compiled<Condition> {
  const known = compiledConditions.get(source);
  if (known !== undefined) return known;
  const compiled = compileCondition(source, FACTS);
  compiledConditions.set(source, compiled);
  return compiled;
}

function compileWhen(source: string | undefined, path: string, findings: Findings): Condition | undefined {
  if (source === undefined) return undefined;
  const compiled = conditionOf(source);
  if (!compiled.ok) {
    findings.problems.push({ path, message: compiled.problem });
    return undefined;
  }
  found(compiled.it, path, findings);
  return compiled.it;
}

function compileText(source: string | undefined, path: string, findings: Findings): Template | undefined {
  if (source === undefined) return undefined;
  const compiled = compileTemplate(source, FACTS);
  if (!compiled.ok) {
    findings.problems.push({ path, message: compiled.problem });
    return undefined;
  }
  found(compiled.it, path, findings);
  return compiled.it;
}

/** Longest value in what a client or a person is told. */
const MAX_SHOWN_LENGTH = 300;
/** What ends a line, hides, or turns the direction of what is behind it. */
const MISLEADING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu;

/** A caller chooses the values, and is not to write what stands around them. */
function shown(value: string): string {
  const cut =
    value.length > MAX_SHOWN_LENGTH
      ? `${value.slice(0, MAX_SHOWN_LENGTH)}… (${value.length} characters)`
      : value;
  return cut.replace(MISLEADING, (each) => `\\u{${(each.codePointAt(0) as number).toString(16)}}`);
}

/** What of a part is not known before the use itself. */
interface Openness {
  readonly isLater: boolean;
  readonly isNamed: boolean;
}

const openness = new WeakMap<Part, Openness>();

function opennessOf(part: Part): Openness {
  const known = openness.get(part);
  if (known !== undefined) return known;
  const { paths } = part.expression;
  const isOfName = (path: string) =>
    (path === 'target' || path.startsWith('target.')) && !KNOWN_OF_TARGET.includes(path);
  const found = {
    isLater: paths.some((path) => LATER_PATHS.test(path)),
    isNamed: paths.some(isOfName),
  };
  openness.set(part, found);
  return found;
}

function isOpen(part: Part, { isLater, isNameOpen }: Question): boolean {
  const open = opennessOf(part);
  return (isLater && open.isLater) || (isNameOpen && open.isNamed);
}

/**
 * What may be said of whether a rule holds.
 *
 * @param scope with all that the condition reads.
 * @param seen is told what each part says.
 */
export function holds(
  rule: CompiledRule,
  question: Question,
  scope: Scope,
  seen?: (part: Part, set: number) => void,
): number {
  const matched = rule.matches(question);
  if (matched === FALSE || rule.condition === undefined) return matched;
  const ask = (part: Part) => {
    const set =
      (question.isLater || question.isNameOpen) && isOpen(part, question) ? ANYTHING : answerOf(part, scope);
    seen?.(part, set);
    return set;
  };
  const said = outcomes(rule.condition.tree, ask);
  return matched === TRUE ? said : said | FALSE;
}
