import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'no credential',
      stage: 'admission',
      isAsExpected: ({ found }) => found !== undefined && 'id' in found && found.id === 'anonymous',
    },
  ],
};
