import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

const inputSchema = {
  type: 'object',
  properties: { text: { type: 'string', maxLength: 1_000 }, limit: { type: 'integer', minimum: 1 } },
  required: ['text'],
  additionalProperties: false,
};

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'arguments that fit',
      stage: 'call',
      definition: { name: 'echo', inputSchema },
      isAsExpected: ({ outcome, reached }) => outcome?.errorCode === 0 && reached !== undefined,
    },
    {
      name: 'arguments that do not fit',
      stage: 'call',
      definition: { name: 'echo', inputSchema: { ...inputSchema, required: ['path'] } },
      isAsExpected: ({ outcome, reached }) => outcome?.refusal?.kind === 'invalid' && reached === undefined,
    },
    {
      name: 'a tool that is not checked',
      stage: 'call',
      config: { targets: ['other:*'] },
      isAsExpected: ({ outcome }) => outcome?.errorCode === 0,
    },
  ],
};
