/** A node that serves the operator and two tenants who call everything by the same names. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiKey, hashPassword } from '@sluice/plugins/credentials';
import type { Resource } from '@sluice/proto/cluster';
import { expect, vi } from 'vitest';
import { type Delivering, resource, startDelivering } from '../../../../control-plane/test/delivering.js';
import { freePort, type HttpServer, startEverything, startPlain } from '../upstreams.js';
import { type RunningNode, startNode } from './node.js';

export const OWNERS = ['', 'acme', 'globex'] as const;
export type Owner = (typeof OWNERS)[number];

export const HASH_KEY = 'a secret of at least thirty-two characters';

/** Where each serves what; all is called alike. */
export const PLACES: Readonly<Record<Owner, readonly string[]>> = {
  '': ['/mcp', '/mcp/files', '/mcp/desk', '/mcp/all'],
  acme: ['/mcp/acme/files', '/mcp/acme/desk', '/mcp/acme/all'],
  globex: ['/mcp/globex/files', '/mcp/globex/desk', '/mcp/globex/all'],
};

export type Proof = 'key' | 'password';

export class TenantCluster {
  private constructor(
    readonly url: string,
    readonly plane: Delivering,
    private readonly node: RunningNode,
    private readonly servers: readonly HttpServer[],
    private readonly folder: string,
    private readonly proofs: ReadonlyMap<string, Readonly<Record<string, string>>>,
  ) {}

  static async start(more: readonly Resource[] = []): Promise<TenantCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-tenants-'));
    const port = await freePort();
    const plane = await startDelivering();
    // One server that serves both tenants: whatever it knows is not what keeps them apart.
    const both = await startEverything();
    const own = await startPlain(['--name', 'operator', '--tools', 'of_operator']);
    const proofs = new Map<string, Record<string, string>>();
    const resources: Resource[] = [
      resource({
        spec: { case: 'plugin', value: { plugin: 'auth-api-key', config: { hash_key: HASH_KEY } } },
      }),
      resource({ spec: { case: 'plugin', value: { plugin: 'auth-basic' } } }),
      resource({ spec: { case: 'plugin', value: { plugin: 'cache', config: { lists: [{ ttl: '1h' }] } } } }),
    ];
    for (const owner of OWNERS) {
      const { key, prefix, hash } = createApiKey(HASH_KEY);
      const password = `${owner || 'operator'}'s own password`;
      proofs.set(`${owner} key`, { 'x-api-key': key });
      proofs.set(`${owner} password`, {
        authorization: `Basic ${Buffer.from(`ada:${password}`).toString('base64')}`,
      });
      const url = owner === '' ? own.url : both.url;
      resources.push(...holdings(owner, url, { prefix, hash }, await hashPassword(password)));
    }
    await plane.write([...resources, ...more]);
    const node = startNode([
      ...['--control-plane', plane.address, '--node', 'n1', '--state-dir', folder, '--port', String(port)],
    ]);
    const url = `http://127.0.0.1:${port}`;
    const cluster = new TenantCluster(url, plane, node, [both, own], folder, proofs);
    try {
      await vi.waitFor(async () => expect((await fetch(`${url}/ready`)).status).toBe(200), {
        timeout: 20_000,
        interval: 50,
      });
    } catch {
      const said = node.logs();
      await cluster.stop();
      throw new Error(`the node does not serve:\n${said}`);
    }
    return cluster;
  }

  /** What a caller of an owner sends with every request; all of them are called ada. */
  proof(owner: Owner, proof: Proof = 'key'): Readonly<Record<string, string>> {
    return this.proofs.get(`${owner} ${proof}`) as Readonly<Record<string, string>>;
  }

  async stop(): Promise<void> {
    await this.node.stop();
    this.plane.stop();
    await Promise.all(this.servers.map((server) => server.kill()));
    await rm(this.folder, { recursive: true, force: true });
  }
}

function holdings(
  tenant: Owner,
  url: string,
  key: { prefix: string; hash: string },
  passwordHash: string,
): Resource[] {
  const below = tenant === '' ? '/mcp' : `/mcp/${tenant}`;
  const of = (spec: NonNullable<Parameters<typeof resource>[0]>['spec']) =>
    resource({ tenant, ...(spec && { spec }) });
  return [
    of({
      case: 'upstream',
      value: { name: 'files', transport: { case: 'http', value: { url, headers: {} } } },
    }),
    of({ case: 'virtualServer', value: { name: 'desk', tools: [{ upstream: 'files', name: '*' }] } }),
    of({ case: 'endpoint', value: { name: 'all', path: `${below}/all`, upstreams: [] } }),
    of({ case: 'consumer', value: { name: 'ada', scopes: ['everything'] } }),
    of({ case: 'credential', value: { name: 'k', consumer: 'ada', kind: { case: 'apiKey', value: key } } }),
    of({
      case: 'credential',
      value: {
        name: 'p',
        consumer: 'ada',
        kind: { case: 'password', value: { user: 'ada', hash: passwordHash } },
      },
    }),
  ];
}
