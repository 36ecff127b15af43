/**
 * Changes what goes to servers and what comes back, by rules: header fields and arguments of calls, results, and the
 * entries of lists, such as descriptions of tools. Where a rule applies and cannot do its work, the call is refused.
 */
import {
  type Attribute,
  type Changes,
  definePlugin,
  type JsonObject,
  type ListEntry,
  type Outcome,
  type PluginHost,
  Refusal,
  Size,
  type Static,
  sizeBytes,
  Type,
} from '@sluice/sdk';
import { NoValue } from '../expressions/expression.js';
import type { Scope } from '../expressions/scope.js';
import { NoPlace } from '../pointer.js';
import type { Findings } from './document.js';
import { type CompiledRule, compileRule, Rule, UnfitHeader } from './rule.js';
import { isWithin } from './size.js';

/** Of these the arguments can be changed; other methods have none. */
const METHODS_WITH_ARGUMENTS: ReadonlySet<unknown> = new Set(['tools/call', 'prompts/get']);
/** Larger documents keep a worker from everything else while they are written. */
const LARGEST_OUTPUT_BYTES = 67_108_864;
const TOO_LARGE = 'it becomes too large';
const NO_LOCALS: Scope = Object.freeze({});

const Config = Type.Object(
  {
    rules: Type.Array(Rule, {
      minItems: 1,
      maxItems: 200,
      description: 'Applied in this order; each sees what those before it have made.',
    }),
    max_output_bytes: Size({
      default: '4MiB',
      description:
        'How large arguments, a result or an entry may be after a rule has changed them, at most 64MiB.',
    }),
  },
  { additionalProperties: false },
);
type Config = Static<typeof Config>;

export default definePlugin({
  name: 'transform',
  version: '1.0.0',
  description: 'Changes header fields, arguments, results and descriptions by rules.',
  phase: 'shape',
  config: Config,
  reads: (config) => [...compile(config).findings.reads] as Attribute[],
  changes: ['arguments', 'entries', 'headers', 'result'],

  check(config) {
    const { problems } = compile(config).findings;
    const isTooLarge = sizeBytes(config.max_output_bytes) > LARGEST_OUTPUT_BYTES;
    return isTooLarge ? [...problems, { path: 'max_output_bytes', message: 'is more than 64MiB' }] : problems;
  },

  hooks(config, host) {
    const { rules } = compile(config);
    const failed = reporter(host);
    const ofRequests = rules.filter(({ request }) => request !== undefined);
    const ofResults = rules.filter(({ result }) => result !== undefined);
    const ofEntries = rules.filter(({ entries }) => entries !== undefined);
    const maxBytes = sizeBytes(config.max_output_bytes);

    return {
      ...(ofRequests.length > 0 && {
        exchange(ctx: Scope, next: (changes?: Changes) => Outcome | Promise<Outcome>) {
          const changes = changesOf(ofRequests, ctx, maxBytes, failed);
          return changes instanceof Refusal ? changes : next(changes);
        },
      }),
      ...(ofResults.length > 0 && {
        outcome: (ctx: Scope, outcome: Outcome) => resultOf(ofResults, ctx, outcome, maxBytes, failed),
      }),
      ...(ofEntries.length > 0 && {
        entries(ctx: Scope, entries: readonly ListEntry[]) {
          return entries.flatMap((each) => entryOf(ofEntries, ctx, each, maxBytes, failed) ?? []);
        },
      }),
    };
  },
});

function compile({ rules }: Config): { rules: CompiledRule[]; findings: Findings } {
  const findings: Findings = { problems: [], reads: new Set() };
  const names = rules.map(({ name }) => name);
  const compiled = rules.map((rule, index) => {
    const first = names.indexOf(rule.name);
    if (first !== index)
      findings.problems.push({ path: `rules[${index}].name`, message: `is that of rules[${first}] too` });
    return compileRule(rule, `rules[${index}]`, findings);
  });
  return { rules: compiled, findings };
}

/** Says that a rule could not do its work; gives the reason, which holds nothing of the values. */
type Report = (rule: CompiledRule, error: unknown) => string;

function reporter({ log, metrics }: PluginHost): Report {
  return (rule, error) => {
    const isExpected = error instanceof NoValue || error instanceof NoPlace || error instanceof UnfitHeader;
    if (!isExpected) throw error;
    metrics.count('failed_total', 'Times that a rule applied and could not do its work.', {
      rule: rule.name,
    });
    log.warn({ rule: rule.name, reason: error.message }, 'a rule could not do its work');
    return error.message;
  };
}

/** What the rules change about a request; undefined when that is nothing. */
function changesOf(
  rules: readonly CompiledRule[],
  ctx: Scope,
  maxBytes: number,
  failed: Report,
): Changes | undefined | Refusal {
  const headers: Record<string, string | undefined> = Object.create(null);
  let own: JsonObject | undefined;
  for (const rule of rules) {
    const { request } = rule;
    if (request === undefined || !rule.isFor(ctx)) continue;
    const locals = own === undefined ? NO_LOCALS : { arguments: own };
    try {
      if (!request.when(ctx, locals)) continue;
      request.headers?.(ctx, locals, headers);
      if (request.arguments === undefined || !METHODS_WITH_ARGUMENTS.has(ctx.method)) continue;
      const before = own ?? (ctx.arguments as JsonObject);
      const after = request.arguments(before, ctx, locals, maxBytes);
      if (after === before) continue;
      if (!isWithin(after, maxBytes)) return tooLarge(rule, 'the arguments', maxBytes, failed);
      own = after;
    } catch (error) {
      const message = `the rule ${rule.name} cannot be applied to this call: ${failed(rule, error)}`;
      // A failure that a caller brings about is the caller's, and does not count against the plugin.
      return new Refusal(rule.readsArguments ? 'invalid' : 'failed', message);
    }
  }
  const isHeadChanged = Object.keys(headers).length > 0;
  if (own === undefined && !isHeadChanged) return undefined;
  return { arguments: own, headers: isHeadChanged ? headers : undefined };
}

function resultOf(
  rules: readonly CompiledRule[],
  ctx: Scope,
  outcome: Outcome,
  maxBytes: number,
  failed: Report,
): Outcome | Refusal {
  if (outcome.errorCode !== 0) return outcome;
  let own: JsonObject | undefined;
  for (const rule of rules) {
    const { result } = rule;
    if (result === undefined || !rule.isFor(ctx)) continue;
    // A question, or the name of a task: what was asked for comes later, and then passes here.
    if (own === undefined && outcome.kind !== 'complete') return outcome;
    const before: JsonObject = own ?? (outcome.result as JsonObject);
    try {
      if (!result.when(ctx, { result: before })) continue;
      const after = result.change(before, ctx, { result: before }, maxBytes);
      if (after === before) continue;
      if (!isWithin(after, maxBytes)) return tooLarge(rule, 'the result', maxBytes, failed);
      own = after;
    } catch (error) {
      const reason = failed(rule, error);
      return new Refusal(
        'failed',
        `the call has run, and its result is held back: the rule ${rule.name} cannot be applied to it: ${reason}`,
      );
    }
  }
  return own === undefined ? outcome : outcome.withResult(own);
}

/** Undefined for an entry that a rule should have changed and could not: better none than one as it came. */
function entryOf(
  rules: readonly CompiledRule[],
  ctx: Scope,
  listed: ListEntry,
  maxBytes: number,
  failed: Report,
): ListEntry | undefined {
  const { target } = listed;
  let { entry } = listed;
  for (const rule of rules) {
    const { entries } = rule;
    if (entries === undefined || !rule.isForEntry(ctx, target)) continue;
    try {
      const locals = { entry, target };
      if (!entries.when(ctx, locals)) continue;
      const after = entries.change(entry, ctx, locals, maxBytes);
      if (after !== entry && !isWithin(after, maxBytes)) throw new NoPlace(TOO_LARGE);
      entry = after;
    } catch (error) {
      failed(rule, error);
      return undefined;
    }
  }
  return entry === listed.entry ? listed : { target, entry };
}

function tooLarge(rule: CompiledRule, what: string, maxBytes: number, failed: Report): Refusal {
  failed(rule, new NoPlace(TOO_LARGE));
  return new Refusal('tooLarge', `the rule ${rule.name} makes ${what} larger than ${maxBytes} bytes`);
}
