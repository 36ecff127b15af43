import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

const identity = { id: 'auth-api-key:bench', claims: { plan: 'free' } };

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'a header from the caller',
      stage: 'call',
      config: { rules: [{ name: 'caller', headers: { set: { 'X-Caller': '{{principal.id}}' } } }] },
      request: { identity },
      isAsExpected: ({ reached }) => reached?.headers?.['x-caller'] === identity.id,
    },
    {
      name: 'an argument',
      stage: 'call',
      config: { rules: [{ name: 'limit', arguments: { set: { '/limit': 10 } } }] },
      request: { identity },
      isAsExpected: ({ reached }) => reached?.arguments?.limit === 10,
    },
    {
      name: 'a condition, then an argument',
      stage: 'call',
      config: {
        rules: [
          {
            name: 'limit',
            when: 'principal.claims.plan == "free"',
            arguments: { set: { '/limit': 10 } },
          },
        ],
      },
      request: { identity },
      isAsExpected: ({ reached }) => reached?.arguments?.limit === 10,
    },
    {
      name: 'a rule for another tool',
      stage: 'call',
      config: {
        rules: [{ name: 'limit', match: { targets: ['other:*'] }, arguments: { set: { '/limit': 10 } } }],
      },
      request: { identity },
      isAsExpected: ({ reached }) => reached !== undefined && reached.arguments === undefined,
    },
  ],
};
