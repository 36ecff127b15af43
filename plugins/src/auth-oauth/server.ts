/** One authorization server: whether a token is one of its own, and for whom it stands. */
import { frozen, type Identity, type JsonObject, type MaybePromise, type PluginHost } from '@sluice/sdk';
import { isName, mapClaims } from '../tokens/claims.js';
import type { RemoteDocument } from '../tokens/document.js';
import { RemoteKeys } from '../tokens/jwks.js';
import { digestOf, type VerifiedTokens } from '../tokens/verified.js';
import { InvalidToken, type VerifyRules, verifyToken } from '../tokens/verify.js';
import type { AuthorizationServer } from './config.js';
import { type Introspected, Introspector } from './introspection.js';
import { remoteMetadata, type ServerMetadata } from './metadata.js';

/** What tells opaque tokens apart in logs: characters of a digest, which lead back to no token. */
const CREDENTIAL_LENGTH = 12;
/** Claims that make a token one for other uses than access, and by which values: what issuers mark ID tokens with. */
const NO_ACCESS_TOKEN: Readonly<Record<string, readonly unknown[] | undefined>> = {
  at_hash: undefined,
  token_use: ['id'],
  typ: ['ID', 'Refresh', 'Offline', 'Logout'],
};

export class Server {
  private readonly metadata: RemoteDocument<ServerMetadata>;
  private readonly keys: RemoteKeys;
  private readonly rules: VerifyRules;
  private readonly introspector: Introspector | undefined;

  constructor(
    private readonly config: AuthorizationServer,
    private readonly skewMs: number,
    private readonly host: PluginHost,
    private readonly verified: VerifiedTokens,
  ) {
    const { issuer, algorithms, jwks_uri, introspection } = config;
    this.metadata = remoteMetadata(config, host);
    this.keys = new RemoteKeys(
      issuer,
      host,
      async () => jwks_uri ?? named('jwks_uri', (await this.metadata.get()).jwksUri),
    );
    // The audience is looked at for each endpoint, also of a token that is remembered.
    this.rules = { algorithms, issuers: [issuer], clockSkewMs: skewMs, requiredClaims: ['exp', 'aud'] };
    if (introspection === undefined) {
      // The first caller shall not wait for what is known to be needed, and a wrong issuer is to be heard of at once.
      this.keys.keepFresh();
      return;
    }
    this.introspector = new Introspector(
      issuer,
      introspection,
      host,
      async () =>
        introspection.endpoint ??
        named('introspection_endpoint', (await this.metadata.get()).introspectionEndpoint),
    );
  }

  get issuer(): string {
    return this.config.issuer;
  }

  get introspects(): boolean {
    return this.introspector !== undefined;
  }

  /** For whom a JWT stands. Throws Unavailable while the keys cannot be had. */
  async ofJwt(token: string): Promise<Identity | InvalidToken> {
    const answer = await verifyToken(token, this.keys, this.rules, this.host.clock.now());
    if (answer instanceof InvalidToken) return answer;
    const { claims, key } = answer;
    const identity = this.identityOf(
      claims,
      isName(claims.jti) ? claims.jti : digestOf(token).slice(0, CREDENTIAL_LENGTH),
    );
    if (identity instanceof InvalidToken) return identity;
    this.verified.remember(token, identity, identity.expiresAtMs as number, key, this.keys);
    return identity;
  }

  /** For whom an opaque token stands; undefined when the server does not know it. Throws Unavailable. */
  ofOpaque(token: string): MaybePromise<Identity | InvalidToken | undefined> {
    const answer = this.introspector?.claimsOf(token);
    return answer instanceof Promise
      ? answer.then((each) => this.ofIntrospected(token, each))
      : this.ofIntrospected(token, answer);
  }

  private ofIntrospected(
    token: string,
    answer: Introspected | undefined,
  ): Identity | InvalidToken | undefined {
    if (answer?.claims === undefined) return undefined;
    const problem = this.introspectedProblem(answer.claims);
    if (problem !== undefined) return problem;
    const identity = this.identityOf(answer.claims, digestOf(token).slice(0, CREDENTIAL_LENGTH));
    if (identity instanceof InvalidToken) return identity;
    const { expiresAtMs = Number.POSITIVE_INFINITY } = identity;
    this.verified.remember(token, identity, Math.min(answer.untilMs, expiresAtMs));
    return identity;
  }

  /** What the server says of an active token still has to be about us and about now. */
  private introspectedProblem({ iss, exp, nbf, token_type }: JsonObject): InvalidToken | undefined {
    const nowMs = this.host.clock.now();
    if (iss !== undefined && iss !== this.issuer) return new InvalidToken('the token is of another issuer');
    if (typeof exp === 'number' && nowMs >= exp * 1_000 + this.skewMs)
      return new InvalidToken('the token has expired');
    if (typeof nbf === 'number' && nowMs < nbf * 1_000 - this.skewMs)
      return new InvalidToken('the token does not count yet');
    if (typeof token_type === 'string' && !/^(bearer|access_token)$/i.test(token_type))
      return new InvalidToken('the token is of a type that is no bearer token');
    return undefined;
  }

  private identityOf(claims: JsonObject, credential: string): Identity | InvalidToken {
    // RFC 9449, section 7.1, RFC 8705, section 3: with the proof that it is bound to left out it opens nothing.
    if (claims.cnf !== undefined)
      return new InvalidToken(
        'the token is bound to a proof of possession, which this gateway does not check',
      );
    for (const [name, values] of Object.entries(NO_ACCESS_TOKEN)) {
      const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
      if (value !== undefined && (values === undefined || values.includes(value)))
        return new InvalidToken('the token is for other uses than access');
    }
    const { subject, consumer, tenant, scopes } = mapClaims(claims, this.config.claims);
    // An issuer has neither query nor fragment, so no two of these are alike.
    const caller =
      subject !== undefined ? `#${subject}` : consumer !== undefined ? `?client=${consumer}` : undefined;
    if (caller === undefined) return new InvalidToken('the token names nobody');
    if ([subject, consumer, tenant].some((name) => name !== undefined && !isName(name)))
      return new InvalidToken('the token names its caller with what can be no name');
    if (claims.exp !== undefined && !Number.isFinite(claims.exp))
      return new InvalidToken('the claim exp of the token has a form that it cannot have');
    return frozen({
      id: `auth-oauth:${this.issuer}${caller}`,
      consumer,
      tenant,
      scopes,
      claims,
      credential,
      expiresAtMs: typeof claims.exp === 'number' ? claims.exp * 1_000 + this.skewMs : undefined,
    });
  }
}

function named(name: string, url: string | undefined): string {
  if (url === undefined) throw new Error(`the metadata of the issuer names no ${name}`);
  return url;
}
