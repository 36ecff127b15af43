/** The metadata of an authorization server (RFC 8414, OpenID Connect Discovery 1.0), found from its issuer. */
import type { PluginHost } from '@sluice/sdk';
import { fetchObject, RemoteDocument } from '../tokens/document.js';
import { isLoopback, urlOf } from '../tokens/urls.js';
import type { AuthorizationServer } from './config.js';

/** What this plugin needs of it. */
export interface ServerMetadata {
  readonly jwksUri: string | undefined;
  readonly introspectionEndpoint: string | undefined;
}

export function remoteMetadata(
  server: AuthorizationServer,
  host: PluginHost,
): RemoteDocument<ServerMetadata> {
  const urls = server.metadata_url === undefined ? metadataUrls(server.issuer) : [server.metadata_url];
  return new RemoteDocument(`the metadata of ${server.issuer}`, host, () => firstOf(urls, server, host));
}

/**
 * In the order of 2026-07-28, basic/authorization, "Authorization Server Metadata Discovery": the well-known path put
 * in front of the path of the issuer, then behind it as OpenID Connect has it.
 */
export function metadataUrls(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const urls = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
  ];
  return path === '' ? urls : [...urls, `${origin}${path}/.well-known/openid-configuration`];
}

async function firstOf(
  urls: readonly string[],
  server: AuthorizationServer,
  host: PluginHost,
): Promise<ServerMetadata> {
  const failures: Error[] = [];
  for (const url of urls) {
    try {
      const metadata = await fetchObject(host, url);
      // RFC 8414, section 3.3: letter by letter, or somebody else speaks for the issuer.
      if (metadata.issuer !== server.issuer)
        throw new Error(`${url} is metadata of another issuer: ${String(metadata.issuer).slice(0, 256)}`);
      return {
        jwksUri: safeUrl(metadata.jwks_uri, 'jwks_uri', server),
        introspectionEndpoint: safeUrl(metadata.introspection_endpoint, 'introspection_endpoint', server),
      };
    } catch (failure) {
      failures.push(failure as Error);
    }
  }
  throw new Error(failures.map(({ message }) => message).join('; '));
}

/** OAuth 2.1, section 1.5: never over an open network, whatever the metadata says. */
function safeUrl(
  value: unknown,
  name: string,
  { issuer, allow_http }: AuthorizationServer,
): string | undefined {
  if (typeof value !== 'string') return undefined;
  const url = urlOf(value);
  const isSafe =
    url?.protocol === 'https:' ||
    (url?.protocol === 'http:' && (allow_http || (isLoopback(url) && isLoopback(new URL(issuer)))));
  if (!isSafe) throw new Error(`${name} in the metadata of ${issuer} is no URL of https`);
  return value;
}
