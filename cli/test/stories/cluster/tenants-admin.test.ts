import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_TOKEN, NODE_TOKEN, type RunningControlPlane, startControlPlane } from './control-plane.js';

/* "I look after one tenant of a cluster, and try what else I can see and move." */

const ACME_TOKEN = 'token-of-whoever-looks-after-acme-0123456789';
const HASH_KEY = 'a secret of at least thirty-two characters';
const PASSWORD_HASH =
  '$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$1RL+Xg0R5UtrsEx1/34MJGhCuDjQdo5E2HyYnASS5FE';
/** Whatever has this in its name is of the other tenant, or the operator's secret. */
const FOREIGN = /globex|vault|hidden-from-acme/;

let folder: string;
let plane: RunningControlPlane;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly body: any;
}

async function call(token: string, method: string, path: string, body?: object): Promise<Answer> {
  const answer = await fetch(`http://${plane.admin}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, text, body: text === '' ? {} : JSON.parse(text) };
}

const acme = (method: string, path: string, body?: object) => call(ACME_TOKEN, method, path, body);
const put = (resource: object) => acme('POST', '/apply', { resources: [{ tenant: 'acme', ...resource }] });

const http = (name: string, more: object = {}) => ({
  upstream: { name, http: { url: 'https://a.example.com/mcp' }, ...more },
});
const shared = createApiKey(HASH_KEY);
const key = (name: string) => ({
  credential: { name, consumer: 'ada', api_key: { prefix: shared.prefix, hash: shared.hash } },
});

function holdings(tenant: string): object[] {
  return [
    { ...http('vault'), tenant },
    { virtual_server: { name: 'desk', tools: [{ upstream: 'vault', name: '*' }] }, tenant },
    { consumer: { name: 'ada', scopes: [`of-${tenant}`] }, tenant },
    { ...key('k'), tenant },
    {
      credential: {
        name: 'p',
        consumer: 'ada',
        password: {
          user: 'ada',
          hash: PASSWORD_HASH,
        },
      },
      tenant,
    },
    { plugin: { name: 'own', plugin: 'transform', config: {} }, tenant },
  ];
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-tenants-admin-'));
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const [nodes, admins] = [join(folder, 'nodes.yaml'), join(folder, 'admins.yaml')];
  await writeFile(nodes, `- { node: "*", token_sha256: "${sha256(NODE_TOKEN)}" }\n`);
  await writeFile(
    admins,
    `- { name: tester, token_sha256: "${sha256(ADMIN_TOKEN)}", role: admin }\n` +
      `- { name: of-acme, token_sha256: "${sha256(ACME_TOKEN)}", role: operator, tenants: [acme] }\n`,
  );
  plane = await startControlPlane([
    ...['--state-dir', join(folder, 'state'), '--node-tokens-file', nodes, '--admin-tokens-file', admins],
  ]);
  await plane.isReady();
  const operators = await call(ADMIN_TOKEN, 'POST', '/apply', {
    resources: [
      { tenant_spec: { name: 'acme' } },
      { tenant_spec: { name: 'globex' } },
      { secret: { name: 'hidden-from-acme', env: 'HOME' } },
      { secret: { name: 'hidden-from-acme', env: 'HOME' }, tenant: 'globex' },
      http('shared'),
      { plugin: { plugin: 'auth-api-key', config: { hash_key: HASH_KEY } } },
      {
        plugin: { plugin: 'auth-basic', config: { users: [{ user: 'root', password_hash: PASSWORD_HASH }] } },
      },
      ...holdings('globex').filter((each) => !('plugin' in each)),
    ],
    options: { message: 'globex comes' },
  });
  expect(operators.status, operators.text).toBe(200);
}, 60_000);
afterAll(async () => {
  await plane?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('whoever looks after one tenant', () => {
  it.each([
    [
      'takes from the upstream of another in a virtual server',
      { virtual_server: { name: 'x', tools: [{ upstream: 'globex/vault', name: '*' }] } },
    ],
    [
      'takes from it by its plain name',
      { virtual_server: { name: 'x', tools: [{ upstream: 'vault', name: '*' }] } },
    ],
    [
      'takes from it by a way around',
      { virtual_server: { name: 'x', tools: [{ upstream: '../globex/vault', name: '*' }] } },
    ],
    ['has an endpoint of it', { endpoint: { name: 'x', path: '/mcp/acme/x', upstreams: ['globex/vault'] } }],
    [
      'serves at a path of another',
      { endpoint: { name: 'x', path: '/mcp/globex/x', upstreams: ['shared'] } },
    ],
    [
      'serves at a path of the operator',
      { virtual_server: { name: 'x', path: '/mcp/x', tools: [{ upstream: 'shared', name: '*' }] } },
    ],
    ['serves everything', { endpoint: { name: 'x', path: '/mcp', upstreams: ['shared'] } }],
    ['has a name that is a path of another', http('../globex/x')],
    [
      'puts a plugin in front of another',
      { plugin: { name: 'x', plugin: 'anonymous', endpoints: ['/mcp/globex/desk'] } },
    ],
    [
      'puts a plugin in front of the operator',
      { plugin: { name: 'x', plugin: 'anonymous', endpoints: ['/mcp'] } },
    ],
    ['limits another', { limit: { name: 'x', requests: 1, endpoints: ['/mcp/globex/desk'] } }],
    ['limits the operator', { limit: { name: 'x', requests: 1, endpoints: ['/mcp/shared'] } }],
    [
      'decides for another',
      { policy: { name: 'x', endpoints: ['/mcp/globex/desk'], permissions: [{ pattern: '*:*' }] } },
    ],
    [
      'uses a secret of the operator',
      http('x', { http: { url: 'https://a.example.com/mcp', headers: { a: '${secret:hidden-from-acme}' } } }),
    ],
    [
      'uses a secret of another by its path',
      http('x', {
        http: { url: 'https://a.example.com/mcp', headers: { a: '${secret:globex/hidden-from-acme}' } },
      }),
    ],
    ['reads a file of nodes', { secret: { name: 'x', file: '/etc/passwd' } }],
    [
      'reads the environment of nodes',
      http('x', { http: { url: 'https://a.example.com/mcp', headers: { a: '${HOME}' } } }),
    ],
    [
      'gives a key to a consumer of another',
      {
        credential: {
          name: 'x',
          consumer: 'globex/ada',
          api_key: { prefix: shared.prefix, hash: shared.hash },
        },
      },
    ],
  ])('is refused who %s', async (_, resource) => {
    const { status, text } = await put(resource);
    expect([400, 403, 422], text).toContain(status);
    // What the caller has written stands in the answer, and nothing else of others.
    const written =
      JSON.stringify(resource).match(/[\w./-]*(?:globex|vault|hidden-from-acme)[\w./-]*/g) ?? [];
    const said = written
      .sort((a, b) => b.length - a.length)
      .reduce((left, each) => left.replaceAll(each, ''), text);
    expect(said).not.toMatch(FOREIGN);
  });

  it('may call all its things as the other does, and hears nothing of that', async () => {
    const resources = holdings('acme').filter((each) => !('plugin' in each));
    const { status, text } = await acme('POST', '/apply', { resources });
    expect(status, text).toBe(200);
    expect(text).not.toContain('globex');
  });

  it('sees nothing of the other in anything that can be read', async () => {
    const ways = [
      '/resources',
      '/resources?page_size=1',
      '/resources?kind=secret',
      '/resources?kind=tenant',
      '/resources?filter=name%3D*vault*&kind=credential',
      '/revisions',
      '/revisions/1',
      '/revisions/0',
      '/diff?from=0&to=1',
      '/nodes',
      '/node-events',
      '/revisions/1/convergence?wait=all&deadline=0s',
    ];
    let answeredCount = 0;
    for (const way of ways) {
      const { status, text } = await acme('GET', way);
      if (status === 200) answeredCount++;
      expect(text, way).not.toContain('globex');
    }
    expect(answeredCount).toBeGreaterThan(8);
    // What an admin sees by the same ways, so that they are ways to something.
    const all = await Promise.all(ways.slice(0, 9).map((way) => call(ADMIN_TOKEN, 'GET', way)));
    expect(all.filter(({ text }) => text.includes('globex')).length).toBeGreaterThan(5);
  });

  it('gets the same answer about what the other has and about what nobody has', async () => {
    const about = async (tenant: string, name: string) => {
      const { status, text } = await acme('GET', `/resources/upstream/${name}?tenant=${tenant}`);
      return `${status} ${text.replaceAll(tenant, 'T').replaceAll(name, 'N')}`;
    };
    expect(await about('globex', 'vault')).toBe(await about('initech', 'nothing'));
    const removed = async (tenant: string, name: string) => {
      const { status, text } = await acme('DELETE', `/resources/upstream/${name}?tenant=${tenant}`);
      return `${status} ${text.replaceAll(tenant, 'T').replaceAll(name, 'N')}`;
    };
    expect(await removed('globex', 'vault')).toBe(await removed('initech', 'nothing'));
  });

  it('removes nothing of others, by prune or by name, and steers nothing that is of all', async () => {
    const tries: [string, string, object?][] = [
      ['POST', '/apply', { resources: [], prune: { tenants: ['globex'] } }],
      ['POST', '/apply', { resources: [], prune: { tenants: ['acme', ''] } }],
      ['POST', '/apply', { resources: [], prune: { tenants: ['*'] } }],
      ['POST', '/validate', { resources: [], prune: { tenants: ['globex'] } }],
      ['DELETE', '/resources/upstream/shared'],
      ['DELETE', '/resources/tenant/globex'],
      ['DELETE', '/resources/tenant/acme'],
      ['GET', '/rollouts'],
      ['GET', '/nodes/n1/connections'],
    ];
    for (const [method, path, body] of tries) {
      const { status, text } = await acme(method, path, body);
      expect(text, path).not.toMatch(/vault|"removed"/);
      expect([403, 404], `${method} ${path} ${text}`).toContain(status);
    }
    const { body } = await call(ADMIN_TOKEN, 'GET', '/resources?tenant=globex');
    expect(body.resources.length).toBe(6);
  });
});
