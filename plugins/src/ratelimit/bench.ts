import type { PluginBench, Seen } from '../bench-case.js';
import plugin from './index.js';

/** The most that there is: nobody is refused. */
const NO_WAIT = { rate: 100_000, per: 'second', burst: 1_000_000_000 };
const identity = { id: 'auth-api-key:bench', tenant: 'example' };

function isLimitedBy(count: number): (seen: Seen) => boolean {
  return ({ outcome }) => {
    const policies = outcome?.headers.find(([name]) => name === 'RateLimit-Policy')?.[1];
    return outcome?.errorCode === 0 && policies?.split(', ').length === count;
  };
}

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: '1 limit',
      stage: 'call',
      config: { limits: [{ name: 'caller', key: ['principal.id'], ...NO_WAIT }] },
      request: { identity },
      isAsExpected: isLimitedBy(1),
    },
    {
      name: '3 limits',
      stage: 'call',
      config: {
        limits: [
          { name: 'caller', key: ['principal.id'], ...NO_WAIT },
          { name: 'tenant', key: ['principal.tenant'], ...NO_WAIT },
          { name: 'tool', key: ['principal.id', 'target.name'], ...NO_WAIT },
        ],
      },
      request: { identity },
      isAsExpected: isLimitedBy(3),
    },
  ],
};
