import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

const PATTERN_COUNT = 100;
const patterns = Array.from({ length: PATTERN_COUNT - 1 }, (_, index) => [
  `upstream-${index}:*`,
  [`scope-${index}`],
]);

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'a permitted tool, 100 patterns',
      stage: 'call',
      config: { tools: Object.fromEntries([...patterns, ['bench:*', ['call']]]) },
      request: { identity: { scopes: ['read', 'call'] } },
      isAsExpected: ({ outcome, reached }) => outcome?.errorCode === 0 && reached !== undefined,
    },
    {
      name: 'a scope by a claim, 100 patterns',
      stage: 'call',
      config: {
        mappings: { 'groups:dev': ['call'] },
        tools: Object.fromEntries([...patterns, ['bench:*', ['call']]]),
      },
      request: { identity: { claims: { groups: ['staff', 'dev'] } } },
      isAsExpected: ({ outcome, reached }) => outcome?.errorCode === 0 && reached !== undefined,
    },
  ],
};
