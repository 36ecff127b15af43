import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

const definition = { name: 'echo', description: 'Says again.', inputSchema: { type: 'object' } };

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'a tool as it was accepted',
      stage: 'call',
      config: { accepted: { bench: { echo: JSON.stringify(definition) } } },
      definition,
      isAsExpected: ({ outcome, reached }) => outcome?.errorCode === 0 && reached !== undefined,
    },
    {
      name: 'a tool that has changed',
      stage: 'call',
      config: { accepted: { bench: { echo: JSON.stringify(definition) } } },
      definition: { ...definition, inputSchema: { type: 'object', required: ['text'] } },
      isAsExpected: ({ outcome, reached }) => outcome?.refusal?.kind === 'forbidden' && reached === undefined,
    },
  ],
};
