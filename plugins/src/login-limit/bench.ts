import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'a credential that is right',
      stage: 'admission',
      request: { headers: { 'x-api-key': 'any' } },
      isAsExpected: ({ found }) => found !== undefined && 'id' in found,
    },
  ],
};
