import { takeAnswer } from '../bad-input/raw-connection.js';

/** What the gateway says when an exception reached the outside. */
const INTERNAL_ERROR = 'Internal error of the gateway';
/** A version of HTTP that is not spoken is the client's fault for all its number. */
const VERSION_NOT_SUPPORTED = 505;

export interface ReadAnswers {
  /** Whole answers, and a stream that has begun. */
  readonly count: number;
  /** Nothing is half there. */
  readonly isWhole: boolean;
  /** What is wrong with one of them. */
  readonly fault: string | undefined;
}

/**
 * Reads what came on one connection, one character for each byte.
 *
 * @param isAll nothing more will come
 * @param asked what was sent
 */
export function readAnswers(received: string, isAll: boolean, asked: string): ReadAnswers {
  // The answer to HEAD is a head that promises a body: behind it nothing can be told apart.
  if (asked.includes('HEAD ')) return { count: received === '' ? 0 : 1, isWhole: false, fault: undefined };
  let rest = received;
  let count = 0;
  while (rest !== '') {
    let taken: ReturnType<typeof takeAnswer>;
    try {
      taken = takeAnswer(rest, isAll);
    } catch (error) {
      return { count, isWhole: false, fault: String(error) };
    }
    if (taken === undefined) break;
    const { status, headers, body } = taken.answer;
    const fault = faultIn(status, headers['content-type'] ?? '', body);
    if (fault !== undefined) return { count, isWhole: false, fault };
    count++;
    rest = taken.rest;
  }
  const isStream = /^HTTP\/1\.1 200 [^]*\r\ncontent-type: text\/event-stream\r\n[^]*\r\n\r\n/i.test(rest);
  const fault = rest.includes(INTERNAL_ERROR) ? `a stream says: ${rest.slice(0, 2_000)}` : undefined;
  return { count: isStream ? count + 1 : count, isWhole: rest === '' || isStream, fault };
}

function faultIn(status: number, type: string, body: string): string | undefined {
  if (status >= 500 && status !== VERSION_NOT_SUPPORTED) return `it was answered ${status}: ${body}`;
  if (body.includes(INTERNAL_ERROR)) return `it was answered with an internal error: ${body}`;
  if (!type.startsWith('application/json') || body === '') return undefined;
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(body, 'latin1')));
  } catch (error) {
    return `its answer is no JSON (${error}): ${body}`;
  }
  return undefined;
}
