import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

const ISSUER = 'https://issuer.example.com';
const RESOURCE = 'https://gateway.example.com';
const introspection = {
  client_id: 'gateway',
  client_secret: 'known to this benchmark alone',
  endpoint: `${ISSUER}/introspect`,
  cache_ttl: '5m',
};
const config = { resource: RESOURCE, authorization_servers: [{ issuer: ISSUER, introspection }] };
const ACTIVE = { active: true, sub: 'bench', aud: RESOURCE, scope: 'tools:read' };

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'a remembered token',
      stage: 'admission',
      config,
      request: { headers: { authorization: 'Bearer a-token-that-says-nothing-by-itself' } },
      fetch: () => ({ status: 200, headers: {}, text: JSON.stringify(ACTIVE) }),
      isAsExpected: ({ found }) => found !== undefined && 'id' in found && found.scopes.length === 1,
    },
    {
      name: 'an answer that is no refusal',
      stage: 'call',
      config,
      isAsExpected: ({ outcome }) => outcome?.errorCode === 0,
    },
  ],
};
