/** What is kept, for how long and for whom: the configuration of the cache, and its rules in the form that is used. */
import {
  type ConfigProblem,
  Duration,
  durationMs,
  Secret,
  type Static,
  TargetPattern,
  Type,
} from '@sluice/sdk';
import { compilePatterns, type Matches, patternProblems } from '../patterns.js';

/** Longest time for which anything is kept, whatever is configured or said. */
export const MAX_LIFETIME_MS = 24 * 3_600_000;
/** A request that waits longer for Redis had better ask the upstream. */
const MAX_REDIS_TIMEOUT_MS = 5_000;
const LIST_METHODS = ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list'] as const;

const ttl = (description: string) => Duration({ description });
const SHARED = Type.Boolean({
  default: false,
  description:
    'Answers are kept for all callers together, also those that the server calls private. Callers still have their own where other plugins on the endpoint tell them apart.',
});
const HINTED = {
  ttl: Type.Optional(
    ttl('How long an answer is kept whose server says nothing of that, or 0. By default not at all.'),
  ),
  max_ttl: Duration({
    default: '1h',
    description: 'Longest time for which an answer is kept because its server says so.',
  }),
  shared: SHARED,
};
const targets = (what: string) =>
  Type.Array(TargetPattern(), {
    minItems: 1,
    maxItems: 1_000,
    description: `Patterns upstream:name of ${what}.`,
  });

const ListRule = Type.Object(
  {
    methods: Type.Array(Type.Union(LIST_METHODS.map((method) => Type.Literal(method))), {
      default: [...LIST_METHODS],
      minItems: 1,
      description: 'Lists that the rule is for.',
    }),
    ...HINTED,
  },
  { additionalProperties: false },
);
const ResourceRule = Type.Object(
  {
    targets: Type.Array(TargetPattern(), {
      default: ['*:*'],
      minItems: 1,
      maxItems: 1_000,
      description: 'Patterns upstream:uri of the resources that the rule is for.',
    }),
    ...HINTED,
  },
  { additionalProperties: false },
);
const PromptRule = Type.Object(
  {
    targets: targets('the prompts that the rule is for'),
    ttl: ttl('How long they are kept.'),
    shared: SHARED,
  },
  { additionalProperties: false },
);
const ToolRule = Type.Object(
  {
    targets: Type.Optional(targets('the tools that the rule is for, whatever they say of themselves')),
    annotated: Type.Boolean({
      default: false,
      description:
        'Only those of them (without targets: of all) that their servers call read-only and idempotent. Only as trustworthy as those servers.',
    }),
    ttl: ttl('How long their results are kept.'),
    shared: SHARED,
    errors: Type.Boolean({ default: false, description: 'Keeps results that say isError too.' }),
  },
  { additionalProperties: false },
);

const rules = <Rule extends ReturnType<typeof Type.Object>>(rule: Rule, byDefault: object[], what: string) =>
  Type.Array(rule, {
    default: byDefault,
    maxItems: 100,
    description: `${what} The first rule that matches counts.`,
  });

export const Config = Type.Object(
  {
    lists: rules(ListRule, [{}], 'Lists. An empty list of rules keeps none.'),
    resources: rules(ResourceRule, [{}], 'Contents of resources. An empty list of rules keeps none.'),
    prompts: rules(PromptRule, [], 'Prompts; none by default.'),
    tools: rules(ToolRule, [], 'Results of tools; none by default.'),
    stale_while_revalidate: Duration({
      default: '0s',
      description: 'How long after its end an answer is still given while a new one is on its way.',
    }),
    max_bytes: Type.Integer({
      default: 67_108_864,
      minimum: 65_536,
      maximum: 17_179_869_184,
      description: 'Memory for what is kept, for each worker.',
    }),
    max_entry_bytes: Type.Integer({
      default: 1_048_576,
      minimum: 1_024,
      maximum: 268_435_456,
      description: 'Larger answers are not kept.',
    }),
    max_entries: Type.Integer({
      default: 10_000,
      minimum: 1,
      maximum: 10_000_000,
      description: 'For each worker.',
    }),
    max_watched: Type.Integer({
      default: 1_000,
      minimum: 0,
      maximum: 100_000,
      description:
        'Kept resources of whose changes upstreams are asked to tell, where they do; for each worker. The others are kept until their time is over.',
    }),
    redis: Type.Optional(
      Type.Object(
        {
          url: Secret({ minLength: 1, maxLength: 2_048, description: 'redis://… or rediss://… (over TLS).' }),
          key: Secret({
            minLength: 32,
            maxLength: 1_024,
            description:
              'What answers are encrypted with in Redis, the same on all nodes: 32 random characters or more.',
          }),
          prefix: Type.String({
            default: 'sluice:cache:',
            pattern: '^[A-Za-z0-9:._-]{1,64}$',
            description: 'Begins all keys in Redis.',
          }),
          timeout: Duration({ default: '50ms', description: 'How long a request waits for Redis at most.' }),
        },
        {
          additionalProperties: false,
          description: 'Keeps answers in Redis too, for all workers and nodes.',
        },
      ),
    ),
  },
  { additionalProperties: false },
);

export type CacheConfig = Static<typeof Config>;

/** What may be kept of some requests. */
export interface Rule {
  /** For what the server says nothing of; 0: nothing. */
  readonly ttlMs: number;
  /** Undefined where servers have no say. */
  readonly maxTtlMs: number | undefined;
  readonly isShared: boolean;
  readonly keepsErrors: boolean;
}

interface TargetRule extends Rule {
  readonly matches: Matches;
}

interface ToolTargetRule extends TargetRule {
  readonly isAnnotatedOnly: boolean;
}

export interface Rules {
  /** By method. */
  readonly lists: ReadonlyMap<string, Rule>;
  readonly resources: readonly TargetRule[];
  readonly prompts: readonly TargetRule[];
  readonly tools: readonly ToolTargetRule[];
}

export function compileRules({ lists, resources, prompts, tools }: CacheConfig): Rules {
  const byMethod = new Map<string, Rule>();
  for (const rule of lists)
    for (const method of rule.methods) if (!byMethod.has(method)) byMethod.set(method, hinted(rule));
  return {
    lists: byMethod,
    resources: resources.map((rule) => ({ ...hinted(rule), matches: compilePatterns(rule.targets) })),
    prompts: prompts.map((rule) => ({ ...named(rule), matches: compilePatterns(rule.targets) })),
    tools: tools.map((rule) => ({
      ...named(rule),
      keepsErrors: rule.errors,
      isAnnotatedOnly: rule.annotated,
      matches: compilePatterns(rule.targets ?? ['*:*']),
    })),
  };
}

function hinted(rule: { ttl?: string; max_ttl: string; shared: boolean }): Rule {
  const ttlMs = rule.ttl === undefined ? 0 : durationMs(rule.ttl);
  return { ttlMs, maxTtlMs: durationMs(rule.max_ttl), isShared: rule.shared, keepsErrors: false };
}

function named(rule: { ttl: string; shared: boolean }): Rule {
  return { ttlMs: durationMs(rule.ttl), maxTtlMs: undefined, isShared: rule.shared, keepsErrors: false };
}

/** What the schema cannot say. */
export function configProblems(config: CacheConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (path: string, message: string, hint?: string) =>
    problems.push({ path, message, ...(hint === undefined ? {} : { hint }) });
  for (const kind of ['lists', 'resources', 'prompts', 'tools'] as const) {
    config[kind].forEach((rule, index) => {
      const path = `${kind}[${index}]`;
      const patterns = 'targets' in rule ? (rule.targets ?? []) : [];
      problems.push(...patternProblems(patterns, `${path}.targets`));
      for (const field of ['ttl', 'max_ttl'] as const) {
        const written = (rule as Partial<Record<typeof field, string>>)[field];
        if (written !== undefined && durationMs(written) > MAX_LIFETIME_MS)
          add(`${path}.${field}`, 'is longer than a day, for which nothing is kept');
      }
    });
  }
  config.tools.forEach(({ targets: named, annotated }, index) => {
    if (named === undefined && !annotated)
      add(
        `tools[${index}].targets`,
        'is missing, so the rule is for no tool',
        'name tools as upstream:name, or say `annotated: true`',
      );
  });
  if (durationMs(config.stale_while_revalidate) > MAX_LIFETIME_MS)
    add('stale_while_revalidate', 'is longer than a day');
  const { redis } = config;
  if (redis !== undefined && !/^rediss?:$/.test(protocolOf(redis.url)))
    add('redis.url', 'is no URL of a Redis', 'redis://host:6379/0, or rediss:// over TLS');
  const timeoutMs = redis === undefined ? 1 : durationMs(redis.timeout);
  if (timeoutMs < 1 || timeoutMs > MAX_REDIS_TIMEOUT_MS)
    add('redis.timeout', `is not between 1 and ${MAX_REDIS_TIMEOUT_MS} ms`);
  if (config.max_entry_bytes > config.max_bytes) add('max_entry_bytes', 'is more than max_bytes');
  return problems;
}

function protocolOf(url: string): string {
  return URL.canParse(url) ? new URL(url).protocol : '';
}
