/** How redaction stands in configurations. */
import { type ConfigProblem, Secret, type Static, Type } from '@sluice/sdk';
import { textPatternProblem } from '../matching/index.js';
import { DETECTORS, type Detector } from './detectors.js';
import type { RedactorOptions } from './redactor.js';

const IDS = DETECTORS.map(({ id }) => id);
const DEFAULT_IDS = DETECTORS.filter(({ isDefault }) => isDefault).map(({ id }) => id);
const detectorId = () => Type.Union(IDS.map((id) => Type.Literal(id)));

const OwnPattern = Type.Object(
  {
    id: Type.String({
      pattern: '^[a-z][a-z0-9-]{0,39}$',
      description: 'Stands in the token that takes the place of what is found.',
    }),
    pattern: Type.String({
      minLength: 1,
      maxLength: 4_096,
      description: "In RE2's syntax. Matches are found up to 1,024 characters long.",
    }),
    ignore_case: Type.Boolean({
      default: false,
      description: 'Whether capital and small letters are the same.',
    }),
  },
  { additionalProperties: false },
);

export const RedactionConfig = Type.Object(
  {
    detectors: Type.Array(detectorId(), {
      default: DEFAULT_IDS,
      maxItems: 100,
      description: 'What is looked for.',
    }),
    exclude: Type.Array(detectorId(), {
      default: [],
      maxItems: 100,
      description: 'Of these, what is not.',
    }),
    patterns: Type.Array(OwnPattern, { default: [], maxItems: 200, description: 'Own ones.' }),
    token_secret: Type.Optional(
      Secret({
        minLength: 16,
        maxLength: 1_024,
        description:
          'Keys the tokens, so that the same secret has the same token on all nodes and after a restart. By default a random one of the node.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Tokens in the place of secrets and personal data; without it nothing is replaced.',
  },
);
export type RedactionConfig = Static<typeof RedactionConfig>;

/** What the schema cannot say. */
export function redactionProblems({ patterns }: RedactionConfig, path: string): ConfigProblem[] {
  return patterns.flatMap(({ id, pattern }, index) => {
    const problem = (field: string, message: string) => [
      { path: `${path}.patterns[${index}].${field}`, message },
    ];
    if (id === 'text' || IDS.includes(id)) return problem('id', 'is that of a detector');
    const first = patterns.findIndex((other) => other.id === id);
    if (first !== index) return problem('id', `is that of patterns[${first}] too`);
    const wrong = textPatternProblem(pattern);
    return wrong === undefined ? [] : problem('pattern', wrong);
  });
}

/** @param random takes the place of a secret that is not configured. */
export function redactorOptions(
  { detectors, exclude, patterns, token_secret }: RedactionConfig,
  random: string | Uint8Array,
): RedactorOptions {
  return {
    detectors: detectorsOf(detectors.filter((id) => !exclude.includes(id))),
    patterns: patterns.map(({ id, pattern, ignore_case }) => ({ id, pattern, ignoresCase: ignore_case })),
    secret: token_secret ?? random,
  };
}

function detectorsOf(ids: readonly string[]): readonly Detector[] {
  return DETECTORS.filter(({ id }) => ids.includes(id));
}
