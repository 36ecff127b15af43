/** Why an upstream is not ready, for those who operate the gateway; clients are told less. */
import { ErrorCode, RpcError } from '../protocol/errors.js';

/** Some servers write pages into their errors. */
const MAX_REASON_LENGTH = 1_000;
/** A URL in a text: scheme, what stands before the host, host and path, what stands behind the path. */
const URL_IN_TEXT = /\b([a-z][a-z0-9+.-]{0,30}:\/\/)([^\s/?#"'<>]*@)?([^\s?#"'<>]*)([?#][^\s"'<>]*)?/gi;

/**
 * What an error says and what caused it, as one sentence. Of URLs in it the user, the password, the query and the
 * fragment are left out, because they may be secrets.
 */
export function reasonOf(error: RpcError): string {
  let text = error.message;
  // A fault of the gateway has a stack for the log, and nothing that belongs here.
  let cause = error.code === ErrorCode.InternalError ? undefined : error.cause;
  for (; cause instanceof Error; cause = cause.cause) {
    // What one request was told of the failure says nothing more of why.
    if (!(cause instanceof RpcError) && !text.includes(cause.message)) text += `: ${cause.message}`;
  }
  return withoutUrlSecrets(text.slice(0, MAX_REASON_LENGTH));
}

function withoutUrlSecrets(text: string): string {
  return text.replace(
    URL_IN_TEXT,
    (_, scheme: string, user: string | undefined, place: string, rest: string | undefined) =>
      `${scheme}${user === undefined ? '' : '…@'}${place}${rest === undefined ? '' : `${rest[0]}…`}`,
  );
}
