/** What came over NATS as an announcement: anybody who may publish there could have sent it. */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import {
  type Announcement,
  AnnouncementSchema,
  fromBinary,
  SignedAnnouncementSchema,
} from '@sluice/proto/cluster';

/** `unproven`: of another replica, or of anybody; `forged`: it names the key, and was not signed with it. */
export type HeardAnnouncement = Announcement | 'unproven' | 'forged';

/** Tells what the replica announces that a node has its stream to from what anybody else does. */
export class AnnouncementProof {
  private readonly key: KeyObject;

  /** @param publicKey Ed25519, 32 bytes; throws when it is none */
  constructor(private readonly publicKey: Uint8Array) {
    const x = Buffer.from(publicKey).toString('base64url');
    this.key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  }

  opened(subject: string, bytes: Uint8Array): HeardAnnouncement {
    try {
      const { announcement, key, signature } = fromBinary(SignedAnnouncementSchema, bytes);
      if (Buffer.compare(key, this.publicKey) !== 0) return 'unproven';
      const signed = Buffer.concat([Buffer.from(`${subject}\0`), announcement]);
      return verify(null, signed, this.key, signature)
        ? fromBinary(AnnouncementSchema, announcement)
        : 'forged';
    } catch {
      return 'unproven';
    }
  }
}
