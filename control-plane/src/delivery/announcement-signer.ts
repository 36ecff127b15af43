/**
 * Signs what a replica announces over NATS, so that nodes take nothing there that no control plane made. Who made the
 * key, a node knows from its stream to the replica.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { create, SignedAnnouncementSchema, toBinary } from '@sluice/proto/cluster';

export class AnnouncementSigner {
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  private readonly privateKey: KeyObject;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    this.privateKey = privateKey;
    this.publicKey = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  }

  /**
   * An encoded `SignedAnnouncement`, good at one subject alone.
   *
   * @param announcement an encoded `Announcement`
   */
  signed(subject: string, announcement: Uint8Array): Uint8Array {
    const signature = sign(null, Buffer.concat([Buffer.from(`${subject}\0`), announcement]), this.privateKey);
    return toBinary(
      SignedAnnouncementSchema,
      create(SignedAnnouncementSchema, { announcement, key: this.publicKey, signature }),
    );
  }
}
