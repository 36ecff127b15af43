/** How the plugin stands in a configuration. */
import { type ConfigProblem, Size, type Static, sizeBytes, TargetPattern, Type } from '@sluice/sdk';
import { textPatternProblem } from '../matching/index.js';
import { patternProblems } from '../patterns.js';
import { RedactionConfig, redactionProblems } from '../redaction/index.js';
import { RULE_SETS } from './rules/index.js';

/** Results that are larger are no results of tools; to cut one costs as much as to read it. */
const LARGEST_RESULT_BYTES = 67_108_864;
const SMALLEST_RESULT_BYTES = 256;
const SET_NAMES = [...RULE_SETS.map(({ name }) => name), 'json'];
/** Rules about the JSON of arguments itself, which is not a matter of texts in it. */
export const JSON_RULES = {
  'json-repeated-name': 'an object that has one name twice, of which servers may read either',
  'json-prototype': 'a member that changes what objects inherit (__proto__, constructor.prototype)',
} as const;

const targets = () =>
  Type.Array(TargetPattern({ minLength: 1, maxLength: 2_048 }), {
    default: ['*:*'],
    minItems: 1,
    maxItems: 1_000,
    description: 'Tools, prompts and resources that it is for, as upstream:name with *.',
  });
const action = () =>
  Type.Union([Type.Literal('deny'), Type.Literal('flag')], {
    default: 'deny',
    description: 'Whether such a call is refused, or let through and remarked.',
  });

const SetConfig = Type.Object(
  {
    set: Type.Union(
      SET_NAMES.map((name) => Type.Literal(name)),
      { description: 'Name of a set of rules.' },
    ),
    targets: targets(),
    exclude: Type.Array(Type.String({ maxLength: 64 }), {
      default: [],
      maxItems: 100,
      description: 'Ids of its rules that do not hold.',
    }),
    action: action(),
  },
  { additionalProperties: false },
);

const OwnRule = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$', description: 'Names it in refusals and records.' }),
    reason: Type.String({
      minLength: 1,
      maxLength: 500,
      description: 'What the caller is told.',
    }),
    targets: targets(),
    at: Type.Array(Type.String({ pattern: '^(?:/[^/]*)+$', maxLength: 512 }), {
      default: [],
      maxItems: 50,
      description:
        'Places in the arguments as JSON Pointers, where * is any name or index; what lies below counts too. By default everywhere.',
    }),
    patterns: Type.Array(Type.String({ minLength: 1, maxLength: 4_096 }), {
      default: [],
      maxItems: 200,
      description:
        "Patterns in RE2's syntax. Without patterns, paths and hosts the rule is for every call of its targets.",
    }),
    ignore_case: Type.Boolean({
      default: false,
      description: 'Whether capital and small letters are the same in the patterns.',
    }),
    paths: Type.Array(Type.String({ minLength: 1, maxLength: 1_024, pattern: '^(?:/|~|[A-Za-z]:)' }), {
      default: [],
      maxItems: 200,
      description: 'Folders and files, for example /srv/private; what lies below counts too.',
    }),
    hosts: Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
      default: [],
      maxItems: 200,
      description: 'Names of hosts with *, addresses, or networks such as 10.1.0.0/16.',
    }),
    action: action(),
  },
  { additionalProperties: false },
);

const Instructions = Type.Object(
  {
    action: Type.Union(
      [Type.Literal('flag'), Type.Literal('cut'), Type.Literal('deny'), Type.Literal('ignore')],
      {
        default: 'flag',
        description:
          'What is done about them: remarked; the sentences left out; the result refused, or the entry left out of its list; nothing.',
      },
    ),
    min_score: Type.Integer({ default: 60, minimum: 1, maximum: 100, description: 'From this score on.' }),
  },
  {
    default: {},
    additionalProperties: false,
    description: 'Instructions to a model in descriptions and results.',
  },
);

export const Config = Type.Object(
  {
    mode: Type.Union([Type.Literal('enforce'), Type.Literal('audit')], {
      default: 'enforce',
      description: 'In audit, nothing is refused or changed, and all of it is remarked.',
    }),
    sets: Type.Array(SetConfig, {
      default: [{ set: 'json' }],
      maxItems: 100,
      description: 'Sets of rules that come with the plugin. The first rule that refuses is told.',
    }),
    rules: Type.Array(OwnRule, {
      default: [],
      maxItems: 500,
      description: 'Own rules, after those of the sets.',
    }),
    redaction: Type.Optional(RedactionConfig),
    max_result_bytes: Type.Optional(
      Size({ description: 'How large a result may be, at most 64MiB. By default nothing is said about it.' }),
    ),
    oversize: Type.Union([Type.Literal('deny'), Type.Literal('cut')], {
      default: 'deny',
      description: 'Whether a larger one is refused, or its texts are cut.',
    }),
    invisible: Type.Union([Type.Literal('strip'), Type.Literal('deny'), Type.Literal('keep')], {
      default: 'strip',
      description: 'What is done about control characters and characters that nobody sees.',
    }),
    instructions: Instructions,
    trusted: Type.Array(TargetPattern({ minLength: 1, maxLength: 2_048 }), {
      default: [],
      maxItems: 1_000,
      description: 'Targets whose descriptions and results are not looked at.',
    }),
  },
  { additionalProperties: false },
);
export type Config = Static<typeof Config>;

/** What the schema cannot say. */
export function configProblems(config: Config): readonly ConfigProblem[] {
  return [
    ...config.sets.flatMap((each, index) => setProblems(each, `sets[${index}]`)),
    ...config.rules.flatMap((each, index) =>
      ruleProblems(each, `rules[${index}]`, config.rules.slice(0, index)),
    ),
    ...patternProblems(config.trusted, 'trusted'),
    ...(config.redaction === undefined ? [] : redactionProblems(config.redaction, 'redaction')),
    ...sizeProblems(config.max_result_bytes),
  ];
}

function setProblems({ set, exclude, targets: own }: Config['sets'][number], path: string): ConfigProblem[] {
  const ids = ruleIdsOf(set);
  const unknown = exclude.flatMap((id, index) =>
    ids.includes(id)
      ? []
      : [
          {
            path: `${path}.exclude[${index}]`,
            message: `is no rule of ${set}`,
            hint: `they are ${ids.join(', ')}`,
          },
        ],
  );
  return [...unknown, ...patternProblems(own, `${path}.targets`)];
}

export function ruleIdsOf(set: string): readonly string[] {
  if (set === 'json') return Object.keys(JSON_RULES);
  return RULE_SETS.find(({ name }) => name === set)?.rules.map(({ id }) => id) ?? [];
}

const ALL_IDS = new Set(SET_NAMES.flatMap((name) => ruleIdsOf(name)));

function ruleProblems(
  rule: Config['rules'][number],
  path: string,
  before: readonly { readonly id: string }[],
): ConfigProblem[] {
  const { id, patterns, paths, hosts, at, targets: own } = rule;
  const problems = patternProblems(own, `${path}.targets`);
  if (ALL_IDS.has(id))
    problems.push({ path: `${path}.id`, message: 'is that of a rule that comes with the plugin' });
  if (before.some((other) => other.id === id))
    problems.push({ path: `${path}.id`, message: 'is that of a rule before it' });
  patterns.forEach((pattern, index) => {
    const message = textPatternProblem(pattern);
    if (message !== undefined) problems.push({ path: `${path}.patterns[${index}]`, message });
  });
  hosts.forEach((host, index) => {
    const message = hostProblem(host);
    if (message !== undefined) problems.push({ path: `${path}.hosts[${index}]`, message });
  });
  if (at.length > 0 && patterns.length + paths.length + hosts.length === 0)
    problems.push({
      path: `${path}.at`,
      message: 'says where to look, and nothing says for what',
      hint: 'add patterns, paths or hosts',
    });
  return problems;
}

function hostProblem(host: string): string | undefined {
  const [address = '', prefix] = host.split('/');
  if (prefix !== undefined) {
    const isNetwork = /^[0-9a-f:.]+$/i.test(address) && /^\d{1,3}$/.test(prefix);
    const bits = address.includes(':') ? 128 : 32;
    return isNetwork && Number(prefix) <= bits ? undefined : 'is no network; write one as 10.1.0.0/16';
  }
  if (/[\s@]|:\/\//.test(host)) return 'is no host; write its name or address alone';
  return undefined;
}

function sizeProblems(size: string | number | undefined): ConfigProblem[] {
  if (size === undefined) return [];
  const bytes = sizeBytes(size as never);
  const message =
    bytes > LARGEST_RESULT_BYTES
      ? 'is more than 64MiB'
      : bytes < SMALLEST_RESULT_BYTES
        ? `is less than ${SMALLEST_RESULT_BYTES} bytes, which no result has`
        : undefined;
  return message === undefined ? [] : [{ path: 'max_result_bytes', message }];
}
