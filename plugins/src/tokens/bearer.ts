/** The token in `Authorization: Bearer` (RFC 6750, section 2.1); undefined where there is another credential or none. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return authorization === undefined ? undefined : /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
}
