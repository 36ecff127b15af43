/**
 * Holds calls of tools against what the tools say of themselves: arguments against `inputSchema` as they go to the
 * server, results against `outputSchema` as they come from it. What cannot be checked is refused, unless the
 * configuration lets it pass. Stands among the plugins that shape; written last there, it sees what the server sees.
 */
import {
  type Changes,
  definePlugin,
  type Json,
  type JsonObject,
  type MaybePromise,
  Outcome,
  type PluginHost,
  Refusal,
  type Remark,
  Size,
  type Static,
  sizeBytes,
  type Target,
  TargetPattern,
  Type,
} from '@sluice/sdk';
import { compilePatterns, patternProblems } from '../patterns.js';
import { type Made, SchemaCheck, SchemaChecks, Unfit } from './checks.js';
import type { Finding } from './finding.js';

const MAX_SCHEMA_BYTES = 1_048_576;
const MODERN_REVISION = '2026-07-28';
/** Results have `structuredContent` from here on. */
const FIRST_STRUCTURED_REVISION = '2025-06-18';

const Config = Type.Object(
  {
    targets: Type.Array(TargetPattern(), {
      default: ['*:*'],
      minItems: 1,
      maxItems: 1_000,
      description: 'Tools that are checked, by `upstream:name` with `*`.',
    }),
    arguments: Type.Union([Type.Literal('deny'), Type.Literal('flag'), Type.Literal('allow')], {
      default: 'deny',
      description:
        'What happens to a call whose arguments do not fit: `deny` refuses it, `flag` counts it and lets it pass, `allow` does not look.',
    }),
    results: Type.Union([Type.Literal('deny'), Type.Literal('flag'), Type.Literal('allow')], {
      default: 'deny',
      description:
        'What happens to a result whose structured content does not fit: `deny` holds it back, `flag` counts it and lets it pass, `allow` does not look.',
    }),
    uncheckable: Type.Union([Type.Literal('deny'), Type.Literal('allow')], {
      default: 'deny',
      description:
        'What happens to calls of a tool that its server does not list, or whose schema cannot be used: its dialect is unknown, a `$ref` leads elsewhere, it is too large.',
    }),
    refusal: Type.Union([Type.Literal('error'), Type.Literal('result')], {
      default: 'error',
      description:
        'How a caller is told that arguments do not fit: `error` is an error of the protocol, `result` a result of the tool with `isError`, which models are shown.',
    }),
    formats: Type.Boolean({
      default: false,
      description: 'Whether `format` is asserted; by JSON Schema 2020-12 it is a remark.',
    }),
    max_schema_size: Size({
      default: '64KiB',
      description: 'How large a schema may be that is used, at most 1MiB.',
    }),
  },
  { additionalProperties: false },
);
type Config = Static<typeof Config>;

interface Ctx {
  readonly method: string;
  readonly target: Target | undefined;
  readonly params: JsonObject;
  readonly paramsJson: string;
  readonly revision: string;
  readonly definition: (target?: Target) => MaybePromise<JsonObject | undefined>;
  readonly remark: (remark: Remark) => void;
}

type Next = (changes?: Changes) => MaybePromise<Outcome>;

export default definePlugin({
  name: 'validate',
  version: '1.0.0',
  description: 'Checks arguments and results of tools against the schemas that the tools declare.',
  phase: 'shape',
  config: Config,
  reads: ['definition', 'method', 'params', 'paramsJson', 'remark', 'revision', 'target'],
  changes: ['result'],

  check({ targets, max_schema_size }) {
    const problems = patternProblems(targets, 'targets');
    return sizeBytes(max_schema_size) > MAX_SCHEMA_BYTES
      ? [...problems, { path: 'max_schema_size', message: 'is more than 1MiB' }]
      : problems;
  },

  hooks(config, host) {
    const validation = new Validation(config, host);
    return { exchange: (ctx: Ctx, next: Next) => validation.exchange(ctx, next) };
  },
});

class Validation {
  private readonly isMeant: (target: Target) => boolean;
  private readonly checks: SchemaChecks;

  constructor(
    private readonly config: Config,
    private readonly host: PluginHost,
  ) {
    this.isMeant = compilePatterns(config.targets);
    this.checks = new SchemaChecks(config.formats, sizeBytes(config.max_schema_size), (made) =>
      host.metrics.count('compiled_total', 'Schemas that were compiled.', {
        outcome: made instanceof Unfit ? 'unfit' : 'ready',
      }),
    );
  }

  exchange(ctx: Ctx, next: Next): MaybePromise<Outcome | Refusal> {
    const { method, target } = ctx;
    const isCall = method === 'tools/call';
    if (!isCall && method !== 'tasks/result') return next();
    if (target?.kind !== 'tool' || !this.isMeant(target)) return next();
    const definition = ctx.definition();
    if (definition instanceof Promise)
      return definition.then((own) => this.checked(ctx, target, own, isCall, next));
    return this.checked(ctx, target, definition, isCall, next);
  }

  private checked(
    ctx: Ctx,
    target: Target,
    definition: JsonObject | undefined,
    isCall: boolean,
    next: Next,
  ): MaybePromise<Outcome | Refusal> {
    const { config } = this;
    if (definition === undefined)
      return this.uncheckable(ctx, target, 'is not on the list of its server') ?? next();
    const output = config.results === 'allow' ? undefined : this.made(definition.outputSchema);
    const input = !isCall || config.arguments === 'allow' ? undefined : this.made(inputSchemaOf(definition));
    // What cannot be checked afterwards is found out before it runs.
    if (input instanceof Promise || output instanceof Promise)
      return Promise.all([input, output]).then(([ready, after]) => this.run(ctx, target, ready, after, next));
    return this.run(ctx, target, input, output, next);
  }

  private made(schema: Json | undefined): MaybePromise<Made | undefined> {
    return schema === undefined ? undefined : this.checks.of(schema);
  }

  private run(
    ctx: Ctx,
    target: Target,
    input: Made | undefined,
    output: Made | undefined,
    next: Next,
  ): MaybePromise<Outcome | Refusal> {
    if (input instanceof Unfit) {
      const refusal = this.uncheckable(
        ctx,
        target,
        `has an inputSchema that cannot be used: ${input.reason}`,
      );
      if (refusal !== undefined) return refusal;
    }
    if (output instanceof Unfit) {
      const refusal = this.uncheckable(
        ctx,
        target,
        `has an outputSchema that cannot be used: ${output.reason}`,
      );
      if (refusal !== undefined) return refusal;
    }
    const onward = () => this.passed(ctx, target, output, next);
    if (!(input instanceof SchemaCheck)) return onward();
    const given = ctx.params.arguments;
    // A server may take what is no object for what it likes.
    if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given)))
      return this.unfitArguments(ctx, target, NO_OBJECT) ?? onward();
    const text = given === undefined ? undefined : ctx.paramsJson;
    const found = input.find(given ?? {}, text, 'arguments');
    if (found instanceof Promise)
      return found.then((own) => (own && this.unfitArguments(ctx, target, own)) ?? onward());
    return (found && this.unfitArguments(ctx, target, found)) ?? onward();
  }

  private passed(
    ctx: Ctx,
    target: Target,
    output: Made | undefined,
    next: Next,
  ): MaybePromise<Outcome | Refusal> {
    const came = next();
    if (!(output instanceof SchemaCheck)) return came;
    return came instanceof Promise
      ? came.then((outcome) => this.checkedResult(ctx, target, output, outcome))
      : this.checkedResult(ctx, target, output, came);
  }

  private checkedResult(
    ctx: Ctx,
    target: Target,
    output: SchemaCheck,
    came: Outcome,
  ): MaybePromise<Outcome | Refusal> {
    const { result } = came;
    // Questions and names of tasks are no results yet, and a tool that says what went wrong has none to show.
    if (result === undefined || came.kind !== 'complete' || result.isError === true) return came;
    if (result.structuredContent === undefined)
      return mayBeMissing(output.schema, ctx.revision)
        ? came
        : (this.unfitResult(ctx, target, MISSING) ?? came);
    const found = output.find(result.structuredContent, came.resultJson, 'structuredContent');
    if (found instanceof Promise)
      return found.then((own) => (own && this.unfitResult(ctx, target, own)) ?? came);
    return (found && this.unfitResult(ctx, target, found)) ?? came;
  }

  /** Undefined when the call may go on. */
  private unfitArguments(ctx: Ctx, target: Target, found: Finding): Outcome | Refusal | undefined {
    const { config } = this;
    if (found.isTooCostly) {
      const refusal = this.uncheckable(ctx, target, 'is called with arguments that cost too much to check');
      return refusal && new Refusal('invalid', refusal.message);
    }
    this.note('arguments', ctx, target, found, config.arguments === 'flag');
    if (config.arguments === 'flag') return undefined;
    const message = `arguments of ${spelled(target)} do not fit its inputSchema: ${placed('', found)}`;
    if (config.refusal === 'error') return new Refusal('invalid', message, { data: dataOf(found) });
    ctx.remark({ kind: 'deny', rule: 'arguments', reason: UNFIT.arguments });
    return Outcome.ofResult({
      ...(ctx.revision >= MODERN_REVISION && { resultType: 'complete' }),
      content: [{ type: 'text', text: message }],
      isError: true,
    });
  }

  /** Undefined when the result may go on. */
  private unfitResult(ctx: Ctx, target: Target, found: Finding): Refusal | undefined {
    const { config } = this;
    if (found.isTooCostly) {
      if (config.uncheckable === 'allow') return undefined;
    } else {
      this.note('results', ctx, target, found, config.results === 'flag');
      if (config.results === 'flag') return undefined;
    }
    return new Refusal(
      'failed',
      `the call has run, and its result is held back: that of ${spelled(target)} does not fit its outputSchema: ${placed('structuredContent', found)}`,
      { data: dataOf(found) },
    );
  }

  private note(
    what: 'arguments' | 'results',
    { remark }: Ctx,
    { upstream, name }: Target,
    { path, expected, schemaPath }: Finding,
    isFlagged: boolean,
  ): void {
    const { log, metrics } = this.host;
    metrics.count('unfit_total', 'Arguments and results that do not fit the schema of their tool.', {
      what,
      upstream,
    });
    log.debug({ upstream, tool: name, path, expected }, UNFIT[what]);
    // Names of members may come from a caller, so records have the schema's alone.
    if (isFlagged)
      remark({ kind: 'flagged', rule: what, reason: UNFIT[what], data: { schemaPath }, isEnforced: false });
  }

  /** Undefined where such calls may pass. */
  private uncheckable({ remark }: Ctx, target: Target, why: string): Refusal | undefined {
    const { log, metrics } = this.host;
    metrics.count('uncheckable_total', 'Calls that could not be checked.', { upstream: target.upstream });
    log.debug({ upstream: target.upstream, tool: target.name, why }, 'a call cannot be checked');
    if (this.config.uncheckable === 'allow') {
      remark({ kind: 'flagged', rule: 'uncheckable', reason: why, isEnforced: false });
      return undefined;
    }
    return new Refusal('failed', `${spelled(target)} ${why}; nobody can say whether this call fits`);
  }
}

const UNFIT = {
  arguments: 'arguments do not fit the inputSchema of their tool',
  results: 'a result does not fit the outputSchema of its tool',
} as const;
const NO_OBJECT: Finding = { path: '', expected: 'must be object', schemaPath: '#/type' };
const MISSING: Finding = { path: '', expected: 'is missing', schemaPath: '#' };

/** A tool without one is not valid, so nothing fits it. */
function inputSchemaOf({ inputSchema }: JsonObject): Json {
  return inputSchema ?? null;
}

/** Where the caller's revision has no place for it, it was taken out on the way, or never said. */
function mayBeMissing(schema: unknown, revision: string): boolean {
  if (revision >= MODERN_REVISION) return false;
  return revision < FIRST_STRUCTURED_REVISION || (schema as { type?: unknown }).type !== 'object';
}

function spelled({ upstream, name }: Target): string {
  return JSON.stringify(`${upstream}:${name}`);
}

/** `/path must be string`. */
function placed(root: string, { path, expected }: Finding): string {
  const place = `${root}${path}`;
  return place === '' ? expected.replace(/^must/, 'they must') : `${place} ${expected}`;
}

function dataOf({ path, expected, schemaPath }: Finding): JsonObject {
  return { path, expected, schemaPath };
}
