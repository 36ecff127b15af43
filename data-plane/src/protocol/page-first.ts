/**
 * A legacy server may refuse a request until its user has looked at a page (2025-11-25, client/elicitation, "URL
 * Elicitation Required Error"). A modern one asks for that and gets the request again, which is what becomes of it.
 */
import { ErrorCode, RpcError } from './errors.js';
import { type Span, scanMessage } from './scan.js';
import { binaryOf, binaryToBytes, jsonBinary, parsed } from './text.js';
import type { Message } from './translate.js';

/** Pages that one answer may name. */
const MAX_PAGE_COUNT = 16;

/**
 * The refusal as an `input_required` result, without a state: the retry is a call like the first one. Undefined when
 * it names no page, or when the person was asked already and would not: then the refusal stands as it is.
 *
 * @throws RpcError -32021 when the client did not say that it can show pages
 */
export function pagesAsQuestions(
  refusal: Message,
  request: Message,
  capabilities: string,
): Message | undefined {
  const pages = pagesOf(refusal);
  if (pages.length === 0 || wasRefused(request)) return undefined;
  const { elicitation } = JSON.parse(capabilities) as { elicitation?: { url?: unknown } };
  if (elicitation?.url === undefined) {
    throw new RpcError(
      ErrorCode.MissingClientCapability,
      'the server needs a person to look at a page first, and the client did not declare `elicitation.url`',
      { requiredCapabilities: { elicitation: { url: {} } } },
    );
  }
  const inputRequests = Object.fromEntries(
    pages.map(({ message, url }, i) => [
      `elicitation-${i + 1}`,
      { method: 'elicitation/create', params: { mode: 'url', message, url } },
    ]),
  );
  const id = binaryOf(refusal.bytes, refusal.envelope.id as Span);
  const result = jsonBinary({ resultType: 'input_required', inputRequests });
  const bytes = binaryToBytes(`{"jsonrpc":"2.0","id":${id},"result":${result}}`);
  return { bytes, envelope: scanMessage(bytes) };
}

function pagesOf({ bytes, envelope }: Message): { message: string; url: string }[] {
  const { data } = parsed(bytes, envelope.error as Span) as { data?: { elicitations?: unknown } };
  const listed: unknown[] = Array.isArray(data?.elicitations) ? data.elicitations : [];
  return listed.slice(0, MAX_PAGE_COUNT).flatMap((each) => {
    const { message, url } = (each ?? {}) as { message?: unknown; url?: unknown };
    return typeof url === 'string' ? [{ message: typeof message === 'string' ? message : '', url }] : [];
  });
}

/** True for a retry in which one of the answers is that the person would not. */
function wasRefused({ bytes, envelope }: Message): boolean {
  if (envelope.inputResponses === undefined) return false;
  const answers = parsed(bytes, envelope.inputResponses);
  if (typeof answers !== 'object' || answers === null) return false;
  return Object.values(answers).some(
    (answer) => (answer as { action?: unknown } | null)?.action !== 'accept',
  );
}
