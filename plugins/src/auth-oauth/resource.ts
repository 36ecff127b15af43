/** What the gateway says of itself as an OAuth 2.0 protected resource (RFC 9728), and which audiences mean it. */
import type { Json, PageAnswer, PageRequest, Transport } from '@sluice/sdk';
import { urlOf } from '../tokens/urls.js';
import type { Config } from './config.js';

export const WELL_KNOWN = '/.well-known/oauth-protected-resource';
/** How long clients may keep the metadata: a changed configuration is seen after so long. */
const MAX_AGE_S = 300;

/** Where a request came in. */
export interface Place {
  readonly endpoint: string;
  readonly origin: string;
  readonly transport: Transport;
}

export class ProtectedResource {
  /** Without a slash at its end; undefined where each request's own origin has to do. */
  private readonly base: string | undefined;
  /** By endpoint; there are as many as the configuration has. */
  private readonly audiences = new Map<string, ReadonlySet<string>>();
  private readonly scope: string;

  constructor(private readonly config: Config) {
    this.base = config.resource === undefined ? undefined : new URL(config.resource).href.replace(/\/+$/, '');
    const { required_scopes } = config;
    this.scope = required_scopes.length === 0 ? '' : `, scope="${required_scopes.join(' ')}"`;
  }

  /**
   * True when a token with this `aud` is meant for this endpoint (RFC 8707, section 2). What a client calls the gateway
   * by does not count: whoever holds a token for another resource could call us by that resource's name.
   */
  isMeantBy(aud: Json | undefined, endpoint: string): boolean {
    if (typeof aud === 'string') return this.isAudience(aud, endpoint);
    return (
      Array.isArray(aud) && aud.some((each) => typeof each === 'string' && this.isAudience(each, endpoint))
    );
  }

  private isAudience(audience: string, endpoint: string): boolean {
    const own = this.audiencesOf(endpoint);
    // With capitals in scheme and host it is the same (2026-07-28, basic/authorization, "Canonical Server URI").
    return own.has(audience) || own.has(audience.replace(/^[^/]+:\/\/[^/]+/, (host) => host.toLowerCase()));
  }

  private audiencesOf(endpoint: string): ReadonlySet<string> {
    let audiences = this.audiences.get(endpoint);
    if (audiences === undefined) {
      const { base, config } = this;
      // With a slash at its end and without are both in use.
      const own = base === undefined ? [] : [base, `${base}/`, `${base}${endpoint}`, `${base}${endpoint}/`];
      audiences = new Set([...config.audiences, ...own]);
      this.audiences.set(endpoint, audiences);
    }
    return audiences;
  }

  /**
   * Parameters of `WWW-Authenticate` (RFC 6750, section 3; RFC 9728, section 5.1).
   *
   * A client of HTTP+SSE knows its endpoint by another path, and would take the metadata of that endpoint for another's:
   * it is told of the gateway as a whole.
   *
   * @param more `error` and its description, in characters that need no escape
   * @param scope other scopes than those that every token needs
   */
  challenge({ endpoint, origin, transport }: Place, more = '', scope = this.scope): string {
    return `Bearer resource_metadata="${quotable(this.metadataUrl(transport === 'sse' ? '' : endpoint, origin))}"${scope}${more}`;
  }

  private metadataUrl(endpoint: string, origin: string): string {
    const base = this.base ?? origin;
    const slash = base.indexOf('/', base.indexOf('://') + 3);
    if (slash === -1) return `${base}${WELL_KNOWN}${endpoint}`;
    return `${base.slice(0, slash)}${WELL_KNOWN}${base.slice(slash)}${endpoint}`;
  }

  /** The metadata of an endpoint, or of the gateway as a whole; undefined for what is none of ours. */
  page({ path, origin, endpoints }: PageRequest): PageAnswer | undefined {
    const base = this.base ?? origin;
    let endpoint = path.slice(WELL_KNOWN.length).replace(/\/$/, '');
    // A gateway that lives below a path of its host is asked with that path in between (RFC 9728, section 3.1).
    const basePath = urlOf(base)?.pathname ?? '/';
    if (basePath !== '/' && (endpoint === basePath || endpoint.startsWith(`${basePath}/`)))
      endpoint = endpoint.slice(basePath.length);
    if (endpoint !== '' && !endpoints.includes(endpoint)) return undefined;
    const { authorization_servers, required_scopes, scopes_supported, resource_name } = this.config;
    const scopes = [...new Set([...required_scopes, ...scopes_supported])];
    const metadata = {
      resource: `${base}${endpoint}`,
      authorization_servers: authorization_servers.map(({ issuer }) => issuer),
      bearer_methods_supported: ['header'],
      ...(scopes.length === 0 ? {} : { scopes_supported: scopes }),
      ...(resource_name === undefined ? {} : { resource_name }),
    };
    return {
      status: 200,
      headers: [
        ['Content-Type', 'application/json'],
        // It is for everybody, also for clients that are pages in a browser.
        ['Access-Control-Allow-Origin', '*'],
        // Without a configured address it says what this one client called us by.
        ['Cache-Control', this.base === undefined ? 'no-store' : `public, max-age=${MAX_AGE_S}`],
      ],
      body: JSON.stringify(metadata),
    };
  }
}

/** A host may be whatever a client wrote. */
function quotable(url: string): string {
  return url.replace(/[^\x21\x23-\x5b\x5d-\x7e]/gu, encodeURIComponent);
}
