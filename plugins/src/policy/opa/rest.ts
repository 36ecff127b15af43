/** An OPA that runs elsewhere, over its data API (openpolicyagent.org/docs/rest-api, "Get a Document (with Input)"). */
import { type Clock, durationMs, type PluginHost } from '@sluice/sdk';
import { MAX_WAIT_MS, type RestConfig } from './config.js';
import { OpaFailure } from './result.js';

/** Longest answer; a decision is short. */
const MAX_ANSWER_BYTES = 65_536;
/** Requests at a time, and those that wait for their turn. */
const MAX_CONCURRENT_COUNT = 64;
const MAX_WAITING_COUNT = 1_024;
const OK = 200;

export class RestOpa {
  private readonly url: string;
  private readonly headers: Readonly<Record<string, string>>;
  private readonly timeoutMs: number;
  private runningCount = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    { url, token, timeout }: RestConfig,
    private readonly fetch: PluginHost['fetch'],
    private readonly clock: Clock,
  ) {
    this.url = url;
    this.timeoutMs = durationMs(timeout);
    this.headers = {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
  }

  /**
   * What OPA says to an input; undefined where it is undefined.
   *
   * @param input JSON text
   * @throws OpaFailure
   */
  async evaluate(input: string): Promise<unknown> {
    const since = this.clock.now();
    await this.turn();
    try {
      if (this.clock.now() - since > MAX_WAIT_MS)
        throw new OpaFailure('busy', `OPA had no time for it within ${MAX_WAIT_MS} ms`);
      return resultOf(await this.post(`{"input":${input}}`));
    } finally {
      const next = this.waiting.shift();
      // Whoever waits has the turn of who is done.
      if (next === undefined) this.runningCount--;
      else next();
    }
  }

  close(): void {
    // Requests end by themselves, in time.
  }

  private async turn(): Promise<void> {
    if (this.runningCount < MAX_CONCURRENT_COUNT) {
      this.runningCount++;
      return;
    }
    if (this.waiting.length >= MAX_WAITING_COUNT)
      throw new OpaFailure('busy', 'too many requests wait for OPA already');
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private async post(body: string): Promise<string> {
    const { url, headers, timeoutMs } = this;
    let answer: Awaited<ReturnType<PluginHost['fetch']>>;
    try {
      answer = await this.fetch(url, {
        method: 'POST',
        headers,
        body,
        timeoutMs,
        maxBytes: MAX_ANSWER_BYTES,
      });
    } catch (thrown) {
      throw new OpaFailure('unreachable', 'OPA gave no whole answer', { cause: thrown });
    }
    // Nothing is followed elsewhere: what is asked holds arguments, and where it goes is the operator's to say.
    if (answer.status !== OK) throw new OpaFailure('answer', `OPA answered with the status ${answer.status}`);
    return answer.text;
  }
}

function resultOf(text: string): unknown {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new OpaFailure('answer', 'OPA answered with something else than JSON');
  }
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer))
    throw new OpaFailure('answer', 'OPA answered with no object');
  return (answer as { result?: unknown }).result;
}
