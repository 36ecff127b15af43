/** A configuration of many resources, and changes of single ones. */
import { fromJson } from '@bufbuild/protobuf';
import { createApiKey } from '@sluice/plugins/credentials';
import { type Resource, ResourceSchema } from '@sluice/proto/cluster';

/** What makes digests of keys; nobody signs in. */
export const KEY_SECRET = 'known to this benchmark alone, for as long as it runs';
export const KEY_SECRET_VARIABLE = 'SLUICE_BENCH_KEY_SECRET';

/** Upstreams, and virtual servers; the rest are consumers, with one key each. */
const UPSTREAM_SHARE = 0.02;
const SERVER_SHARE = 0.38;

export interface Mix {
  readonly resources: readonly Resource[];
  readonly upstreams: readonly Resource[];
  readonly servers: readonly Resource[];
  readonly credentials: readonly Resource[];
}

/** @param url of the upstream that all of them are */
export function mixOf(count: number, url: string): Mix {
  const upstreams = many(Math.max(1, Math.round(count * UPSTREAM_SHARE)), (index) =>
    upstream(index, url, 60),
  );
  const servers = many(Math.max(1, Math.round(count * SERVER_SHARE)), (index) =>
    server(index, upstreams.length, 'as it was'),
  );
  const consumersCount = Math.max(1, Math.floor((count - upstreams.length - servers.length - 1) / 2));
  const consumers = many(consumersCount, consumer);
  const credentials = many(consumersCount, credential);
  const config = { hash_key: `\${${KEY_SECRET_VARIABLE}}` };
  const plugin = fromJson(ResourceSchema, { plugin: { name: 'keys', plugin: 'auth-api-key', config } });
  return {
    resources: [...upstreams, ...servers, ...consumers, ...credentials, plugin],
    upstreams,
    servers,
    credentials,
  };
}

export function upstream(index: number, url: string, timeoutSeconds: number): Resource {
  const value = { name: `upstream-${index}`, http: { url }, timeout: `${timeoutSeconds}s` };
  return fromJson(ResourceSchema, { upstream: value });
}

export function server(index: number, upstreamsCount: number, description: string): Resource {
  const value = {
    name: `server-${index}`,
    path: `/mcp/server-${index}`,
    title: `Server ${index}`,
    tools: [{ upstream: `upstream-${index % upstreamsCount}`, name: 'echo', rename: 'say', description }],
  };
  return fromJson(ResourceSchema, { virtualServer: value });
}

/** With a key that nobody had before. */
export function credential(index: number): Resource {
  const { prefix, hash } = createApiKey(KEY_SECRET);
  const value = { name: `key-${index}`, consumer: `consumer-${index}`, apiKey: { prefix, hash } };
  return fromJson(ResourceSchema, { credential: value });
}

function consumer(index: number): Resource {
  return fromJson(ResourceSchema, { consumer: { name: `consumer-${index}`, scopes: ['call'] } });
}

function many<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
