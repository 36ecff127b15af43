import { createApiKey } from '@sluice/plugins/credentials';
import { UPSTREAM_NAME } from './relay.js';

const HASH_KEY = 'known to this benchmark alone, for as long as it runs';
const { key, prefix, hash } = createApiKey(HASH_KEY);

/** What the client sends to be known. */
export const CHAIN_HEADERS: Readonly<Record<string, string>> = { 'X-API-Key': key };

/** Calls a second, the highest that there is: nobody is kept waiting. */
const NO_WAIT = 100_000;

/** The plugins that most gateways have: who calls, whether that is allowed, how often, what changes, and a cache that misses. */
export const CHAIN: readonly object[] = [
  {
    plugin: 'auth-api-key',
    config: { hash_key: HASH_KEY, keys: [{ prefix, hash, consumer: 'bench', scopes: ['call'] }] },
  },
  { plugin: 'authorize', config: { tools: { [`${UPSTREAM_NAME}:*`]: ['call'] } } },
  {
    plugin: 'ratelimit',
    config: {
      limits: [{ name: 'all', key: ['principal.id'], rate: NO_WAIT, per: 'second', burst: NO_WAIT }],
    },
  },
  {
    plugin: 'transform',
    config: { rules: [{ name: 'caller', headers: { set: { 'X-Caller': '{{principal.consumer}}' } } }] },
  },
  // Each call of the benchmark has other arguments: it is looked for, not found, and kept.
  { plugin: 'cache', config: { tools: [{ targets: [`${UPSTREAM_NAME}:*`], ttl: '1m' }] } },
];
