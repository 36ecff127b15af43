import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { scanMessage } from '../../protocol/scan.js';
import { ParkedCall, type Standing } from './parked-call.js';

/** Longer than the quiet window. */
const QUIET_OVER_MS = 50;

class Upstream {
  readonly posted: { id?: unknown; result?: unknown; error?: { code: number } }[] = [];
  abortCount = 0;
  patientCount = 0;
  readonly call: ParkedCall;

  constructor(capabilities: readonly string[] = ['elicitation', 'sampling', 'roots']) {
    this.call = new ParkedCall(
      {
        post: (text) => this.posted.push(JSON.parse(text)),
        abort: () => this.abortCount++,
        patient: () => this.patientCount++,
      },
      new Set(capabilities),
    );
  }

  says(message: object): void {
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
    this.call.message(bytes, scanMessage(bytes));
  }

  asks(id: number | string, method = 'elicitation/create', params: object = { message: 'who?' }): void {
    this.says({ id, method, params });
  }

  answers(): void {
    this.says({ id: 1, result: { content: [] } });
  }
}

const ACCEPT = { action: 'accept', content: { name: 'octocat' } };

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

async function afterQuiet(standing: Promise<Standing>): Promise<Standing> {
  await vi.advanceTimersByTimeAsync(QUIET_OVER_MS);
  return standing;
}

function keysOf(standing: Standing): string[] {
  return standing.kind === 'asks' ? Object.keys(standing.inputRequests) : [];
}

describe('a parked call', () => {
  it('ends with the response when the upstream asks nothing', async () => {
    const upstream = new Upstream();
    const standing = upstream.call.stand(() => undefined);
    upstream.answers();
    expect((await standing).kind).toBe('ended');
  });

  it('makes one round of what is asked within the quiet window, and another of what comes later', async () => {
    const upstream = new Upstream();
    const first = upstream.call.stand(() => undefined);
    upstream.asks(7);
    upstream.asks('8', 'sampling/createMessage', { messages: [], maxTokens: 1 });
    const round = await afterQuiet(first);
    expect(keysOf(round)).toEqual(['elicitation-1', 'sampling-2']);
    const second = upstream.call.stand(() => undefined);
    upstream.call.answer({
      'elicitation-1': ACCEPT,
      'sampling-2': { role: 'assistant', content: {}, model: 'm' },
    });
    expect(upstream.posted).toEqual([
      { jsonrpc: '2.0', id: 7, result: ACCEPT },
      { jsonrpc: '2.0', id: '8', result: { role: 'assistant', content: {}, model: 'm' } },
    ]);
    upstream.asks(9, 'roots/list', {});
    expect(keysOf(await afterQuiet(second))).toEqual(['roots-3']);
    expect(upstream.patientCount).toBe(3);
  });

  it('asks again for what was not answered', async () => {
    const upstream = new Upstream();
    const first = upstream.call.stand(() => undefined);
    upstream.asks(1);
    upstream.asks(2);
    await afterQuiet(first);
    upstream.call.answer({ 'elicitation-2': ACCEPT, 'elicitation-99': ACCEPT });
    const second = upstream.call.stand(() => undefined);
    expect(keysOf(await afterQuiet(second))).toEqual(['elicitation-1']);
  });

  it('gives nothing on when one answer has the wrong shape', async () => {
    const upstream = new Upstream();
    const first = upstream.call.stand(() => undefined);
    upstream.asks(1);
    upstream.asks(2);
    await afterQuiet(first);
    expect(() => upstream.call.answer({ 'elicitation-1': ACCEPT, 'elicitation-2': 42 })).toThrow(
      /elicitation-2/,
    );
    expect(upstream.posted).toEqual([]);
  });

  it('refuses what the client did not declare, and what nobody knows', () => {
    const upstream = new Upstream(['roots']);
    upstream.asks(1);
    upstream.asks(2, 'shell/run');
    upstream.asks(3, 'ping', {});
    expect(upstream.posted.map(({ id, error }) => [id, error?.code])).toEqual([
      [1, ErrorCode.MethodNotFound],
      [2, ErrorCode.MethodNotFound],
      [3, undefined],
    ]);
  });

  it('keeps what is notified while nobody listens, and tells it in order under the retry', async () => {
    const upstream = new Upstream();
    const first = upstream.call.stand(() => undefined);
    upstream.asks(1);
    await afterQuiet(first);
    for (const progress of [1, 2, 3])
      upstream.says({ method: 'notifications/progress', params: { progressToken: 1, progress } });
    const heard: number[] = [];
    void upstream.call.stand((bytes) => heard.push(JSON.parse(bytes.toString()).params.progress));
    upstream.says({ method: 'notifications/progress', params: { progressToken: 1, progress: 4 } });
    expect(heard).toEqual([1, 2, 3, 4]);
  });

  it('takes back what the upstream does not want to know any more', async () => {
    const upstream = new Upstream();
    const first = upstream.call.stand(() => undefined);
    upstream.asks(1);
    upstream.asks(2);
    upstream.says({ method: 'notifications/cancelled', params: { requestId: 1 } });
    expect(keysOf(await afterQuiet(first))).toEqual(['elicitation-2']);
  });

  it('leaves out of an ask what only the legacy era knows', async () => {
    const upstream = new Upstream();
    const first = upstream.call.stand(() => undefined);
    upstream.asks(1, 'elicitation/create', {
      mode: 'url',
      url: 'https://a',
      elicitationId: 'x',
      _meta: { progressToken: 5, own: 1 },
    });
    const round = await afterQuiet(first);
    expect(round.kind === 'asks' && round.inputRequests['elicitation-1']).toEqual({
      method: 'elicitation/create',
      params: { mode: 'url', url: 'https://a', _meta: { own: 1 } },
    });
  });
});

describe('any interleaving of upstream, client and deadline', () => {
  const step = fc.constantFrom('ask', 'quiet', 'retry', 'answer', 'notify', 'cancelAsk', 'end', 'fail');

  it('ends every request of the client exactly once, and the call at most once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const upstream = new Upstream();
        let begun = 0;
        let settled = 0;
        let open: string[] | undefined;
        let waiting = false;
        let id = 0;
        const stand = () => {
          begun++;
          waiting = true;
          const over = () => {
            settled++;
            waiting = false;
          };
          upstream.call
            .stand(() => undefined)
            .then((standing) => {
              over();
              open = keysOf(standing);
            }, over);
        };
        stand();
        for (const each of steps) {
          if (each === 'ask') upstream.asks(++id);
          else if (each === 'quiet') await vi.advanceTimersByTimeAsync(QUIET_OVER_MS);
          else if (each === 'notify')
            upstream.says({ method: 'notifications/message', params: { level: 'info', data: 1 } });
          else if (each === 'cancelAsk')
            upstream.says({ method: 'notifications/cancelled', params: { requestId: id } });
          else if (each === 'answer') upstream.answers();
          else if (each === 'end') upstream.call.end(new RpcError(ErrorCode.UpstreamUnavailable, 'over'));
          else if (each === 'fail') upstream.call.failed(new RpcError(ErrorCode.UpstreamLost, 'lost'));
          else if (!waiting) {
            upstream.call.answer(Object.fromEntries((open ?? []).map((key) => [key, ACCEPT])));
            stand();
          }
          await vi.advanceTimersByTimeAsync(0);
          expect(begun - settled).toBe(waiting ? 1 : 0);
        }
        upstream.answers();
        await vi.advanceTimersByTimeAsync(QUIET_OVER_MS);
        expect(settled).toBe(begun);
        expect(upstream.call.ended).toBe(true);
        expect(upstream.abortCount).toBeLessThanOrEqual(1);
        // Each ask is answered or refused at most once.
        const ids = upstream.posted.map((message) => message.id);
        expect(new Set(ids).size).toBe(ids.length);
      }),
      { numRuns: 300 },
    );
  });
});
