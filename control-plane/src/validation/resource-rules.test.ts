/* What is wrong with endpoints, virtual servers, consumers, credentials, policies and limits, and what is said of it. */
import { createApiKey } from '@sluice/plugins/credentials';
import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../file/load.js';

const UPSTREAMS = { files: { url: 'http://127.0.0.1:1/mcp' }, web: { url: 'http://127.0.0.1:2/mcp' } };
const HASH_KEY = 'a secret of thirty-two characters';
const { prefix, hash } = createApiKey(HASH_KEY);
const KEYS = { plugin: 'auth-api-key', config: { hash_key: HASH_KEY } };
const ADA = { name: 'ada', scopes: ['read'] };

function read(parts: object) {
  const text = JSON.stringify({ upstreams: UPSTREAMS, ...parts });
  return parseConfiguration(text, { file: '/etc/sluice/sluice.json', environment: {} });
}

const server = (more: object) => ({
  virtual_servers: [{ name: 'team', tools: [{ upstream: 'files', name: '*' }], ...more }],
});
const credential = (more: object) => ({
  plugins: [KEYS],
  consumers: [ADA],
  credentials: [{ name: 'laptop', consumer: 'ada', api_key: { prefix, hash }, ...more }],
});
const policy = (more: object) => ({
  policies: [{ name: 'readers', permissions: [{ pattern: 'files:*', scopes: ['read'] }], ...more }],
});
const limit = (more: object) => ({ limits: [{ name: 'calls', requests: 10, ...more }] });

describe('what is right', () => {
  it.each([
    ['a virtual server', server({})],
    ['a virtual server at a path of its own', server({ path: '/mcp/teams/search' })],
    ['an endpoint', { endpoints: [{ name: 'both', path: '/mcp/both', upstreams: ['files', 'web'] }] }],
    ['a credential', credential({})],
    [
      'a credential that expires',
      credential({ api_key: { prefix, hash, expires: '2030-01-31T00:00:00+02:00' } }),
    ],
    ['a policy', policy({})],
    ['a policy at a virtual server', { ...server({}), ...policy({ endpoints: ['/mcp/team'] }) }],
    ['a limit', limit({ per: 'hour', burst: 3, key: 'address' })],
  ])('%s', (_, parts) => {
    const { configuration, problems } = read(parts);
    expect(problems).toEqual([]);
    expect(configuration).toBeDefined();
  });
});

describe('what is wrong', () => {
  it.each<[path: string, message: string, hint: string, parts: object]>([
    ['virtual_servers[0].name', 'missing', 'write 1 to 40', server({ name: '' })],
    ['virtual_servers[0].name', 'not a name that paths can carry', 'write 1 to 40', server({ name: 'a b' })],
    [
      'virtual_servers[0].name',
      'at /mcp/files the upstream files is served',
      'choose another',
      server({ name: 'files' }),
    ],
    ['virtual_servers[0].path', 'not a path below /mcp', 'write /mcp/', server({ path: '/other' })],
    ['virtual_servers[0].path', 'not a path below /mcp', 'write /mcp/', server({ path: '/mcp/a%20b' })],
    [
      'virtual_servers[0].tools[0].upstream',
      'there is no upstream flies',
      'did you mean files?',
      server({ tools: [{ upstream: 'flies', name: '*' }] }),
    ],
    [
      'virtual_servers[0].tools[0].upstream',
      'missing',
      'upstreams are files, web',
      server({ tools: [{ name: 'x' }] }),
    ],
    [
      'virtual_servers[0].tools[0].name',
      'missing',
      'write a name',
      server({ tools: [{ upstream: 'files' }] }),
    ],
    [
      'virtual_servers[0].tools[0].rename',
      'one name for several',
      'write the whole name',
      server({ tools: [{ upstream: 'files', name: '*', rename: 'x' }] }),
    ],
    [
      'virtual_servers[0].tools[0].description',
      'one description for several',
      'write the whole name',
      server({ tools: [{ upstream: 'files', name: 'r*', description: 'x' }] }),
    ],
    [
      'virtual_servers[0].tools[0].rename',
      'not a name for clients',
      'write 1 to 128',
      server({ tools: [{ upstream: 'files', name: 'x', rename: 'a b' }] }),
    ],
    [
      'virtual_servers[0].tools[1].rename',
      'virtual_servers[0].tools[0] is called y too',
      'choose another name',
      server({
        tools: [
          { upstream: 'files', name: 'x', rename: 'y' },
          { upstream: 'web', name: 'x', rename: 'y' },
        ],
      }),
    ],
    [
      'virtual_servers[0].resources[0].uri',
      'missing',
      'write a URI',
      server({ resources: [{ upstream: 'files' }] }),
    ],
    [
      'virtual_servers',
      'a mapping where a list belongs',
      'begin each member',
      { virtual_servers: { team: {} } },
    ],
    ['endpoints[0].path', 'missing', 'write /mcp/', { endpoints: [{ name: 'x' }] }],
    [
      'endpoints[0].upstreams[0]',
      'there is no upstream nobody',
      'upstreams are',
      { endpoints: [{ name: 'x', path: '/mcp/x', upstreams: ['nobody'] }] },
    ],
    [
      'endpoints[0].path',
      'at /mcp/web the upstream web is served',
      'choose another path',
      { endpoints: [{ name: 'x', path: '/mcp/web' }] },
    ],
    [
      'credentials[0].consumer',
      'there is no consumer adda',
      'did you mean ada?',
      credential({ consumer: 'adda' }),
    ],
    ['credentials[0]', 'proves nothing', 'write `api_key`', credential({ api_key: undefined })],
    [
      'credentials[0]',
      'no plugin auth-basic is there to know it by',
      'add `- plugin: auth-basic`',
      credential({ api_key: undefined, password: { hash: 'x' } }),
    ],
    ['credentials[0].api_key', 'not whole', 'sluice keys create', credential({ api_key: { prefix } })],
    ['credentials', 'keys[0].hash', '', credential({ api_key: { prefix, hash: 'short' } })],
    [
      'credentials[0].api_key.expires',
      'not a time',
      '2027-01-31T00:00:00Z',
      credential({ api_key: { prefix, hash, expires: 'soon' } }),
    ],
    [
      'policies[0].endpoints[0]',
      'there is no endpoint /mcp/team',
      'did you mean /mcp/web?',
      policy({ endpoints: ['/mcp/team'] }),
    ],
    [
      'policies[0].permissions',
      'permissions',
      '',
      policy({ permissions: [{ pattern: 'no colon', scopes: ['x'] }] }),
    ],
    ['limits[0].requests', 'missing', 'from 1', limit({ requests: 0 })],
    ['limits[0].name', 'not a name', 'lower-case', limit({ name: 'Calls' })],
    ['consumers[0].name', 'missing', 'write 1 to 128', { consumers: [{}] }],
  ])('%s: %s', (path, message, hint, parts) => {
    const { configuration, problems } = read(parts);
    expect(configuration).toBeUndefined();
    const found = problems.find((problem) => problem.path === path && problem.message.includes(message));
    expect(found, JSON.stringify(problems)).toMatchObject({ severity: 'error' });
    expect(found?.hint).toContain(hint);
  });
});
