/** What follows `Last error:` in the words of grpc-js, without what it puts around it. */
const LAST_ERROR = /Last error: (?:Error: )?(.*?)\.?(?: Resolution note:.*)?$/s;
/** When it was, which grpc-js writes behind the words of OpenSSL. */
const TIME = /\s*\(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/;
/** Thread, code, library and function, the words, file and line. */
const OPENSSL = /^[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):/;

/** The part of what grpc-js says of a connection that failed which says why; the whole when it says nothing else. */
export function connectReason(details: string): string {
  const last = LAST_ERROR.exec(details)?.[1]?.replace(TIME, '');
  if (!last) return details;
  const alert = OPENSSL.exec(last)?.[1];
  if (alert === undefined) return last;
  return alert.endsWith('certificate required') ? 'it asks for a client certificate' : `TLS failed: ${alert}`;
}
