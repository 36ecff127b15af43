/** Verifies JSON Web Tokens (RFC 7519) as RFC 8725 asks: algorithms by the operator and the key, never by the token. */
import type { JsonObject } from '@sluice/sdk';
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Algorithm, KeySource, VerificationKey } from './keys.js';

/** Longer ones are refused before they are looked at; header fields have a limit of their own. */
const MAX_TOKEN_LENGTH = 16_384;
/** Keys that are tried on a token that names none. */
const MAX_TRIED_KEY_COUNT = 4;
/** What a token of access says of its type (RFC 9068, section 2.1). Tokens for other uses have other types. */
const TYPES: readonly (string | undefined)[] = [undefined, 'jwt', 'at+jwt', 'application/at+jwt'];

export interface VerifyRules {
  readonly algorithms: readonly Algorithm[];
  /** `iss` has to be one of them; undefined where the keys alone decide. */
  readonly issuers?: readonly string[] | undefined;
  /** `aud` has to hold one of them; undefined where the keys alone decide. */
  readonly audiences?: readonly string[] | undefined;
  readonly clockSkewMs: number;
  /** Claims without which a token does not count, beside those above. */
  readonly requiredClaims: readonly string[];
}

export interface VerifiedToken {
  readonly claims: JsonObject;
  readonly key: VerificationKey;
}

/** Why a token does not count: a sentence for its sender, with nothing of the token in it. */
export class InvalidToken {
  constructor(readonly message: string) {}
}

/** True for what has the form of a JWT, verified or not. */
export function looksLikeJwt(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(token) && token.startsWith('ey');
}

/** The issuer that a token names, unverified: for nothing but to choose whose keys verify it. */
export function claimedIssuer(token: string): string | undefined {
  try {
    const { iss } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as JWTPayload;
    return typeof iss === 'string' ? iss : undefined;
  } catch {
    return undefined;
  }
}

/** Verifies a token. Throws what `keys` throws when the keys cannot be had. */
export async function verifyToken(
  token: string,
  keys: KeySource,
  rules: VerifyRules,
  nowMs: number,
): Promise<VerifiedToken | InvalidToken> {
  if (token.length > MAX_TOKEN_LENGTH)
    return new InvalidToken(`the token is longer than ${MAX_TOKEN_LENGTH} characters`);
  const header = headerOf(token);
  if (header === undefined) return new InvalidToken('the token is no signed JSON Web Token');
  const { alg, kid, typ } = header;
  if (!rules.algorithms.includes(alg as Algorithm))
    return new InvalidToken('the token is signed with an algorithm that does not count here');
  if (!TYPES.includes(typeof typ === 'string' ? typ.toLowerCase() : typ))
    return new InvalidToken('the token is of a type that is for other uses than access');
  const candidates = await keys.keysFor(alg as Algorithm, kid);
  if (candidates.length === 0)
    return new InvalidToken('the token is signed with a key that is not known here');
  const options = {
    algorithms: [alg as string],
    currentDate: new Date(nowMs),
    clockTolerance: rules.clockSkewMs / 1_000,
    requiredClaims: [...rules.requiredClaims],
    ...(rules.issuers === undefined ? {} : { issuer: [...rules.issuers] }),
    ...(rules.audiences === undefined ? {} : { audience: [...rules.audiences] }),
  };
  for (const candidate of candidates.slice(0, MAX_TRIED_KEY_COUNT)) {
    try {
      const { payload } = await jwtVerify(token, candidate.key, options);
      if (typeof payload.iat === 'number' && payload.iat * 1_000 > nowMs + rules.clockSkewMs)
        return new InvalidToken('the token was issued in the future');
      return { claims: payload as JsonObject, key: candidate };
    } catch (error) {
      if (error instanceof errors.JWSSignatureVerificationFailed) continue;
      return new InvalidToken(problemOf(error));
    }
  }
  return new InvalidToken('the signature of the token is wrong');
}

function headerOf(token: string) {
  if (token.split('.').length !== 3) return undefined;
  try {
    return decodeProtectedHeader(token);
  } catch {
    return undefined;
  }
}

/** Claims are looked at after the signature, so what is said of them is said to the holder of a token of ours. */
function problemOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (reason === 'missing') return `the token has no claim ${claim}`;
    if (reason === 'invalid') return `the claim ${claim} of the token has a form that it cannot have`;
    if (claim === 'nbf') return 'the token does not count yet';
    if (claim === 'aud') return 'the token is for another audience';
    if (claim === 'iss') return 'the token is of an issuer that does not count here';
    return `the claim ${claim} of the token is wrong`;
  }
  // Only jose's own errors are about the token; anything else is a mistake of ours and has to be seen.
  if (error instanceof errors.JOSEError) return 'the token is no signed JSON Web Token';
  throw error;
}
