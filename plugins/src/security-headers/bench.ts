import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'all fields',
      stage: 'head',
      isAsExpected: ({ fields }) => fields.length === 6,
    },
  ],
};
