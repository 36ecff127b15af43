import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

const SETS = ['filesystem', 'shell', 'sql', 'network', 'code', 'json'].map((set) => ({ set }));
/** Nothing in it that any of them would find, and as many different characters as in what people write. */
const PROSE =
  'The quick brown fox jumps over the lazy dog while the five boxing wizards (12 of them) jump quickly; see docs/a.md. ';
const passes = { isAsExpected: ({ outcome }) => outcome?.errorCode === 0 } satisfies Partial<
  PluginBench['cases'][number]
>;

export const bench: PluginBench = {
  plugin,
  cases: [
    { name: 'as it is without a word', stage: 'call', ...passes },
    {
      name: 'all rule sets',
      stage: 'call',
      config: { sets: SETS, instructions: { action: 'ignore' } },
      ...passes,
    },
    { name: 'redaction', stage: 'call', config: { redaction: {} }, ...passes },
    { name: 'all of it', stage: 'call', config: { sets: SETS, redaction: {} }, ...passes },
    {
      name: 'all rule sets, 16 KiB of arguments',
      stage: 'call',
      config: { sets: SETS },
      request: { argumentsOf: () => ({ text: PROSE.repeat(142) }) },
      ...passes,
    },
    {
      name: 'a call that is refused',
      stage: 'call',
      config: { sets: SETS },
      request: { argumentsOf: () => ({ path: '../../etc/passwd' }) },
      isAsExpected: ({ outcome }) => outcome?.refusal?.status === 403,
    },
  ],
};
