/**
 * Keys that tokens are verified with. Each knows the algorithms that its type can have (RFC 8725, section 3.1), so a
 * public key never serves as the secret of an HMAC and the header of a token never chooses how it is verified.
 */
import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import type { MaybePromise } from '@sluice/sdk';

/** Of RFC 7518 and RFC 8037. `none` is not among them. */
export const ALGORITHMS = [
  'HS256',
  'HS384',
  'HS512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** Those with a public key: all that an issuer's key set can hold. */
export const PUBLIC_KEY_ALGORITHMS: readonly Algorithm[] = ALGORITHMS.filter(
  (each) => !each.startsWith('HS'),
);

const RSA: readonly Algorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const EDWARDS: readonly Algorithm[] = ['EdDSA', 'Ed25519'];
const BY_CURVE: Readonly<Record<string, readonly Algorithm[]>> = {
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
};
/** RFC 7518, section 3.3. */
const MIN_RSA_BITS = 2048;
/** RFC 7518, section 3.2: a secret is at least as long as the hash. */
const MIN_SECRET_BYTES = { HS256: 32, HS384: 48, HS512: 64 } as const;
export type SecretAlgorithm = keyof typeof MIN_SECRET_BYTES;

/** A public key or a secret, and what it can verify. */
export class VerificationKey {
  /** True once its issuer has taken it back: what it verified does not count any more. */
  isWithdrawn = false;

  constructor(
    readonly key: KeyObject,
    readonly algorithms: readonly Algorithm[],
    readonly kid: string | undefined,
  ) {}

  canVerify(algorithm: Algorithm, kid: string | undefined): boolean {
    return (
      this.algorithms.includes(algorithm) && (kid === undefined || this.kid === undefined || kid === this.kid)
    );
  }
}

/** Where the keys for a token are found. */
export interface KeySource {
  /** Those that may have signed a token with this header. Throws when they cannot be had at this moment. */
  keysFor(algorithm: Algorithm, kid: string | undefined): MaybePromise<readonly VerificationKey[]>;
  /**
   * Called where a verified token is used again: without it, busy callers would keep old keys alive.
   *
   * @returns false when the keys are too old to vouch for what was verified with them
   */
  keepFresh?(): boolean;
}

/** Keys that stand in the configuration. */
export class GivenKeys implements KeySource {
  constructor(private readonly keys: readonly VerificationKey[]) {}

  keysFor(algorithm: Algorithm, kid: string | undefined): readonly VerificationKey[] {
    return this.keys.filter((key) => key.canVerify(algorithm, kid));
  }
}

/**
 * A public key from PEM or JWK.
 *
 * @param only the one algorithm that it is for, where its owner said so
 * @throws TypeError when it is no key, or none that can verify a token. The message holds nothing of the key.
 */
export function publicKey(source: string | JsonWebKey, kid?: string, only?: Algorithm): VerificationKey {
  let key: KeyObject;
  try {
    key = createPublicKey(typeof source === 'string' ? source : { key: source, format: 'jwk' });
  } catch (cause) {
    throw new TypeError('is no public key', { cause });
  }
  const algorithms = algorithmsOf(key).filter((each) => only === undefined || each === only);
  if (algorithms.length === 0) throw new TypeError('is no key that can verify a token');
  return new VerificationKey(key, algorithms, kid);
}

/** A shared secret. Throws a TypeError when it is shorter than the hash of its algorithm. */
export function secretKey(secret: Uint8Array, algorithm: SecretAlgorithm, kid?: string): VerificationKey {
  const least = MIN_SECRET_BYTES[algorithm];
  if (secret.byteLength < least)
    throw new TypeError(`is too short for ${algorithm}: at least ${least} bytes`);
  return new VerificationKey(createSecretKey(secret), [algorithm], kid);
}

function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): readonly Algorithm[] {
  switch (asymmetricKeyType) {
    case 'rsa':
      return (asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS ? RSA : [];
    case 'ec':
      return BY_CURVE[asymmetricKeyDetails?.namedCurve ?? ''] ?? [];
    case 'ed25519':
      return EDWARDS;
    default:
      return [];
  }
}
