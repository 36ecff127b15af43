/** One issuer: whether a token is one of its own, and for whom it stands. */
import {
  durationMs,
  frozen,
  type Identity,
  type JsonObject,
  type MaybePromise,
  type PluginHost,
} from '@sluice/sdk';
import { claimAt, isName, mapClaims } from '../tokens/claims.js';
import { RemoteKeys } from '../tokens/jwks.js';
import { GivenKeys } from '../tokens/keys.js';
import { VerifiedTokens } from '../tokens/verified.js';
import {
  claimedIssuer,
  InvalidToken,
  looksLikeJwt,
  type VerifyRules,
  verifyToken,
} from '../tokens/verify.js';
import { type Config, listed, type RequiredClaim } from './config.js';
import { verificationKey } from './given-key.js';

export class Issuer {
  private readonly names: readonly string[];
  private readonly rules: VerifyRules;
  private readonly given: GivenKeys;
  private readonly published: RemoteKeys | undefined;
  private readonly verified = new VerifiedTokens();

  constructor(
    private readonly config: Config,
    private readonly host: PluginHost,
  ) {
    const { algorithms, audience, any_audience, clock_skew, jwks_uri } = config;
    this.names = listed(config.issuer);
    this.rules = {
      algorithms,
      issuers: this.names,
      audiences: any_audience ? undefined : listed(audience),
      clockSkewMs: durationMs(clock_skew),
      requiredClaims: ['exp'],
    };
    this.given = new GivenKeys(config.keys.map(verificationKey));
    if (jwks_uri === undefined) return;
    this.published = new RemoteKeys(this.names[0] as string, host, () => jwks_uri);
    // The first caller shall not wait for what is known to be needed.
    this.published.keepFresh();
  }

  /** Undefined for what is no token of this issuer. Rejects with Unavailable while its keys cannot be had. */
  identityOf(token: string): MaybePromise<Identity | InvalidToken | undefined> {
    const known = this.verified.identityOf(token, this.host.clock.now());
    if (known !== undefined) return known;
    if (!looksLikeJwt(token) || !this.names.includes(claimedIssuer(token) ?? '')) return undefined;
    return this.verify(token);
  }

  private async verify(token: string): Promise<Identity | InvalidToken> {
    const answer = await verifyToken(token, this.published ?? this.given, this.rules, this.host.clock.now());
    if (answer instanceof InvalidToken) return answer;
    const identity = this.identityOfClaims(answer.claims);
    if (identity instanceof InvalidToken) return identity;
    this.verified.remember(token, identity, identity.expiresAtMs as number, answer.key, this.published);
    return identity;
  }

  private identityOfClaims(claims: JsonObject): Identity | InvalidToken {
    // RFC 9449, section 7.1, RFC 8705, section 3: with the proof that it is bound to left out it opens nothing.
    if (claims.cnf !== undefined)
      return new InvalidToken(
        'the token is bound to a proof of possession, which this gateway does not check',
      );
    const missing = this.config.required_claims.find((each) => !isSatisfied(each, claims));
    if (missing !== undefined) return wrongClaim(missing.claim);
    const { subject, consumer, tenant, scopes } = mapClaims(claims, this.config.claims);
    if (!isName(subject)) return wrongClaim(this.config.claims.subject.join(' or '));
    if (!Number.isFinite(claims.exp)) return wrongClaim('exp');
    return frozen({
      // No issuer has a bar in its name, so no two of these are alike.
      id: `auth-jwt:${claims.iss}|${subject}`,
      consumer,
      tenant,
      scopes,
      claims,
      credential: isName(claims.jti) ? claims.jti : undefined,
      expiresAtMs: (claims.exp as number) * 1_000 + this.rules.clockSkewMs,
    });
  }
}

function isSatisfied({ claim, values }: RequiredClaim, claims: JsonObject): boolean {
  const found = claimAt(claims, claim);
  if (found === undefined || found === null) return false;
  if (values === undefined) return true;
  const entries: readonly unknown[] = Array.isArray(found) ? found : [found];
  return values.some((value) => entries.includes(value));
}

/** @param claim its path as it stands in the configuration. */
function wrongClaim(claim: string): InvalidToken {
  return new InvalidToken(`the claim ${claim} of the token is missing, or is not what it has to be`);
}
