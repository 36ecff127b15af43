/** Finds out who calls: by an API token, by a token of an OIDC issuer, or by a client certificate. */
import { AdminError } from '../admin-error.js';
import { type Caller, type RoleWord, roleOfWord } from '../caller.js';
import { type CertificateRule, type ClientCertificate, certificateCallers } from './certificates.js';
import { type OidcOptions, oidcCallers } from './oidc.js';
import { type ApiToken, tokenCallers } from './tokens.js';

export interface AccessOptions {
  readonly tokens?: readonly ApiToken[];
  readonly oidc?: OidcOptions;
  /** Counts for connections over TLS whose certificate is of the authority that the listener knows. */
  readonly certificates?: readonly CertificateRule[];
}

/** What a call brings to prove who makes it. */
export interface Credentials {
  /** The header Authorization. */
  readonly authorization: string | undefined;
  /** Only one that was verified. */
  readonly certificate: ClientCertificate | undefined;
}

export interface Access {
  /** @throws AdminError UNAUTHENTICATED when it is nobody, ISSUER_UNAVAILABLE when that cannot be told */
  authenticate(credentials: Credentials): Promise<Caller>;
}

/** What a rule grants. */
export interface Grant {
  readonly role: RoleWord;
  /** Absent: all. An admin has all. */
  readonly tenants?: readonly string[] | undefined;
}

const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i;

/** @throws TypeError for options that let nobody in, or that contradict themselves */
export function createAccess({ tokens = [], oidc, certificates = [] }: AccessOptions): Access {
  if (tokens.length === 0 && oidc === undefined && certificates.length === 0)
    throw new TypeError(
      'nobody could call the admin API: give tokens, an OIDC issuer or client certificates',
    );
  const byToken = tokenCallers(tokens);
  const byOidc = oidc === undefined ? undefined : oidcCallers(oidc);
  const byCertificate = certificateCallers(certificates);
  return {
    async authenticate({ authorization, certificate }) {
      // Whoever brings a token wants to be whom the token says, so a wrong one does not fall back to the certificate.
      if (authorization !== undefined) {
        const token = BEARER.exec(authorization)?.[1];
        if (token === undefined)
          throw unauthenticated('the header Authorization has to be `Bearer` and a token');
        const caller = byToken(token) ?? (await byOidc?.(token));
        if (caller === undefined) throw unauthenticated('the token is none that is known here');
        return caller;
      }
      const caller = certificate === undefined ? undefined : byCertificate(certificate);
      if (caller !== undefined) return caller;
      throw unauthenticated(
        certificate === undefined
          ? 'send a token as `Authorization: Bearer …`, or use a client certificate'
          : 'the client certificate is none that is known here',
      );
    },
  };
}

/** @throws TypeError for an admin who is limited to tenants */
export function callerOf(name: string, { role, tenants }: Grant): Caller {
  if (role === 'admin' && tenants !== undefined)
    throw new TypeError(`${name}: an admin has all tenants; make it an operator, or leave out its tenants`);
  return { name, role: roleOfWord(role), tenants };
}

export function unauthenticated(message: string, cause?: unknown): AdminError {
  return new AdminError('UNAUTHENTICATED', message, { cause });
}
