/** A configuration of many resources, of an operator and some tenants, for the measurement of a swap. */
import { createHmac } from 'node:crypto';
import { create, type Entry, entryOf, ResourceSchema } from '@sluice/proto/cluster';

type Spec = NonNullable<Parameters<typeof create<typeof ResourceSchema>>[1]>['spec'];

export const HASH_KEY = 'a secret of thirty-two characters or more';
const TENANT_COUNT = 20;
/** Shares of each kind; a tenant's resources follow each other. */
const SHARES = {
  upstream: 0.3,
  consumer: 0.2,
  credential: 0.2,
  endpoint: 0.08,
  virtualServer: 0.08,
  policy: 0.04,
  limit: 0.04,
  secret: 0.06,
} as const;
const NOBODY = '127.0.0.1:9';

/** So many, and a gateway and the plugin that knows callers. */
export function manyResources(count: number): Entry[] {
  const entries = [
    entry('', { case: 'gateway', value: {} }),
    entry('', { case: 'plugin', value: { plugin: 'auth-api-key', config: { hash_key: HASH_KEY } } }),
  ];
  for (const [kind, share] of Object.entries(SHARES)) {
    const ofKind = Math.round(share * count);
    for (let index = 0; index < ofKind; index++)
      entries.push(resource(kind as keyof typeof SHARES, index, ofKind));
  }
  return entries;
}

/** One upstream of a tenant, at another address than before. */
export function movedUpstream(count: number, index: number): Entry {
  const ofKind = Math.round(SHARES.upstream * count);
  return resource('upstream', index, ofKind, `/moved-${index}`);
}

/** One upstream more. */
export function oneMoreUpstream(index: number): Entry {
  return entry('t1', { case: 'upstream', value: upstream(`more${index}`, '/mcp') });
}

/** One credential more, for a consumer that there is. */
export function oneMoreCredential(index: number): Entry {
  return entry('t1', { case: 'credential', value: credential(`more${index}`, 'consumer1') });
}

function resource(kind: keyof typeof SHARES, index: number, ofKind: number, path = '/mcp'): Entry {
  // One part is the operator's.
  const tenant = index % (TENANT_COUNT + 1);
  const own = tenant === 0 ? '' : `t${tenant}`;
  const name = `${kind.toLowerCase()}${index}`;
  const upstreams = [0, 1, 2].map((step) => {
    const other = (index + step * (TENANT_COUNT + 1)) % ofKind;
    return `upstream${other - (other % (TENANT_COUNT + 1)) + tenant}`;
  });
  const spec = (): Spec => {
    switch (kind) {
      case 'upstream':
        return { case: 'upstream', value: upstream(name, path) };
      case 'consumer':
        return { case: 'consumer', value: { name, scopes: ['read', 'write'] } };
      case 'credential':
        return { case: 'credential', value: credential(name, `consumer${index}`) };
      case 'endpoint':
        return { case: 'endpoint', value: { name, path: `/mcp/${own && `${own}/`}${name}`, upstreams } };
      case 'virtualServer':
        return {
          case: 'virtualServer',
          value: { name, tools: upstreams.map((each) => ({ upstream: each, name: 'read' })) },
        };
      case 'policy':
        return {
          case: 'policy',
          value: { name, permissions: [{ pattern: `${upstreams[0]}:*`, scopes: ['read'] }] },
        };
      case 'limit':
        return { case: 'limit', value: { name, requests: 100 + index } };
      case 'secret':
        return { case: 'secret', value: { name, source: { case: 'env', value: 'HOME' } } };
    }
  };
  return entry(own, spec());
}

function upstream(name: string, path: string) {
  const url = `http://${NOBODY}${path}`;
  return { name, transport: { case: 'http' as const, value: { url, headers: { 'X-Name': name } } } };
}

function credential(name: string, consumer: string) {
  const digest = createHmac('sha256', HASH_KEY).update(name).digest();
  const prefix = `slk_${digest.toString('hex').slice(0, 8)}`;
  const hash = digest.toString('base64url');
  return { name, consumer, kind: { case: 'apiKey' as const, value: { prefix, hash } } };
}

function entry(tenant: string, spec: Spec): Entry {
  return entryOf(create(ResourceSchema, { tenant, spec }));
}
