import autocannon from 'autocannon';
import type { OpenTarget } from './call-target.js';
import type { LoadFigures } from './generator-messages.js';
import { echoAnswerProblem, requestHeaders } from './mcp-request.js';
import { percentile } from './statistics.js';

/** Reading every answer would make the generator the slowest part. */
const CHECK_EVERY_ANSWERS = 16;
/** After so many errors a cell ends early: a target that refuses connections would be asked in a tight loop. */
const MAX_ERRORS = 100;
/** Upper bound of a cell, whatever its time. */
const MAX_REQUESTS = 5_000_000;
/** How long a call may take. */
const CALL_DEADLINE_SECONDS = 10;
/** autocannon looks this often whether its time is over. */
const STOP_CHECK_MS = 50;

/** Calls the echo tool over `connections` connections for `seconds`, each with one call under way (pipelining 1). */
export async function load(target: OpenTarget, connections: number, seconds: number): Promise<LoadFigures> {
  const latenciesMicros: number[] = [];
  let connected = 0;
  let answeredId = 0;
  let checkedAnswers = 0;
  let wrongAnswers = 0;
  let non2xx = 0;
  let firstProblem: string | undefined;

  const setupClient = (client: autocannon.Client) => {
    const session = target.sessions[connected % Math.max(1, target.sessions.length)];
    connected += 1;
    const headers = requestHeaders(target.era, 'tools/call', {
      name: target.tool,
      session,
      more: target.headers,
    });
    let id = target.nextId();
    client.setHeadersAndBody(headers, target.callBody(id));
    // An id is never used twice in a session. autocannon announces an answer, sends the next request, and
    // then has the answer's body verified, all at once: so the id that was answered is kept for that.
    client.on('response', (status: number, _bytes: number, milliseconds: number) => {
      latenciesMicros.push(milliseconds * 1000);
      if (status < 200 || status > 299) {
        non2xx += 1;
        firstProblem ??= `HTTP status ${status}`;
      }
      answeredId = id;
      id = target.nextId();
      client.setBody(target.callBody(id));
    });
  };
  const verifyBody = (body: unknown) => {
    if (latenciesMicros.length % CHECK_EVERY_ANSWERS !== 1) return true;
    checkedAnswers += 1;
    const problem = echoAnswerProblem(target.era, answeredId, String(body));
    if (!problem) return true;
    wrongAnswers += 1;
    firstProblem ??= problem;
    return false;
  };

  const begin = performance.now();
  const result = await autocannon({
    url: target.url,
    method: 'POST',
    connections,
    duration: seconds,
    pipelining: 1,
    timeout: CALL_DEADLINE_SECONDS,
    bailout: MAX_ERRORS,
    maxOverallRequests: MAX_REQUESTS,
    sampleInt: STOP_CHECK_MS,
    setupClient,
    verifyBody: verifyBody as (body: autocannon.Request['body']) => boolean,
  });
  const elapsedSeconds = (performance.now() - begin) / 1000;
  const sorted = Float64Array.from(latenciesMicros).sort();
  if (result.errors > 0) firstProblem ??= `${result.errors} connections failed or calls timed out`;
  return {
    requests: sorted.length,
    seconds: elapsedSeconds,
    requestsPerSecond: sorted.length / elapsedSeconds,
    p50Micros: percentile(sorted, 0.5),
    p99Micros: percentile(sorted, 0.99),
    non2xx,
    connectionErrors: result.errors,
    checkedAnswers,
    wrongAnswers,
    firstProblem,
  };
}
