/**
 * Decides what a caller may use: facts about the caller are mapped to scopes, and tools, prompts and resources need
 * scopes by patterns `upstream:name`. What nothing permits is refused, and lists leave it out.
 */
import {
  type Attribute,
  type Decision,
  definePlugin,
  type Fields,
  type JsonObject,
  Refusal,
  type Target,
  TargetPattern,
  Type,
} from '@sluice/sdk';
import { WITH_TARGET, WITHOUT_TARGET } from '../method-targets.js';
import { claimReads, compileGranted, mappingProblems } from './granted.js';
import { type Need, Permissions, patternProblems } from './permissions.js';

const MAX_PATTERN_COUNT = 10_000;
const MAX_SCOPE_COUNT = 32;
/** Longest part of a method that a refusal repeats. */
const MAX_TOLD_LENGTH = 100;

/** Characters of a scope (RFC 6749, section 3.3): such a text stands safely inside quotes in a header field. */
const Scopes = (description: string) =>
  Type.Array(Type.String({ pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,128}$' }), {
    maxItems: MAX_SCOPE_COUNT,
    description,
  });

const SCOPES_OR_NONE = Scopes('A list of scopes; an empty one is for every caller who was let in.');

const Patterns = (description: string) =>
  Type.Record(Type.String(), SCOPES_OR_NONE, {
    default: {},
    maxProperties: MAX_PATTERN_COUNT,
    description,
  });

const TargetPatterns = (description: string) =>
  Type.Record(Type.String(), SCOPES_OR_NONE, {
    default: {},
    maxProperties: MAX_PATTERN_COUNT,
    propertyNames: TargetPattern(),
    description,
  });

const Config = Type.Object(
  {
    claims: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
      default: [],
      maxItems: 32,
      description:
        'Names of the claims in `mappings`; needed only where a name has a colon. A dot leads into a claim that is an object.',
    }),
    mappings: Type.Record(Type.String(), Scopes('A list of scopes.'), {
      default: {},
      maxProperties: MAX_PATTERN_COUNT,
      description: 'Scopes that a caller has by claim:value, beside those of the credential.',
    }),
    permissions: TargetPatterns(
      'Scopes by upstream:name for tools, prompts and resources; * stands for anything.',
    ),
    tools: TargetPatterns('The same for tools alone; overrides `permissions`.'),
    prompts: TargetPatterns('The same for prompts alone.'),
    resources: TargetPatterns('The same for resources alone, by URI.'),
    methods: Patterns(
      'Scopes by method, for methods beyond those of MCP that name no target: tasks/get; * stands for all of them.',
    ),
    scope_mode: Type.Union([Type.Literal('any'), Type.Literal('all')], {
      default: 'any',
      description: 'Whether one scope of a list is enough.',
    }),
  },
  { additionalProperties: false },
);

interface Ctx {
  readonly method: string;
  readonly target: Target | undefined;
  readonly targets: readonly Target[];
  readonly principal: {
    readonly scopes: readonly string[];
    readonly claims: Readonly<Record<string, unknown>>;
  };
}

const NO_CLAIMS = Object.freeze({});

export default definePlugin({
  name: 'authorize',
  version: '1.0.0',
  description: 'Decides by scopes which tools, prompts and resources a caller may use and see.',
  phase: 'decision',
  config: Config,
  reads: (config): readonly Attribute[] => [
    'method',
    'target',
    'targets',
    'principal.scopes',
    ...claimReads(config),
  ],
  changes: [],

  check: (config) => [
    ...mappingProblems(config),
    ...patternProblems('permissions', config.permissions),
    ...patternProblems('tools', config.tools),
    ...patternProblems('prompts', config.prompts),
    ...patternProblems('resources', config.resources),
    ...Object.keys(config.methods)
      .filter((method) => WITHOUT_TARGET.has(method) || WITH_TARGET.has(method))
      .map((method) => ({
        path: `methods.${method}`,
        message: 'is decided by what it is about',
        hint: 'name methods beyond those of MCP',
      })),
  ],

  hooks(config) {
    const { permissions: all, tools: tool, prompts: prompt, resources: resource, scope_mode } = config;
    const permissions = new Permissions(all, { tool, prompt, resource });
    const methods = new Map(Object.entries(config.methods).map(([name, scopes]) => [name, [scopes]]));
    const grantedTo = compileGranted(config);
    const looksAtClaims = Object.keys(config.mappings).length > 0;

    function isMet(need: Need, granted: ReadonlySet<string>): boolean {
      return need.every((scopes) => {
        if (scopes.length === 0) return true;
        return scope_mode === 'all'
          ? scopes.every((scope) => granted.has(scope))
          : scopes.some((scope) => granted.has(scope));
      });
    }

    function needOf(method: string, target: Target | undefined): Need | undefined {
      if (target !== undefined) return permissions.needOf(target);
      const kinds = WITH_TARGET.get(method);
      if (kinds === undefined) return methods.get(method) ?? methods.get('*');
      // A name that nobody has is told to be unknown only to those who may use every name. To others it looks like
      // one that they may not use.
      const needs = kinds.map((kind) => permissions.needOf({ kind, upstream: '', name: '' }));
      return needs.includes(undefined) ? undefined : (needs as Need[]).flat();
    }

    /** Every scope that the whole request needs: a client that asks for them comes through the next time. */
    function challenge({ targets, method }: Ctx, need: Need): Refusal {
      const needs = targets.length < 2 ? need : targets.flatMap((each) => permissions.needOf(each) ?? []);
      const scope = [...new Set(needs.flat())].join(' ');
      const or = scope_mode === 'all' ? ' and ' : ' or ';
      const wanted = needs.filter(({ length }) => length > 0).map((scopes) => scopes.join(or));
      return new Refusal('forbidden', `this ${told(method)} needs ${wanted.join('; and ')}`, {
        headers: challengeFields(scope),
        data: { error: 'insufficient_scope', scope, scope_mode } satisfies JsonObject,
      });
    }

    function decide(ctx: Ctx): Decision {
      const { method, target, principal } = ctx;
      if (target === undefined && WITHOUT_TARGET.has(method)) return 'permit';
      const need = needOf(method, target);
      // No scope would help, so none is asked for.
      if (need === undefined) return new Refusal('forbidden', `nothing permits this ${told(method)}`);
      const { scopes } = principal;
      const claims = looksAtClaims ? principal.claims : NO_CLAIMS;
      return isMet(need, grantedTo({ scopes, claims })) ? 'permit' : challenge(ctx, need);
    }

    return { decide };
  },
});

/** RFC 6750, section 3.1. */
function challengeFields(scope: string): Fields {
  return [['WWW-Authenticate', `Bearer error="insufficient_scope", scope="${scope}"`]];
}

function told(method: string): string {
  return method.slice(0, MAX_TOLD_LENGTH);
}
