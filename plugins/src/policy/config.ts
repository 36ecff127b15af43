/** What stands in a configuration of `policy`. */
import { Duration, type Static, TargetPattern, Type } from '@sluice/sdk';
import { AgentConfig } from './agent.js';
import { OpaConfig } from './opa/config.js';

/** How long a use counts where no session ends. */
export const DEFAULT_WINDOW = '1h';
const MAX_RULE_COUNT = 1_000;

const Mode = (description: string) =>
  Type.Union([Type.Literal('enforce'), Type.Literal('audit')], { default: 'enforce', description });

const Ask = Type.Object(
  {
    message: Type.String({
      minLength: 1,
      maxLength: 4_096,
      description: 'What the person reads; {{ }} holds CEL: "May {{agent.name}} delete {{arguments.id}}?".',
    }),
    schema: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'Fields of the form, as JSON schema of a flat object. Default none: yes or no.',
      }),
    ),
    url: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2_048,
        description:
          'A page that the person is sent to instead of a form, where {id} names this very use: https://approve.example.com/{id}.',
      }),
    ),
    confirm_url: Type.Optional(
      Type.String({
        pattern: '^https?://[^{}\\s]+(\\{id\\}[^{}\\s]*)+$',
        maxLength: 2_048,
        description:
          'Says what came of that page: 200 or 204 approved, 403 or 410 declined, 202 or 404 not yet. Has {id} in it.',
      }),
    ),
  },
  { additionalProperties: false, description: 'What a person is asked where the outcome is ask.' },
);

export const Rule = Type.Object(
  {
    id: Type.String({
      pattern: '^[a-z][a-z0-9_-]{0,62}$',
      description: 'Names the rule in refusals, records and counters: lower-case letters, digits, - and _.',
    }),
    match: Type.Optional(
      Type.Object(
        {
          methods: Type.Optional(
            Type.Array(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_./-]{0,127}$' }), {
              minItems: 1,
              maxItems: 100,
              description:
                'For example tools/call. By default all with which something is used; others only when they are named.',
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
    outcome: Type.Union([Type.Literal('allow'), Type.Literal('deny'), Type.Literal('ask')], {
      description: 'What happens to a request for which the rule holds.',
    }),
    reason: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 1_024,
        description: 'What the client is told; {{ }} holds CEL: "{{target.name}} is for office hours".',
      }),
    ),
    ask: Type.Optional(Ask),
    mode: Mode('audit: what the rule says is only noted, and the next rules are asked.'),
  },
  { additionalProperties: false },
);
export type RuleConfig = Static<typeof Rule>;

export const Config = Type.Object(
  {
    mode: Mode('audit: nothing is refused and nobody is asked; what would have been is noted.'),
    default: Type.Union([Type.Literal('deny'), Type.Literal('allow')], {
      default: 'deny',
      description: 'What happens where no rule holds.',
    }),
    rules: Type.Array(Rule, {
      default: [],
      maxItems: MAX_RULE_COUNT,
      description: 'In their order: the first that holds decides.',
    }),
    opa: Type.Optional(OpaConfig),
    agent: Type.Optional(AgentConfig),
    session: Type.Optional(
      Type.Object(
        {
          by: Type.Union([Type.Literal('session'), Type.Literal('principal')], {
            default: 'session',
            description:
              'What is counted together: a session, and where there are none what one principal does with one client; or all that a principal does.',
          }),
          window: Duration({
            default: DEFAULT_WINDOW,
            description: 'How long something counts where no session ends, at least 1s and at most 30d.',
          }),
        },
        { additionalProperties: false, description: 'How `session` counts.' },
      ),
    ),
  },
  { additionalProperties: false },
);
export type Config = Static<typeof Config>;
