/**
 * Knows callers by JSON Web Tokens in `Authorization: Bearer` (RFC 6750, RFC 7519), signed with keys that stand in the
 * configuration or that the issuer publishes. Tokens of other issuers are left to other plugins.
 */
import { definePlugin, type Fields, type Identity, type MaybePromise, Refusal } from '@sluice/sdk';
import { bearerToken } from '../tokens/bearer.js';
import { Unavailable } from '../tokens/document.js';
import { InvalidToken } from '../tokens/verify.js';
import { Config, configProblems } from './config.js';
import { Issuer } from './issuer.js';

const CHALLENGE = 'Bearer realm="sluice"';

interface Ctx {
  readonly headers: { readonly authorization: string | undefined };
  readonly repeatedHeaders: readonly string[];
}

type Found = Identity | InvalidToken | undefined;

export default definePlugin({
  name: 'auth-jwt',
  version: '1.0.0',
  description: 'Knows callers by JSON Web Tokens in Authorization: Bearer.',
  phase: 'identity',
  config: Config,
  reads: ['headers.authorization', 'repeatedHeaders'],
  changes: [],
  check: configProblems,

  hooks(config, host) {
    const issuer = new Issuer(config, host);

    function identify({ headers, repeatedHeaders }: Ctx): MaybePromise<Identity | Refusal | undefined> {
      const token = bearerToken(headers.authorization);
      if (repeatedHeaders.includes('authorization')) return twice(headers.authorization);
      if (token === undefined) return undefined;
      const found = issuer.identityOf(token);
      return found instanceof Promise ? found.then(admitted, unavailable) : admitted(found);
    }

    function admitted(found: Found): Identity | Refusal | undefined {
      if (!(found instanceof InvalidToken)) return found;
      host.log.debug({ reason: found.message }, 'refused a token');
      return refused('invalid_token', found.message);
    }

    function challenge({ headers }: Ctx): string {
      if (bearerToken(headers.authorization) === undefined) return CHALLENGE;
      return bearerError('invalid_token', 'this is no token of an issuer that is known here');
    }

    return { identify, challenge };
  },
});

/** Which of two tokens counts is not to be guessed (RFC 6750, section 3.1). */
function twice(authorization: string | undefined): Refusal | undefined {
  return authorization !== undefined && /\bbearer /i.test(authorization)
    ? refused('invalid_request', 'the credential was sent more than once')
    : undefined;
}

function refused(error: string, description: string): Refusal {
  const headers: Fields = [['WWW-Authenticate', bearerError(error, description)]];
  return new Refusal('unauthenticated', description, { headers });
}

/** RFC 6750, section 3. A description has no quotes, backslashes or letters beyond ASCII. */
function bearerError(error: string, description: string): string {
  const plain = description.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?');
  return `${CHALLENGE}, error="${error}", error_description="${plain}"`;
}

/** Fails closed, and says when to come back: a client that is sent to log in again would fail the same. */
function unavailable(thrown: unknown): Refusal {
  if (!(thrown instanceof Unavailable)) throw thrown;
  const seconds = String(Math.ceil(thrown.retryAfterMs / 1_000));
  return new Refusal('failed', thrown.message, { headers: [['Retry-After', seconds]], cause: thrown.cause });
}
