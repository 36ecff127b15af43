import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

/**
 * Sealed handles: state that the gateway gives to a client to keep, so that any node can take it back.
 *
 * A token is a version character and, in base64url, key id (4 bytes), nonce (12), AES-256-GCM ciphertext, tag
 * (16). Each purpose has a key of its own, derived from the key of the ring, so that a token of one purpose
 * means nothing for another. A token has exactly one spelling: what is used once cannot be spelled anew.
 *
 * A token proves that the gateway made it for this context, never who holds it.
 */

export const SEAL_PURPOSES = ['session', 'request-state', 'task', 'cursor', 'subscription', 'ask'] as const;
export type SealPurpose = (typeof SEAL_PURPOSES)[number];

/**
 * Secrets of at least {@link MIN_SECRET_BYTES} random bytes, the same on every node. The current one seals, all
 * of them open; a secret stays among the previous ones for longer than any handle lives. Nonces are random: a
 * secret must be replaced before it has sealed 2^32 tokens of one purpose (NIST SP 800-38D section 8.3).
 */
export interface KeyRing {
  readonly current: Uint8Array;
  readonly previous: readonly Uint8Array[];
}

export interface Sealer {
  /**
   * `context` is what the token is bound to without carrying it (principal, virtual server): it opens only with
   * the same text.
   *
   * @throws RangeError when the token would be longer than {@link MAX_TOKEN_BYTES}.
   */
  seal(purpose: SealPurpose, payload: Uint8Array | string, context?: string): string;
  /** The payload; undefined for anything that {@link seal} did not make with this purpose and context. */
  open(purpose: SealPurpose, token: string, context?: string): Buffer | undefined;
}

export const MIN_SECRET_BYTES = 32;

/** Holds the `requestState` of an upstream with room to spare. What must fit a header has to be kept far shorter. */
export const MAX_TOKEN_BYTES = 65_536;

const VERSION = '1';
const KEY_ID_BYTES = 4;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';

interface SealKey {
  readonly id: Buffer;
  readonly byPurpose: Readonly<Record<SealPurpose, KeyObject>>;
}

/** Seals with whatever ring it was given last, so that keys change while the gateway runs. */
export class RotatingSealer implements Sealer {
  private sealer: Sealer;

  constructor(private ring: KeyRing) {
    this.sealer = createSealer(ring);
  }

  rotate(ring: KeyRing): void {
    if (isDeepStrictEqual(ring, this.ring)) return;
    this.ring = ring;
    this.sealer = createSealer(ring);
  }

  seal(purpose: SealPurpose, payload: Uint8Array | string, context?: string): string {
    return this.sealer.seal(purpose, payload, context);
  }

  open(purpose: SealPurpose, token: string, context?: string): Buffer | undefined {
    return this.sealer.open(purpose, token, context);
  }
}

/** The ring of a configuration; `own` is what a gateway without configured secrets seals with. */
export function keyRing(secrets: readonly string[], own: Uint8Array): KeyRing {
  const [current, ...previous] = secrets.map((secret) => Buffer.from(secret));
  return current === undefined ? { current: own, previous: [] } : { current, previous };
}

/** @throws RangeError when a secret is shorter than {@link MIN_SECRET_BYTES}. */
export function createSealer(ring: KeyRing): Sealer {
  const current = deriveKey(ring.current);
  const keys = [current, ...ring.previous.map(deriveKey)];
  return {
    seal(purpose, payload, context = '') {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, current.byPurpose[purpose], nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(associatedData(purpose, context));
      const sealed = Buffer.concat([
        current.id,
        nonce,
        cipher.update(typeof payload === 'string' ? Buffer.from(payload) : payload),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
      const token = VERSION + sealed.toString('base64url');
      if (token.length > MAX_TOKEN_BYTES) {
        throw new RangeError(
          `${purpose}: a payload of ${payload.length} does not fit a token of at most ${MAX_TOKEN_BYTES} bytes`,
        );
      }
      return token;
    },

    open(purpose, token, context = '') {
      const sealed = sealedBytes(token);
      if (!sealed) return undefined;
      for (const key of keys) {
        if (!key.id.equals(sealed.subarray(0, KEY_ID_BYTES))) continue;
        const payload = decrypt(key.byPurpose[purpose], sealed, associatedData(purpose, context));
        if (payload) return payload;
      }
      return undefined;
    },
  };
}

/** The bytes behind the version character; undefined unless the token is spelled as {@link Sealer.seal} spells it. */
function sealedBytes(token: string): Buffer | undefined {
  if (token.length > MAX_TOKEN_BYTES || !token.startsWith(VERSION)) return undefined;
  const text = token.slice(VERSION.length);
  const bytes = Buffer.from(text, 'base64url');
  // Node skips characters and bits that it has no use for; only the form that encodes back is valid.
  if (bytes.length < KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES || bytes.toString('base64url') !== text) {
    return undefined;
  }
  return bytes;
}

function decrypt(key: KeyObject, sealed: Buffer, aad: Buffer): Buffer | undefined {
  const nonce = sealed.subarray(KEY_ID_BYTES, KEY_ID_BYTES + NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const payload = decipher.update(sealed.subarray(KEY_ID_BYTES + NONCE_BYTES, -TAG_BYTES));
  try {
    return Buffer.concat([payload, decipher.final()]);
  } catch {
    return undefined;
  }
}

/** JSON keeps the parts apart and different texts different, lone surrogates included. */
function associatedData(purpose: SealPurpose, context: string): Buffer {
  return Buffer.from(JSON.stringify([VERSION, purpose, context]));
}

function deriveKey(secret: Uint8Array): SealKey {
  if (secret.length < MIN_SECRET_BYTES) {
    throw new RangeError(
      `sealing secret: ${secret.length} bytes; at least ${MIN_SECRET_BYTES} random bytes are needed`,
    );
  }
  const derive = (info: string, bytes: number) =>
    Buffer.from(
      hkdfSync('sha256', secret, Buffer.alloc(0), `sluice sealed handles ${VERSION}: ${info}`, bytes),
    );
  const keys = SEAL_PURPOSES.map((purpose) => [purpose, createSecretKey(derive(`key for ${purpose}`, 32))]);
  return {
    id: derive('key id', KEY_ID_BYTES),
    byPurpose: Object.fromEntries(keys) as Record<SealPurpose, KeyObject>,
  };
}
