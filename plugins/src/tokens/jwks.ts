/** The keys of an issuer by the URL of its key set (RFC 7517). */
import type { JsonWebKey } from 'node:crypto';
import type { JsonObject, MaybePromise, PluginHost } from '@sluice/sdk';
import { fetchObject, RemoteDocument } from './document.js';
import { ALGORITHMS, type Algorithm, type KeySource, publicKey, type VerificationKey } from './keys.js';

/** A set with more is taken for a mistake; issuers publish two or three. */
const MAX_KEY_COUNT = 100;

/** By the JSON of each, so that a key that is still there after a renewal is the same object. */
type KeySet = ReadonlyMap<string, VerificationKey>;

export class RemoteKeys implements KeySource {
  private readonly document: RemoteDocument<KeySet>;

  /** @param locate says the URL of the set; may throw when it is not known at this moment */
  constructor(issuer: string, host: PluginHost, locate: () => MaybePromise<string>) {
    this.document = new RemoteDocument(`the keys of ${issuer}`, host, async (last) => {
      const url = await locate();
      return keySetOf(url, await fetchObject(host, url), last);
    });
  }

  /** Asks the issuer again, at most every ten seconds, when it is a key that is not known. */
  async keysFor(algorithm: Algorithm, kid: string | undefined): Promise<readonly VerificationKey[]> {
    const fitting = (set: KeySet) => [...set.values()].filter((key) => key.canVerify(algorithm, kid));
    const known = fitting(await this.document.get());
    if (known.length > 0) return known;
    const renewed = fitting(await this.document.renewed());
    // A key of which nobody can say at this moment whether it is one.
    if (renewed.length === 0) this.document.assertReachable();
    return renewed;
  }

  keepFresh(): boolean {
    return this.document.known() !== undefined && !this.document.isOverdue;
  }
}

function keySetOf(url: string, { keys }: JsonObject, last: KeySet | undefined): KeySet {
  if (!Array.isArray(keys)) throw new Error(`${url} holds no list of keys`);
  if (keys.length > MAX_KEY_COUNT) throw new Error(`${url} holds more than ${MAX_KEY_COUNT} keys`);
  const set = new Map<string, VerificationKey>();
  for (const jwk of keys as readonly unknown[]) {
    const id = JSON.stringify(jwk);
    const key = last?.get(id) ?? verificationKey(jwk);
    if (key !== undefined) set.set(id, key);
  }
  // What an issuer answers in trouble is not to log everybody out.
  if (set.size === 0) throw new Error(`${url} holds no key that can verify a token`);
  for (const [id, key] of last ?? []) {
    if (!set.has(id)) key.isWithdrawn = true;
  }
  return set;
}

/** Undefined for what is no public key for signatures: a set may hold others, also of kinds yet to come. */
function verificationKey(jwk: unknown): VerificationKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined;
  const { kty, use, key_ops, alg, kid } = jwk as JsonObject;
  // A secret in a public place is none.
  if (kty === 'oct') return undefined;
  if (use !== undefined && use !== 'sig') return undefined;
  if (Array.isArray(key_ops) && !key_ops.includes('verify')) return undefined;
  if (alg !== undefined && !ALGORITHMS.some((each) => each === alg)) return undefined;
  try {
    return publicKey(
      jwk as JsonWebKey,
      typeof kid === 'string' ? kid : undefined,
      alg as Algorithm | undefined,
    );
  } catch {
    return undefined;
  }
}
