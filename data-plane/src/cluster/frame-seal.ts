/**
 * Tells what nodes of the cluster say to each other from what anybody else may say who can publish on NATS. Every frame
 * ends with a code that only those can make who have the key of the cluster, for the subject that it is sent to. Within
 * a pipe it is made for that very opening of it, so that nothing that was heard once can be said again.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';

/** HMAC-SHA-256, cut to half (RFC 2104 section 5). */
const CODE_BYTES = 16;
const KEY_BYTES = 32;
const PURPOSE = 'sluice bus frames 1';

export class FrameSeal {
  private readonly key: KeyObject | undefined;

  /** @param secret what all nodes of the cluster have; without it frames are taken as they are */
  constructor(secret: Uint8Array | undefined) {
    this.key =
      secret && createSecretKey(Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), PURPOSE, KEY_BYTES)));
  }

  /** What {@link sealed} adds. */
  get addedBytes(): number {
    return this.key === undefined ? 0 : CODE_BYTES;
  }

  /** @param opening of the pipe, for what goes through it */
  sealed(frame: Uint8Array, subject: string, opening = ''): Uint8Array {
    const { key } = this;
    return key === undefined ? frame : Buffer.concat([frame, codeOf(key, frame, subject, opening)]);
  }

  /** The frame; undefined when nobody made it who has the key, or it was made for something else. */
  opened(sealed: Buffer, subject: string, opening = ''): Buffer | undefined {
    const { key } = this;
    if (key === undefined) return sealed;
    const end = sealed.length - CODE_BYTES;
    if (end < 0) return undefined;
    const frame = sealed.subarray(0, end);
    return timingSafeEqual(codeOf(key, frame, subject, opening), sealed.subarray(end)) ? frame : undefined;
  }
}

function codeOf(key: KeyObject, frame: Uint8Array, subject: string, opening: string): Buffer {
  // Neither subjects nor openings have a NUL in them.
  const hmac = createHmac('sha256', key).update(`${subject}\0${opening}\0`).update(frame);
  return hmac.digest().subarray(0, CODE_BYTES);
}
