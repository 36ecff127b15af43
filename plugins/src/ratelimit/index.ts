/**
 * Limits how often callers may call, by token buckets that all workers of a node share, or of a cluster. Several limits
 * hold at once: where one refuses, none is charged.
 */
import {
  type Attribute,
  type ConfigProblem,
  definePlugin,
  type Fields,
  type MaybePromise,
  Outcome,
  Refusal,
  type Static,
  TargetPattern,
  Type,
} from '@sluice/sdk';
import { addressKey } from '../buckets/address.js';
import type { BucketState, Taken, Want } from '../buckets/bucket-store.js';
import { allowanceOf, periodSeconds, RATE, type Rate, rateProblems } from '../buckets/rate.js';
import { SharedBuckets } from '../buckets/shared-buckets.js';
import { compilePatterns, type Matches, patternProblems } from '../patterns.js';
import { storeOf } from './store.js';

/** What a bucket can be kept for. */
const KEY_PART =
  "^(address|endpoint|method|session|target\\.(kind|upstream|name)|principal\\.(id|consumer|tenant|credential)|principal\\.claims\\..+|headers\\.[a-z0-9!#$%&'*+.^_`|~-]+)$";
const TIER_PART = '^(endpoint|principal\\.(id|consumer|tenant)|principal\\.claims\\..+)$';

const Limit = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z][a-z0-9_-]{0,62}$',
      description: 'Names the limit in RateLimit fields and refusals: lower-case letters, digits, - and _.',
    }),
    key: Type.Array(Type.String({ pattern: KEY_PART }), {
      default: ['principal.id'],
      maxItems: 8,
      description:
        'Each value of these together has a bucket of its own: address, endpoint, method, session, target.upstream, target.name, target.kind, principal.id, principal.consumer, principal.tenant, principal.credential, principal.claims.NAME, headers.NAME in lower case. An empty list: one bucket for all.',
    }),
    ...RATE,
    match: Type.Optional(
      Type.Object(
        {
          methods: Type.Optional(
            Type.Array(Type.String({ minLength: 1 }), {
              minItems: 1,
              description: 'Methods that count, for example tools/call; all by default.',
            }),
          ),
          targets: Type.Optional(
            Type.Array(TargetPattern(), {
              minItems: 1,
              maxItems: 1_000,
              description: 'Patterns upstream:name of what counts, for example "github:*".',
            }),
          ),
        },
        { additionalProperties: false, description: 'What counts; everything when nothing is said.' },
      ),
    ),
    tier_by: Type.Optional(
      Type.String({
        pattern: TIER_PART,
        description: 'What chooses the tier, for example principal.claims.plan.',
      }),
    ),
    tiers: Type.Optional(
      Type.Record(Type.String(), Type.Object(RATE, { additionalProperties: false }), {
        description: 'Other rates by the value of tier_by. Whoever is in none of them has that of the limit.',
      }),
    ),
  },
  { additionalProperties: false },
);

const Config = Type.Object(
  {
    limits: Type.Array(Limit, { minItems: 1, maxItems: 32, description: 'All of them hold at once.' }),
    buckets: Type.Integer({
      default: 65_536,
      minimum: 16,
      maximum: 16_777_216,
      description:
        'Buckets that there is room for, at 16 bytes each. Take twice as many as there are callers at one time.',
    }),
    scope: Type.Union([Type.Literal('node'), Type.Literal('cluster')], {
      default: 'node',
      description:
        'Who shares the buckets: the workers of each node, or those of all nodes of the cluster. A cluster can pass a limit by a little; the page of the plugin says by how much.',
    }),
    without_store: Type.Union([Type.Literal('node'), Type.Literal('deny')], {
      default: 'node',
      description:
        'With scope cluster, while nobody can be asked for the buckets and what was taken of them is used up: each node keeps the limits by itself, or refuses.',
    }),
  },
  { additionalProperties: false },
);

type LimitConfig = Static<typeof Limit>;

/** What was declared, read by name. */
interface Ctx {
  readonly [attribute: string]: unknown;
}
type Read = (ctx: Ctx) => unknown;

export default definePlugin({
  name: 'ratelimit',
  version: '1.0.0',
  description:
    'Limits how often callers may call, by token buckets that the workers of a node share, or of a cluster.',
  phase: 'limit',
  config: Config,
  reads: ({ limits }) => [...new Set(limits.flatMap(readsOf))] as Attribute[],
  changes: [],
  sharedBytes: ({ buckets }) => SharedBuckets.bytesFor(buckets),

  check({ limits }) {
    const names = limits.map(({ name }) => name);
    return limits.flatMap((limit, index) => {
      const path = `limits[${index}]`;
      const first = names.indexOf(limit.name);
      if (first !== index) return [{ path: `${path}.name`, message: `is that of limits[${first}] too` }];
      return problemsOf(limit, path);
    });
  },

  hooks(config, host) {
    const { limits } = config;
    const { metrics } = host;
    const store = storeOf(config, host);
    const compiled = limits.map(compileLimit);

    return {
      exchange(ctx: Ctx, next) {
        const wants: LimitWant[] = [];
        for (const want of compiled) {
          const wanted = want(ctx);
          if (wanted !== undefined) wants.push(wanted);
        }
        if (wants.length === 0) return next();
        const taken = store.take(wants);
        return taken instanceof Promise
          ? taken.then((came) => answer(wants, came, next))
          : answer(wants, taken, next);
      },
    };

    function answer(wants: readonly LimitWant[], taken: Taken, next: () => MaybePromise<Outcome>) {
      if (!taken.isAllowed) {
        for (const { limit } of refusing(wants, taken))
          metrics.count('refused_total', 'Requests that were refused, by limit.', { limit });
        return refused(wants, taken);
      }
      const fields = rateLimitFields(wants, taken);
      const outcome = next();
      return outcome instanceof Outcome
        ? outcome.withHeaders(fields)
        : outcome.then((came) => came.withHeaders(fields));
    }
  },
});

/** A bucket of a limit, with what is said about it. */
interface LimitWant extends Want {
  readonly limit: string;
  /** Its item in RateLimit-Policy. */
  readonly policy: string;
}

function readsOf({ key, match, tier_by }: LimitConfig): string[] {
  return [
    ...key.map((part) => (part.startsWith('target.') ? 'target' : part)),
    ...(match?.methods === undefined ? [] : ['method']),
    ...(match?.targets === undefined ? [] : ['targets']),
    ...(tier_by === undefined ? [] : [tier_by]),
  ];
}

function problemsOf({ match, tier_by, tiers, ...limit }: LimitConfig, path: string): ConfigProblem[] {
  const problems = [
    ...rateProblems(limit, `${path}.`),
    ...patternProblems(match?.targets ?? [], `${path}.match.targets`),
  ];
  for (const [tier, rate] of Object.entries(tiers ?? {}))
    problems.push(...rateProblems(rate, `${path}.tiers.${tier}.`));
  if (tiers !== undefined && tier_by === undefined)
    problems.push({
      path: `${path}.tier_by`,
      message: 'is missing, so nobody is in any of the tiers',
      hint: 'for example principal.claims.plan',
    });
  if (tiers === undefined && tier_by !== undefined)
    problems.push({ path: `${path}.tiers`, message: 'is missing, and tier_by chooses one of them' });
  return problems;
}

/** What a limit wants of a request; undefined when the request is none of its own. */
function compileLimit(config: LimitConfig): (ctx: Ctx) => LimitWant | undefined {
  const { name, key, match, tier_by } = config;
  const counts = compileMatch(match);
  const parts = key.map(compileRead);
  const readTier = tier_by === undefined ? undefined : compileRead(tier_by);
  const base = quotaOf(name, '', config);
  const tiers = new Map(
    Object.entries(config.tiers ?? {}).map(([tier, rate]) => [tier, quotaOf(name, tier, rate)]),
  );
  return function want(ctx) {
    if (!counts(ctx)) return undefined;
    const quota = readTier === undefined ? base : (tiers.get(text(readTier(ctx))) ?? base);
    let bucket = quota.prefix;
    for (const part of parts) {
      const value = text(part(ctx));
      // With its length before it, no value can look like two, or like the end of another.
      bucket += `${value.length}:${value}`;
    }
    return { limit: name, policy: quota.policy, key: bucket, allowance: quota.allowance };
  };
}

function quotaOf(limit: string, tier: string, rate: Rate) {
  const allowance = allowanceOf(rate);
  return {
    allowance,
    prefix: `${limit}/${tier.length}:${tier}/`,
    policy: `"${limit}";q=${rate.rate};w=${periodSeconds(rate)};sluice-burst=${allowance.burst}`,
  };
}

function compileMatch(match: LimitConfig['match']): (ctx: Ctx) => boolean {
  const methods = match?.methods === undefined ? undefined : new Set(match.methods);
  const isTarget = match?.targets === undefined ? undefined : compilePatterns(match.targets);
  return (ctx) => {
    if (methods !== undefined && !methods.has(ctx.method as string)) return false;
    return isTarget === undefined || (ctx.targets as readonly Parameters<Matches>[0][]).some(isTarget);
  };
}

/** Reads one part of a key. The names of claims and headers may have dots of their own. */
function compileRead(part: string): Read {
  if (part === 'address') return (ctx) => addressKey(ctx.address as string);
  const [root, ...rest] = part.split('.') as [string, ...string[]];
  if (rest.length === 0) return (ctx) => ctx[root];
  if (root === 'principal' && rest[0] === 'claims') {
    const claim = rest.slice(1).join('.');
    return (ctx) => member(member(ctx.principal, 'claims'), claim);
  }
  const name = rest.join('.');
  return (ctx) => member(ctx[root], name);
}

function member(value: unknown, name: string): unknown {
  return (value as Ctx | undefined)?.[name];
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined ? '' : JSON.stringify(value);
}

function refusing(wants: readonly LimitWant[], { states }: Taken): readonly LimitWant[] {
  return wants.filter((_, index) => states[index]?.isEnough === false);
}

function refused(wants: readonly LimitWant[], taken: Taken): Refusal {
  const limits = refusing(wants, taken).map(({ limit }) => limit);
  const retryAfterMs = Math.max(...taken.states.map(({ isEnough, nextMs }) => (isEnough ? 0 : nextMs)));
  const seconds = Math.ceil(retryAfterMs / 1_000);
  return new Refusal('limited', `too many requests (${limits.join(', ')}); try again in ${seconds} s`, {
    headers: [['Retry-After', String(seconds)], ...rateLimitFields(wants, taken)],
    data: { retry_after_ms: retryAfterMs, limits },
  });
}

/** Structured fields (draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4). */
function rateLimitFields(wants: readonly LimitWant[], { states }: Taken): Fields {
  let policies = '';
  let quotas = '';
  for (let index = 0; index < wants.length; index++) {
    const { limit, policy } = wants[index] as LimitWant;
    const { leftCount, nextMs } = states[index] as BucketState;
    const separator = index === 0 ? '' : ', ';
    policies += separator + policy;
    quotas += `${separator}"${limit}";r=${leftCount};t=${Math.ceil(nextMs / 1_000)}`;
  }
  return [
    ['RateLimit-Policy', policies],
    ['RateLimit', quotas],
  ];
}
