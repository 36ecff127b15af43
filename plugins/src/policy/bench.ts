import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';
import { OPA_CASES } from './opa/bench-cases.js';

const passes: PluginBench['cases'][number]['isAsExpected'] = ({ outcome, reached }) =>
  outcome?.errorCode === 0 && reached !== undefined;

const deny = (id: string, when: string) => ({ id, when, outcome: 'deny' });
/** What a rule without a pattern may cost. */
const RULE_LIMIT_NANOS = 3_000;
const LONG = 'x'.repeat(1_000);

export const bench: PluginBench = {
  plugin,
  cases: [
    ...OPA_CASES,
    {
      name: 'one rule',
      stage: 'call',
      limitNanos: RULE_LIMIT_NANOS,
      config: { rules: [{ id: 'it', when: 'target.upstream == "bench"', outcome: 'allow' }] },
      isAsExpected: passes,
    },
    {
      name: 'one rule over arguments, claims and scopes',
      stage: 'call',
      limitNanos: RULE_LIMIT_NANOS,
      config: {
        rules: [
          {
            id: 'it',
            when: 'principal.claims.team == "a" && "call" in principal.scopes && arguments.n >= 0',
            outcome: 'allow',
          },
        ],
      },
      request: {
        identity: { claims: { team: 'a' }, scopes: ['read', 'call'] },
        argumentsOf: (index) => ({ n: index }),
      },
      isAsExpected: passes,
    },
    {
      name: 'ten rules that do not hold',
      stage: 'call',
      config: {
        default: 'allow',
        rules: Array.from({ length: 10 }, (_, index) => deny(`r${index}`, `target.name == "tool-${index}"`)),
      },
      isAsExpected: passes,
    },
    {
      name: 'a pattern over 1,000 characters',
      stage: 'call',
      config: { default: 'allow', rules: [deny('it', 'arguments.text.matches("secret-[0-9]+")')] },
      request: { argumentsOf: () => ({ text: LONG }) },
      isAsExpected: passes,
    },
    {
      name: 'office hours',
      stage: 'call',
      config: {
        default: 'allow',
        rules: [deny('it', 'now.within("Mon 00:00-00:01", "Europe/Berlin") && target.name == "none"')],
      },
      isAsExpected: passes,
    },
    {
      name: 'a counter of the session',
      stage: 'call',
      config: { rules: [{ id: 'it', when: 'session.count >= 0', outcome: 'allow' }] },
      isAsExpected: passes,
    },
  ],
};
