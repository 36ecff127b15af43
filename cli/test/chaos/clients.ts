/** Clients that count: each calls again and again, at one node and then the next, and tries a call until it is answered. */
import { setTimeout as sleep } from 'node:timers/promises';
import { beginSession, type JsonRpc, lastMessage, postModern, type RawSession } from '../stories/raw-http.js';
import type { ChaosCluster } from './chaos-cluster.js';
import type { Tally } from './tally.js';

const PATH = '/mcp/plain';
const PAUSE_MS = 15;
const MAX_KEPT_REASON_COUNT = 20;
/** Between two attempts of one call. */
const RETRY_MS = 50;
/** A client gives up a call after this. */
const CALL_LIMIT_MS = 15_000;
/** One attempt. */
const ATTEMPT_LIMIT_MS = 5_000;
/** What says that another attempt, or another node, may do. */
const RETRYABLE_STATUS: readonly number[] = [502, 503, 504];
/** The node that served it is gone, and nobody knows whether it ran: these calls may run twice (docs/reference/errors.md). */
const RETRYABLE_CODES: readonly unknown[] = [-31004];

type Attempt = (url: string, text: string) => Promise<Response>;

export class Clients {
  private isEnding = false;
  private readonly running: Promise<void>[] = [];

  constructor(
    private readonly cluster: ChaosCluster,
    private readonly tally: () => Tally,
  ) {}

  /** Begins all of them, sessions at different nodes. */
  async begin(modernCount: number, sessionCount: number): Promise<void> {
    const { nodes } = this.cluster;
    const sessions = await Promise.all(
      Array.from({ length: sessionCount }, (_, index) =>
        beginSession(`${nodes[index % nodes.length]?.url}${PATH}`),
      ),
    );
    for (let index = 0; index < modernCount; index++)
      this.running.push(
        this.run(index, `stateless ${index}`, (url, text) =>
          postModern(url, 'tools/call', { name: 'echo', arguments: { text } }),
        ),
      );
    for (const [index, session] of sessions.entries())
      this.running.push(this.run(index, `session ${index}`, inSession(session)));
  }

  async end(): Promise<void> {
    this.isEnding = true;
    await Promise.all(this.running);
  }

  private async run(first: number, who: string, attempt: Attempt): Promise<void> {
    for (let count = 0; !this.isEnding; count++) {
      await this.call(first + count, `${who} call ${count}`, attempt);
      await sleep(PAUSE_MS);
    }
  }

  /** One call, at one node after the other until one answers. */
  private async call(first: number, text: string, attempt: Attempt): Promise<void> {
    const { nodes } = this.cluster;
    const tally = this.tally();
    const deadline = Date.now() + CALL_LIMIT_MS;
    let last = '';
    for (let index = first; Date.now() < deadline; index++) {
      const node = nodes[index % nodes.length];
      if (node === undefined) return;
      const came = await this.attempted(`${node.url}${PATH}`, text, attempt);
      if (came === 'answered') {
        tally.callCount++;
        return;
      }
      last = `${node.name}: ${came.reason}`;
      if (came.isLost) tally.lostSessions.push(`${text} at ${last}`);
      if (!came.mayRetry) break;
      tally.retryCount++;
      if (tally.retryReasons.length < MAX_KEPT_REASON_COUNT) tally.retryReasons.push(`${text} at ${last}`);
      await sleep(RETRY_MS);
    }
    tally.callCount++;
    tally.failures.push(`${text} at ${last}`);
  }

  private async attempted(url: string, text: string, attempt: Attempt): Promise<'answered' | Unanswered> {
    let status: number;
    let message: JsonRpc;
    try {
      [status, message] = await Promise.race([answerOf(attempt(url, text)), late()]);
    } catch (error) {
      const { message: reason, cause } = error as Error;
      return {
        mayRetry: true,
        isLost: false,
        reason: `${reason} ${(cause as Error | undefined)?.message ?? ''}`,
      };
    }
    if (message.result?.content?.[0]?.text?.includes(text)) return 'answered';
    const isLost = status === 404;
    return {
      mayRetry:
        !isLost && (RETRYABLE_STATUS.includes(status) || RETRYABLE_CODES.includes(message.error?.code)),
      isLost,
      reason: `${status} ${JSON.stringify(message).slice(0, 300)}`,
    };
  }
}

interface Unanswered {
  readonly mayRetry: boolean;
  readonly isLost: boolean;
  readonly reason: string;
}

/** A client of the legacy era, whose session any node goes on with. */
function inSession({ headers }: RawSession): Attempt {
  let id = 0;
  return (url, text) => {
    const params = { name: 'echo', arguments: { text } };
    const body = JSON.stringify({ jsonrpc: '2.0', id: ++id, method: 'tools/call', params });
    return fetch(url, { method: 'POST', headers, body });
  };
}

async function answerOf(coming: Promise<Response>): Promise<[number, JsonRpc]> {
  const response = await coming;
  return [response.status, await lastMessage(response)];
}

async function late(): Promise<never> {
  await sleep(ATTEMPT_LIMIT_MS, undefined, { ref: false });
  throw new Error(`no answer within ${ATTEMPT_LIMIT_MS} ms`);
}
