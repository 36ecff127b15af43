/** What OPA is told about a request. */
import type { ConfigProblem } from '@sluice/sdk';
import { compileScope, type Scope } from '../../expressions/scope.js';
import type { Question } from '../decision-point.js';
import { OpaFailure } from './result.js';

/** Longest input that OPA is asked about, in characters of JSON. */
const MAX_INPUT_LENGTH = 1_048_576;

/** Attributes that are data, and stay what they are while OPA looks at them. */
const ATTRIBUTES: readonly string[] = [
  'address',
  'arguments',
  'client',
  'endpoint',
  'headers',
  'origin',
  'principal',
  'revision',
  'session',
  'transport',
];
/** What the plugin finds out by itself. */
const FACTS: readonly string[] = ['agent', 'method', 'now', 'target'];
/** Those of which a part cannot be picked. */
const WHOLE: readonly string[] = [
  ...FACTS,
  'address',
  'endpoint',
  'origin',
  'revision',
  'session',
  'transport',
];
const CLIENT_PARTS: readonly string[] = ['client.name', 'client.version', 'client.capabilities'];
/** A part of something, or a claim or header by its name. */
const FIELD = /^([a-z]+)(?:\.(.+))?$/;

export function inputProblems(fields: readonly string[]): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  fields.forEach((field, index) => {
    const message = fieldProblem(field);
    if (message !== undefined) problems.push({ path: `opa.input[${index}]`, message });
  });
  return problems;
}

function fieldProblem(field: string): string | undefined {
  const [, root = '', part] = FIELD.exec(field) ?? [];
  if (!ATTRIBUTES.includes(root) && !FACTS.includes(root))
    return `is nothing that OPA can be told; that is ${[...ATTRIBUTES, ...FACTS].sort().join(', ')}`;
  if (part !== undefined && WHOLE.includes(root)) return `cannot be told in parts; write ${root}`;
  // The credential is among them, and everything that some proxy added.
  if (root === 'headers' && part === undefined) return 'has to name one of them: headers.x-team';
  if (root === 'headers' && part !== part?.toLowerCase()) return 'has to be written in lower case';
  return undefined;
}

/** An input as JSON text, by which a decision is kept. */
export class OpaInput {
  readonly reads: readonly string[];
  readonly paths: readonly string[];
  private readonly scopeOf: (ctx: Scope, locals: Scope) => Scope;
  private readonly scopeLater: (ctx: Scope, locals: Scope) => Scope;

  /** @param fields without problems. */
  constructor(private readonly fields: readonly string[]) {
    // What a client is it says when it is asked for each.
    const parts = fields.flatMap((field) => (field === 'client' ? CLIENT_PARTS : [field]));
    const isFact = (field: string) => FACTS.includes(field);
    this.paths = fields.filter(isFact);
    this.reads = outermost(parts.filter((field) => !isFact(field)));
    this.scopeOf = compileScope(this.reads);
    this.scopeLater = compileScope(this.reads.filter((read) => !/^arguments(?:\.|$)/.test(read)));
  }

  /** @throws OpaFailure when it is too long. */
  of(question: Question): string {
    const { ctx, isLater, target } = question;
    const own: Record<string, unknown> = {};
    for (const field of this.fields) {
      if (field === 'method') own.method = question.method;
      else if (field === 'target') own.target = target ?? null;
      else if (field === 'now') own.now = minuteOf(question.facts.now as Date);
      else if (field === 'agent') own.agent = question.facts.agent;
    }
    if (isLater) own.later = true;
    const text = JSON.stringify((isLater ? this.scopeLater : this.scopeOf)(ctx, own));
    if (text.length > MAX_INPUT_LENGTH)
      throw new OpaFailure('input', `the input for OPA is longer than ${MAX_INPUT_LENGTH} characters`);
    return text;
  }
}

/** Decisions of one minute have one key. */
function minuteOf(now: Date): string {
  return `${now.toISOString().slice(0, 16)}:00Z`;
}

/** The whole contains its parts. */
function outermost(reads: readonly string[]): readonly string[] {
  return [...new Set(reads)].filter((read) => !reads.some((other) => read.startsWith(`${other}.`)));
}
