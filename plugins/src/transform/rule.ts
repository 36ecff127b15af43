/** One rule of the configuration, compiled into what it does at each point of an exchange. */
import { type Static, type Target, TargetPattern, Type } from '@sluice/sdk';
import { compileExpression, NoValue } from '../expressions/expression.js';
import type { Scope } from '../expressions/scope.js';
import { compileTemplate, type Template } from '../expressions/template.js';
import { compilePatterns, patternProblems } from '../patterns.js';
import type { Pointer } from '../pointer.js';
import { type Change, compileDocument, DocumentChanges, type Findings } from './document.js';
import { nameProblem, renameProblem, valueProblem } from './headers.js';

function changesOf(description: string) {
  return Type.Object(DocumentChanges.properties, { additionalProperties: false, description });
}

export const Rule = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z][a-z0-9_-]{0,62}$',
      description: 'Names the rule in refusals, logs and metrics: lower-case letters, digits, - and _.',
    }),
    match: Type.Optional(
      Type.Object(
        {
          methods: Type.Optional(
            Type.Array(Type.String({ minLength: 1 }), {
              minItems: 1,
              description: 'For example tools/call.',
            }),
          ),
          targets: Type.Optional(
            Type.Array(TargetPattern(), {
              minItems: 1,
              maxItems: 1_000,
              description: 'Patterns upstream:name of tools, prompts and resources, for example "crm:*".',
            }),
          ),
        },
        {
          additionalProperties: false,
          description: 'What the rule is for; everything when nothing is said.',
        },
      ),
    ),
    when: Type.Optional(Type.String({ description: 'CEL expression that has to be true.' })),
    headers: Type.Optional(
      Type.Object(
        {
          rename: Type.Optional(
            Type.Record(Type.String(), Type.String(), {
              description: 'Fields that the client sent go on under another name.',
            }),
          ),
          remove: Type.Optional(Type.Array(Type.String(), { description: 'Fields that do not go on.' })),
          set: Type.Optional(
            Type.Record(Type.String(), Type.String(), {
              description:
                'Fields with their values; {{principal.id}} stands for the value of that expression.',
            }),
          ),
        },
        { additionalProperties: false, description: 'Fields of the request to the upstream.' },
      ),
    ),
    arguments: Type.Optional(changesOf('Arguments of a call or a prompt.')),
    result: Type.Optional(changesOf('The result that came back.')),
    entries: Type.Optional(changesOf('Each entry of a list.')),
  },
  { additionalProperties: false },
);
export type RuleConfig = Static<typeof Rule>;

const LISTS = ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list'];
/** What names an entry. Clients call by it, and the gateway finds by it where a call goes. */
const IDENTITIES = ['name', 'uri', 'uriTemplate'];

/** @throws NoValue */
type Condition = (ctx: Scope, locals: Scope) => boolean;

export interface CompiledRule {
  readonly name: string;
  readonly isFor: (ctx: Scope) => boolean;
  readonly isForEntry: (ctx: Scope, target: Target) => boolean;
  readonly request:
    | { when: Condition; headers: HeaderChange | undefined; arguments: Change | undefined }
    | undefined;
  readonly result: { when: Condition; change: Change } | undefined;
  readonly entries: { when: Condition; change: Change } | undefined;
  /** True when what a caller passes can be why there is no value. */
  readonly readsArguments: boolean;
}

/**
 * Adds the fields that change, by lower-case name; undefined takes one away.
 *
 * @throws NoValue, UnfitHeader
 */
export type HeaderChange = (ctx: Scope, locals: Scope, into: Record<string, string | undefined>) => void;

/** @param path of the rule in the configuration. */
export function compileRule(rule: RuleConfig, path: string, findings: Findings): CompiledRule {
  const { match, when, headers, result, entries } = rule;
  const own: Findings = { problems: findings.problems, reads: new Set() };
  if (headers === undefined && rule.arguments === undefined && result === undefined && entries === undefined)
    findings.problems.push({
      path,
      message: 'changes nothing; it has headers, arguments, result or entries',
    });
  const condition = (locals: readonly string[]) => compileCondition(when, `${path}.when`, locals, own);
  const changes = (what: DocumentChanges | undefined, name: string, locals: readonly string[]) =>
    what &&
    compileDocument(what, `${path}.${name}`, locals, own, name === 'entries' ? identityProblem : undefined);
  const changeArguments = changes(rule.arguments, 'arguments', []);
  const changeHeaders = headers && compileHeaders(headers, `${path}.headers`, own);
  const changeResult = changes(result, 'result', ['result']);
  const changeEntry = changes(entries, 'entries', ['entry']);
  const asksRequest = changeArguments !== undefined || changeHeaders !== undefined;
  const request = asksRequest
    ? { when: condition([]), headers: changeHeaders, arguments: changeArguments }
    : undefined;
  const matched = compileMatch(match, `${path}.match`, own);
  if (entries !== undefined && match?.methods?.some((method) => LISTS.includes(method)) === false)
    own.problems.push({
      path: `${path}.match.methods`,
      message: `holds no list, and entries are of ${LISTS.join(', ')}`,
    });
  if (changeArguments !== undefined) own.reads.add('arguments').add('method');
  for (const read of own.reads) findings.reads.add(read);
  return {
    name: rule.name,
    ...matched,
    request,
    result: changeResult && { when: condition(['result']), change: changeResult },
    entries: changeEntry && { when: condition(['entry']), change: changeEntry },
    readsArguments: own.reads.has('arguments'),
  };
}

function identityProblem([first = '']: Pointer): string | undefined {
  return IDENTITIES.includes(first) ? `is what an entry is called by, which no rule changes` : undefined;
}

function compileMatch(match: RuleConfig['match'], path: string, findings: Findings) {
  const methods = match?.methods === undefined ? undefined : new Set(match.methods);
  if (methods !== undefined) findings.reads.add('method');
  const patterns = match?.targets ?? [];
  const wrong = patternProblems(patterns, `${path}.targets`);
  findings.problems.push(...wrong);
  const isTarget = match?.targets === undefined || wrong.length > 0 ? undefined : compilePatterns(patterns);
  if (isTarget !== undefined) findings.reads.add('targets');
  const isMethod = (ctx: Scope) => methods === undefined || methods.has(ctx.method as string);
  return {
    isFor: (ctx: Scope) =>
      isMethod(ctx) && (isTarget === undefined || (ctx.targets as readonly Target[]).some(isTarget)),
    isForEntry: (ctx: Scope, target: Target) => isMethod(ctx) && (isTarget === undefined || isTarget(target)),
  };
}

function compileCondition(
  source: string | undefined,
  path: string,
  locals: readonly string[],
  findings: Findings,
): Condition {
  if (source === undefined) return () => true;
  const compiled = compileExpression(source, locals);
  if (!compiled.ok || !['bool', 'dyn'].includes(compiled.it.type)) {
    const message = compiled.ok ? `gives a ${compiled.it.type}, and not true or false` : compiled.problem;
    if (!findings.problems.some((problem) => problem.path === path))
      findings.problems.push({ path, message });
    return () => false;
  }
  const expression = compiled.it;
  for (const read of expression.reads) findings.reads.add(read);
  return (ctx, own) => {
    const value = expression.value(ctx, own);
    if (typeof value === 'boolean') return value;
    // Taken for false, a text where true was meant would switch off what the rule protects.
    throw new NoValue('the condition is neither true nor false');
  };
}

function compileHeaders(
  { rename = {}, remove = [], set = {} }: NonNullable<RuleConfig['headers']>,
  path: string,
  findings: Findings,
): HeaderChange {
  const problem = (own: string, message: string | undefined) => {
    if (message !== undefined) findings.problems.push({ path: `${path}.${own}`, message });
  };
  for (const [from, to] of Object.entries(rename)) {
    problem(`rename.${from}`, renameProblem(from) ?? renameProblem(to));
    findings.reads.add(`headers.${from.toLowerCase()}`);
  }
  remove.forEach((name, index) => void problem(`remove[${index}]`, nameProblem(name)));
  const values = Object.entries(set).map(([name, source]) => {
    problem(`set.${name}`, nameProblem(name));
    return {
      name: name.toLowerCase(),
      template: headerTemplate(source, (m) => problem(`set.${name}`, m), findings),
    };
  });
  const moves = Object.entries(rename).map(([from, to]) => [from.toLowerCase(), to.toLowerCase()] as const);
  const gone = remove.map((name) => name.toLowerCase());
  return function changeHeaders(ctx, locals, into) {
    for (const [from, to] of moves) {
      const value = (ctx.headers as Readonly<Record<string, string | undefined>>)[from];
      if (value === undefined) continue;
      into[from] = undefined;
      into[to] = fitting(to, value);
    }
    for (const name of gone) into[name] = undefined;
    for (const { name, template } of values) into[name] = fitting(name, template?.text(ctx, locals) ?? '');
  };
}

function headerTemplate(
  source: string,
  problem: (message: string) => void,
  findings: Findings,
): Template | undefined {
  const compiled = compileTemplate(source);
  if (!compiled.ok) {
    problem(compiled.problem);
    return undefined;
  }
  for (const read of compiled.it.reads) findings.reads.add(read);
  const wrong = compiled.it.isConstant ? valueProblem(source) : undefined;
  if (wrong !== undefined) problem(wrong);
  return compiled.it;
}

/** A header cannot hold this value of the request. */
export class UnfitHeader extends Error {
  override readonly name = 'UnfitHeader';
}

function fitting(name: string, value: string): string {
  const problem = valueProblem(value);
  if (problem !== undefined) throw new UnfitHeader(`the header ${name} ${problem}`);
  return value;
}
