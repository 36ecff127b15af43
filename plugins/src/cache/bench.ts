import type { PluginBench, Seen } from '../bench-case.js';
import plugin from './index.js';

const config = { tools: [{ targets: ['bench:*'], ttl: '1h' }] };

function isAnsweredByUpstream({ outcome, reached }: Seen): boolean {
  return outcome?.errorCode === 0 && reached !== undefined;
}

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'an answer that is kept',
      stage: 'call',
      config,
      isAsExpected: ({ outcome, reached }) => outcome?.errorCode === 0 && reached === undefined,
    },
    {
      name: 'another call each time',
      stage: 'call',
      config,
      request: { argumentsOf: (index) => ({ text: `The quick brown fox jumps ${index} times.` }) },
      isAsExpected: isAnsweredByUpstream,
    },
    {
      name: 'a tool that is not kept',
      stage: 'call',
      config: { tools: [{ targets: ['other:*'], ttl: '1h' }] },
      isAsExpected: isAnsweredByUpstream,
    },
  ],
};
