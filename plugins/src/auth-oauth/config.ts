/** What stands in a configuration of `auth-oauth`. */
import { type ConfigProblem, Duration, durationMs, Secret, type Static, Type } from '@sluice/sdk';
import { ClaimMapping } from '../tokens/claims.js';
import { PUBLIC_KEY_ALGORITHMS } from '../tokens/keys.js';
import { isLoopback, urlOf } from '../tokens/urls.js';

/** A scope as RFC 6749, section 3.3, has it: so it can stand in a quoted text as it is. */
const SCOPE = '^[\\x21\\x23-\\x5B\\x5D-\\x7E]+$';
/** Of `cache_ttl` and `clock_skew`: how much longer than its issuer says a token may count. */
const MAX_GRACE_MS = 300_000;
const Scopes = (description: string) =>
  Type.Array(Type.String({ pattern: SCOPE, maxLength: 256 }), { default: [], maxItems: 64, description });

export const Introspection = Type.Object(
  {
    client_id: Type.String({
      minLength: 1,
      maxLength: 512,
      description: 'The client that this gateway is there.',
    }),
    client_secret: Secret({
      minLength: 1,
      maxLength: 4096,
      description: 'Its secret: write ${SLUICE_OAUTH_SECRET}.',
    }),
    client_auth: Type.Union([Type.Literal('basic'), Type.Literal('post')], {
      default: 'basic',
      description: 'How it says who it is: in Authorization, or in the form (RFC 6749, section 2.3.1).',
    }),
    endpoint: Type.Optional(
      Type.String({ maxLength: 2048, description: 'URL; by default the one in the metadata of the server.' }),
    ),
    cache_ttl: Duration({
      default: '30s',
      description:
        'How long an answer counts, at most 5m: so much later a token that was revoked is refused.',
    }),
  },
  { additionalProperties: false, description: 'Asks the server about tokens that are no JWTs (RFC 7662).' },
);
export type Introspection = Static<typeof Introspection>;

export const AuthorizationServer = Type.Object(
  {
    issuer: Type.String({
      minLength: 1,
      maxLength: 2048,
      description:
        'Its issuer, letter by letter as it stands in its metadata and in `iss`: https://issuer.example.com.',
    }),
    metadata_url: Type.Optional(
      Type.String({
        maxLength: 2048,
        description: 'Where its metadata is, when it is not at the well-known places below the issuer.',
      }),
    ),
    jwks_uri: Type.Optional(
      Type.String({ maxLength: 2048, description: 'Where its keys are; by default what its metadata says.' }),
    ),
    algorithms: Type.Array(Type.Union(PUBLIC_KEY_ALGORITHMS.map((each) => Type.Literal(each))), {
      default: [...PUBLIC_KEY_ALGORITHMS],
      minItems: 1,
      description: 'Algorithms that its tokens may be signed with.',
    }),
    claims: ClaimMapping,
    introspection: Type.Optional(Introspection),
    allow_http: Type.Boolean({
      default: false,
      description:
        'Takes http:// for its URLs, on a network that nobody else is in. Loopback needs no leave.',
    }),
  },
  { additionalProperties: false },
);
export type AuthorizationServer = Static<typeof AuthorizationServer>;

export const Config = Type.Object(
  {
    resource: Type.Optional(
      Type.String({
        maxLength: 2048,
        description:
          'The address of this gateway as clients know it, without the path of an endpoint: https://gateway.example.com. It, and it with the path of the endpoint, are audiences that count.',
      }),
    ),
    audiences: Type.Array(Type.String({ minLength: 1, maxLength: 2048 }), {
      default: [],
      maxItems: 64,
      description:
        'More audiences that count at all endpoints, for servers that know no resource indicators.',
    }),
    authorization_servers: Type.Array(AuthorizationServer, {
      minItems: 1,
      maxItems: 16,
      description: 'Whose tokens count.',
    }),
    required_scopes: Scopes('Scopes without which a token opens nothing; clients are told to ask for them.'),
    scopes_supported: Scopes('More scopes that clients may ask for, for the metadata.'),
    resource_name: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'What people read when they give consent.' }),
    ),
    clock_skew: Duration({
      default: '30s',
      description: 'How much the clocks of issuers may differ from ours, at most 5m.',
    }),
  },
  { additionalProperties: false },
);
export type Config = Static<typeof Config>;

/** What the schema cannot say. */
export function configProblems(config: Config): readonly ConfigProblem[] {
  const { resource, audiences, authorization_servers: servers } = config;
  const problems: ConfigProblem[] = [];
  const add = (path: string, message: string, hint: string) => problems.push({ path, message, hint });
  if (resource === undefined && audiences.length === 0)
    add(
      'resource',
      'is missing, and so are audiences',
      'without one of them a token for others would count here',
    );
  if (resource !== undefined) {
    const problem = urlProblem(resource, false);
    if (problem !== undefined) add('resource', problem, 'for example https://gateway.example.com');
  }
  servers.forEach((server, index) => {
    const at = `authorization_servers[${index}]`;
    const urls = {
      issuer: server.issuer,
      metadata_url: server.metadata_url,
      jwks_uri: server.jwks_uri,
      'introspection.endpoint': server.introspection?.endpoint,
    };
    for (const [name, url] of Object.entries(urls)) {
      const problem = url === undefined ? undefined : urlProblem(url, server.allow_http);
      if (problem !== undefined) add(`${at}.${name}`, problem, 'for example https://issuer.example.com');
    }
    if (durationMs(server.introspection?.cache_ttl ?? '0s') > MAX_GRACE_MS)
      add(`${at}.introspection.cache_ttl`, 'is too long', 'at most 5m');
    const first = servers.findIndex(({ issuer }) => issuer === server.issuer);
    if (first < index)
      add(`${at}.issuer`, `is that of authorization_servers[${first}] too`, 'leave one of them out');
  });
  if (durationMs(config.clock_skew) > MAX_GRACE_MS) add('clock_skew', 'is too long', 'at most 5m');
  for (const name of ['required_scopes', 'scopes_supported'] as const) {
    const index = config[name].indexOf('offline_access');
    // 2026-07-28, basic/authorization, "Refresh Tokens".
    if (index !== -1)
      add(`${name}[${index}]`, 'is nothing that a resource asks for', 'clients ask for it by themselves');
  }
  return problems;
}

/** The answer never repeats the URL: it may hold a credential. */
function urlProblem(text: string, allowHttp: boolean): string | undefined {
  const url = urlOf(text);
  if (url === undefined) return 'is no URL';
  if (url.username !== '' || url.password !== '') return 'holds a credential';
  if (url.hash !== '' || text.includes('#')) return 'has a fragment';
  if (url.search !== '' || text.includes('?')) return 'has a query';
  if (url.protocol === 'https:') return undefined;
  if (url.protocol !== 'http:') return 'is no URL of https';
  return allowHttp || isLoopback(url)
    ? undefined
    : 'is not encrypted: https is wanted outside of this machine';
}
