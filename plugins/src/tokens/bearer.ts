const BEARER = /^Bearer /i;
const SCHEME_LENGTH = 'Bearer '.length;

/** The token in `Authorization: Bearer` (RFC 6750, section 2.1); undefined where there is another credential or none. */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined || !BEARER.test(authorization)) return undefined;
  const token = authorization.slice(SCHEME_LENGTH).trim();
  return token === '' || token.includes(' ') ? undefined : token;
}
