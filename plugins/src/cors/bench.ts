import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

const ORIGIN = 'https://app.example.com';
const config = { allowed_origins: [ORIGIN] };

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'the head of a page',
      stage: 'head',
      config,
      request: { headers: { origin: ORIGIN } },
      isAsExpected: ({ fields }) => fields.some(([name]) => name === 'Access-Control-Allow-Origin'),
    },
    {
      name: 'the head of another client',
      stage: 'head',
      config,
      isAsExpected: ({ fields }) => fields.length === 1,
    },
  ],
};
