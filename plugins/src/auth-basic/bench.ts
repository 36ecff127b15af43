import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';
import { hashPassword } from './password.js';

const PASSWORD = 'the one of this benchmark';

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'a remembered pair',
      stage: 'admission',
      config: { users: [{ user: 'bench', password_hash: await hashPassword(PASSWORD) }], cache_ttl: '1h' },
      request: {
        headers: { authorization: `Basic ${Buffer.from(`bench:${PASSWORD}`).toString('base64')}` },
      },
      isAsExpected: ({ found }) => found !== undefined && 'id' in found && found.id === 'auth-basic:bench',
    },
  ],
};
