import type { PluginBench } from '../bench-case.js';
import plugin, { createApiKey } from './index.js';

const HASH_KEY = 'known to this benchmark alone, for as long as it runs';
const OTHER_KEY_COUNT = 1_000;
const { key, prefix, hash } = createApiKey(HASH_KEY);

function others() {
  return Array.from({ length: OTHER_KEY_COUNT }, (_, index) => {
    const other = createApiKey(HASH_KEY);
    return { prefix: other.prefix, hash: other.hash, consumer: `other-${index}` };
  });
}

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'a known key, of 1,001',
      stage: 'admission',
      config: { hash_key: HASH_KEY, keys: [...others(), { prefix, hash, consumer: 'bench' }] },
      request: { headers: { 'x-api-key': key } },
      isAsExpected: ({ found }) => found !== undefined && 'id' in found && found.id === 'auth-api-key:bench',
    },
  ],
};
