import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'a head within all limits',
      stage: 'head',
      config: { max_body_bytes: '64KiB', max_header_count: 50, max_header_bytes: '8KiB' },
      isAsExpected: () => true,
    },
    {
      name: '120 bytes of arguments',
      stage: 'call',
      config: { max_arguments_bytes: '64KiB', max_arguments_depth: 10 },
      isAsExpected: ({ outcome }) => outcome?.errorCode === 0,
    },
  ],
};
