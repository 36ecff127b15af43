/** Bearer tokens of an OpenID Connect issuer: JWTs, checked with the keys that its discovery document leads to. */
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { AdminError } from '../admin-error.js';
import { type Caller, ROLE_WORDS, type RoleWord } from '../caller.js';
import { callerOf, unauthenticated } from './access.js';

export interface OidcOptions {
  /** As the tokens say it, for example https://login.example.com/realms/main. https, or loopback. */
  readonly issuer: string;
  /** What the tokens have to be for. */
  readonly audience: string;
  /** The claim that names the caller. Default sub, which nobody can choose for themselves. */
  readonly nameClaim?: string;
  /** The claim, a text or a list, whose values make the role; `realm_access.roles` reaches into one. */
  readonly roleClaim: string;
  /** The values of each role; the highest that a token has counts. */
  readonly roles: Readonly<Partial<Record<RoleWord, readonly string[]>>>;
  /** The claim, a text or a list, that names the tenants of viewers and operators. Absent: all tenants. */
  readonly tenantsClaim?: string;
}

/** Only asymmetric ones: whoever checks must not be able to sign. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const CLOCK_TOLERANCE_S = 30;
const ISSUER_TIMEOUT_MS = 5_000;
/** An issuer that could not be asked is not asked again at once by everybody. */
const RETRY_AFTER_MS = 2_000;
/** What jose says of keys that it could not get, or that are none. */
const ISSUER_FAULTS: ReadonlySet<string> = new Set([
  errors.JOSEError.code,
  errors.JWKSTimeout.code,
  errors.JWKSInvalid.code,
]);
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

export function oidcCallers(options: OidcOptions): (token: string) => Promise<Caller | undefined> {
  const keys = discoveredKeys(issuerUrl(options.issuer));
  return async function callerOfToken(token) {
    if (!JWT.test(token)) return undefined;
    const payload = await verified(token, await keys(), options);
    return callerOfClaims(payload, options);
  };
}

function issuerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isLoopback = url !== undefined && /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback)) return url;
  throw new TypeError(`the OIDC issuer has to be an https URL: ${text}`);
}

async function verified(
  token: string,
  keys: JWTVerifyGetKey,
  { issuer, audience }: OidcOptions,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms: ALGORITHMS,
      clockTolerance: CLOCK_TOLERANCE_S,
      requiredClaims: ['exp', 'sub'],
    });
    return payload;
  } catch (thrown) {
    if (thrown instanceof errors.JWTExpired) throw unauthenticated('the token has expired', thrown);
    if (thrown instanceof errors.JWTClaimValidationFailed)
      throw unauthenticated(`the claim ${thrown.claim} of the token is not as it has to be`, thrown);
    const isToken = thrown instanceof errors.JOSEError && !ISSUER_FAULTS.has(thrown.code);
    if (isToken) throw unauthenticated('the token is not one of the issuer', thrown);
    throw unavailable(thrown);
  }
}

function callerOfClaims(payload: JWTPayload, options: OidcOptions): Caller {
  const { nameClaim = 'sub', roleClaim, roles, tenantsClaim } = options;
  const [name] = textsAt(payload, nameClaim);
  if (name === undefined) throw unauthenticated(`the token has no claim ${nameClaim}`);
  const values = textsAt(payload, roleClaim);
  const role = ROLE_WORDS.findLast((word) => roles[word]?.some((value) => values.includes(value)));
  if (role === undefined) throw unauthenticated(`the claim ${roleClaim} of the token gives no role`);
  // An admin has all tenants, whatever else the token says of it.
  const tenants = role === 'admin' || tenantsClaim === undefined ? undefined : textsAt(payload, tenantsClaim);
  return callerOf(`oidc/${name}`, { role, tenants });
}

/** The texts of a claim; a claim whose name has dots is looked for as such first. */
function textsAt(payload: JWTPayload, claim: string): readonly string[] {
  const value = Object.hasOwn(payload, claim) ? payload[claim] : reached(payload, claim.split('.'));
  const values = Array.isArray(value) ? value : [value];
  return values.filter((each): each is string => typeof each === 'string' && each !== '');
}

function reached(value: unknown, [name, ...rest]: readonly string[]): unknown {
  if (name === undefined) return value;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return reached((value as Record<string, unknown>)[name], rest);
}

/** Asks the issuer when somebody first needs it: the control plane starts without it. */
function discoveredKeys(issuer: URL): () => Promise<JWTVerifyGetKey> {
  let keys: Promise<JWTVerifyGetKey> | undefined;
  let failedAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (keys !== undefined) return keys;
    if (performance.now() - failedAtMs < RETRY_AFTER_MS) return Promise.reject(unavailable(undefined));
    keys = discover(issuer).catch((thrown: unknown) => {
      keys = undefined;
      failedAtMs = performance.now();
      throw unavailable(thrown);
    });
    return keys;
  };
}

/** OpenID Connect Discovery 1.0, section 4. */
async function discover(issuer: URL): Promise<JWTVerifyGetKey> {
  const address = `${issuer.href.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const response = await fetch(address, {
    redirect: 'error',
    signal: AbortSignal.timeout(ISSUER_TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  const document = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown };
  if (typeof document.issuer !== 'string' || new URL(document.issuer).href !== issuer.href)
    throw new Error(`${address} is of the issuer ${document.issuer}`);
  if (typeof document.jwks_uri !== 'string') throw new Error(`${address} names no jwks_uri`);
  return createRemoteJWKSet(issuerUrl(document.jwks_uri), { timeoutDuration: ISSUER_TIMEOUT_MS });
}

function unavailable(cause: unknown): AdminError {
  return new AdminError('ISSUER_UNAVAILABLE', 'the issuer of the token cannot be reached; try again', {
    cause,
  });
}
