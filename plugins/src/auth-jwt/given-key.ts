/** A key as it stands in the configuration. */
import type { JsonWebKey } from 'node:crypto';
import {
  type Algorithm,
  publicKey,
  type SecretAlgorithm,
  secretKey,
  type VerificationKey,
} from '../tokens/keys.js';
import type { Key } from './config.js';

/** @throws TypeError when it is none that can verify a token; the message holds nothing of it. */
export function verificationKey({ kid, algorithm, secret, secret_encoding, pem, jwk }: Key): VerificationKey {
  if (secret !== undefined)
    return secretKey(secretBytes(secret, secret_encoding), secretAlgorithm(algorithm), kid);
  if (pem !== undefined) {
    // One that is private would do, and would lie in the configuration of a gateway that has no use for it.
    if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) throw new TypeError(PRIVATE);
    return publicKey(pem, kid, algorithm);
  }
  const own = jwk ?? {};
  if (own.kty === 'oct') throw new TypeError('is a shared secret; write it as `secret`');
  if ('d' in own) throw new TypeError(PRIVATE);
  if (own.use !== undefined && own.use !== 'sig') throw new TypeError('is not for signatures (`use`)');
  const only = algorithm ?? (own.alg as Algorithm | undefined);
  return publicKey(own as JsonWebKey, kid ?? (typeof own.kid === 'string' ? own.kid : undefined), only);
}

const PRIVATE = 'is a private key; the gateway needs, and should have, only the public one';

function secretAlgorithm(algorithm: Algorithm = 'HS256'): SecretAlgorithm {
  if (algorithm === 'HS256' || algorithm === 'HS384' || algorithm === 'HS512') return algorithm;
  throw new TypeError(`is a shared secret, which ${algorithm} has no use for`);
}

function secretBytes(secret: string, encoding: Key['secret_encoding']): Uint8Array {
  if (encoding === 'text') return Buffer.from(secret);
  // Both alphabets of RFC 4648; what is in neither would be passed over in silence, and leave a shorter secret.
  if (!/^[\w+/-]+={0,2}\s*$/.test(secret)) throw new TypeError('is not base64');
  return Buffer.from(secret, 'base64');
}
