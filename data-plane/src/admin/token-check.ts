/** The secret of the admin address, compared so that the time it takes tells nothing. */
import { createHash, timingSafeEqual } from 'node:crypto';

const REALM = 'realm="sluice admin"';

/** Why a request may not come in, and what it is to be told in WWW-Authenticate (RFC 6750 section 3). */
export interface TokenRefusal {
  readonly detail: string;
  readonly challenge: string;
}

export class TokenCheck {
  private readonly digest: Buffer;

  constructor(token: string) {
    this.digest = digestOf(token);
  }

  /** Undefined when the request carries the token. */
  refusal(authorization: string | undefined): TokenRefusal | undefined {
    const said = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (said === undefined) {
      const detail = 'say the admin token in the header Authorization, as in `Authorization: Bearer TOKEN`';
      return { detail, challenge: `Bearer ${REALM}` };
    }
    if (timingSafeEqual(digestOf(said), this.digest)) return undefined;
    const detail = 'the token is not that of gateway.admin.token';
    return { detail, challenge: `Bearer ${REALM}, error="invalid_token"` };
  }
}

/** Of one length, as the comparison needs it. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
