/** Valid configurations, each a part of one that has something of every kind. */
import type { JsonObject } from '@bufbuild/protobuf';
import { createApiKey } from '@sluice/plugins/credentials';
import type { Random } from '../fuzz/random.js';

/** Nothing listens there, and nothing is asked beyond this machine. */
const NOBODY = 'http://127.0.0.1:1/mcp';
const KEY = createApiKey('a secret of thirty-two characters');

/** Parts that are right by themselves, in the order in which they may be chosen: later ones may need earlier ones. */
const PARTS: readonly {
  readonly needs: readonly string[];
  readonly name: string;
  readonly resources: JsonObject[];
}[] = [
  {
    name: 'places',
    needs: [],
    resources: [{ region: { name: 'eu', title: 'Europe' } }, { region: { name: 'us' } }],
  },
  {
    name: 'gateway',
    needs: [],
    resources: [
      {
        gateway: {
          limits: { maxBodyBytes: 1_048_576, bodyTimeout: '5s' },
          naming: { mode: 'NAMING_MODE_WHEN_NEEDED' },
          sessions: { idleTimeout: '600s', keys: ['${SLUICE_SESSION_KEY}'] },
          egress: { allow: ['169.254.10.0/24'] },
          log: { level: 'warn' },
        },
      },
    ],
  },
  {
    name: 'upstreams',
    needs: [],
    resources: [
      { upstream: { name: 'files', http: { url: NOBODY, headers: { 'x-team': 'a' } }, timeout: '5s' } },
      { upstream: { name: 'web', hidden: true, websocket: { url: 'ws://127.0.0.1:1/mcp' } } },
    ],
  },
  {
    name: 'secret',
    needs: ['upstreams'],
    resources: [
      { secret: { name: 'token', env: 'FILES_TOKEN' } },
      { secret: { name: 'hash', file: '/run/secrets/hash' } },
      {
        upstream: {
          name: 'inner',
          http: { url: '${INNER_URL}', headers: { authorization: 'Bearer ${secret:token}' } },
        },
      },
    ],
  },
  {
    name: 'program',
    needs: [],
    resources: [
      {
        upstream: {
          name: 'program',
          disabled: true,
          stdio: { command: '/nonexistent/sluice-test', args: ['a'], env: { A: 'b' } },
        },
      },
    ],
  },
  {
    name: 'servers',
    needs: ['upstreams'],
    resources: [
      { endpoint: { name: 'both', path: '/mcp/both', upstreams: ['files', 'web'] } },
      {
        virtualServer: {
          name: 'team',
          title: 'Team',
          tools: [
            { upstream: 'files', name: 'read', rename: 'open' },
            { upstream: 'web', name: '*' },
          ],
          prompts: [{ upstream: 'files', name: '*' }],
          resources: [{ upstream: 'files', uri: 'file:///*' }],
        },
      },
    ],
  },
  {
    name: 'callers',
    needs: ['secret'],
    resources: [
      { plugin: { plugin: 'auth-api-key', config: { hash_key: '${secret:hash}' } } },
      { consumer: { name: 'ada', scopes: ['read'], claims: { team: 'search' } } },
      {
        credential: {
          name: 'laptop',
          consumer: 'ada',
          apiKey: { prefix: KEY.prefix, hash: KEY.hash, expires: '2030-01-31T00:00:00Z' },
        },
      },
    ],
  },
  {
    name: 'rights',
    needs: ['servers'],
    resources: [
      {
        policy: {
          name: 'readers',
          endpoints: ['/mcp/team'],
          permissions: [{ pattern: 'files:*', scopes: ['read'] }],
        },
      },
      {
        limit: {
          name: 'calls',
          requests: 10_000,
          per: 'LIMIT_PERIOD_HOUR',
          burst: 5_000,
          key: 'LIMIT_KEY_TOOL',
        },
      },
    ],
  },
  {
    name: 'plugins',
    needs: [],
    resources: [
      { plugin: { plugin: 'cors', config: { allowed_origins: ['https://app.example.com'] }, order: 3 } },
      {
        plugin: {
          name: 'sizes',
          plugin: 'request-limit',
          onFailure: 'FAILURE_POLICY_ALLOW',
          config: { max_body_bytes: 65_536 },
        },
      },
    ],
  },
  {
    name: 'acme',
    needs: ['upstreams', 'places'],
    resources: [
      { tenantSpec: { name: 'acme', title: 'Acme', maxResources: 100 } },
      { tenant: 'acme', upstream: { name: 'files', http: { url: NOBODY } } },
      { tenant: 'acme', regions: ['eu'], upstream: { name: 'local', sse: { url: NOBODY } } },
      {
        tenant: 'acme',
        virtualServer: {
          name: 'team',
          tools: [
            { upstream: 'files', name: '*' },
            { upstream: 'web', name: '*' },
          ],
        },
      },
      { tenant: 'acme', limit: { name: 'calls', requests: 100 } },
      { tenant: 'acme', secret: { name: 'token', env: 'ACME_TOKEN' } },
    ],
  },
  {
    name: 'globex',
    needs: [],
    resources: [
      { tenantSpec: { name: 'globex' } },
      { tenant: 'globex', upstream: { name: 'mail', http: { url: NOBODY } }, labels: { team: 'mail' } },
      { tenant: 'globex', endpoint: { name: 'all', path: '/mcp/globex/all', upstreams: ['mail'] } },
      { tenant: 'globex', policy: { name: 'open', permissions: [{ pattern: 'globex/mail:*' }] } },
    ],
  },
];

/** Some parts, with those that they need. */
export function validSet(random: Random): JsonObject[] {
  const chosen = new Set<string>();
  for (const { name, needs } of PARTS)
    if (random.oneIn(2) && needs.every((each) => chosen.has(each))) chosen.add(name);
  return PARTS.filter(({ name }) => chosen.has(name)).flatMap(({ resources }) => structuredClone(resources));
}
