import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { scanMessage } from '../../protocol/scan.js';
import { Holding, ParkedAccount } from './parked-account.js';
import { HOLD_OPEN_MS, ParkedCall, type Standing } from './parked-call.js';
import { UNLIMITED } from './scripted-parking.js';

/** Longer than the quiet window. */
const QUIET_OVER_MS = 50;

class Upstream {
  readonly posted: { id?: unknown; result?: unknown; error?: { code: number } }[] = [];
  abortCount = 0;
  patient = false;
  overCount = 0;
  refusal: RpcError | undefined;
  readonly account: ParkedAccount;
  readonly call: ParkedCall;

  constructor(capabilities: readonly string[] = ['elicitation', 'sampling', 'roots'], limits = UNLIMITED) {
    this.account = new ParkedAccount(limits);
    this.call = new ParkedCall(
      {
        post: (text) => this.posted.push(JSON.parse(text)),
        abort: () => this.abortCount++,
        patient: (waits) => {
          this.patient = waits;
        },
        park: () => this.refusal,
        over: () => this.overCount++,
        holding: new Holding(this.account, 'anonymous'),
      },
      Object.fromEntries(
        capabilities.map((name) => [name, name === 'elicitation' ? { form: {}, url: {} } : {}]),
      ),
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
    expect(upstream.patient).toBe(true);
  });

  it('lets the upstream be silent while it asks, and not afterwards', async () => {
    const upstream = new Upstream();
    const first = upstream.call.stand(() => undefined);
    upstream.asks(1);
    upstream.asks(2);
    await afterQuiet(first);
    expect(upstream.patient).toBe(true);
    upstream.call.answer({ 'elicitation-1': ACCEPT });
    expect(upstream.patient).toBe(true);
    upstream.says({ method: 'notifications/cancelled', params: { requestId: 2 } });
    expect(upstream.patient).toBe(false);
  });

  it('holds the time limit of the upstream open with progress, where it gave a token', async () => {
    const upstream = new Upstream();
    const first = upstream.call.stand(() => undefined);
    upstream.asks(1, 'elicitation/create', { message: 'who?', _meta: { progressToken: 'a' } });
    upstream.asks(2);
    await afterQuiet(first);
    await vi.advanceTimersByTimeAsync(2 * HOLD_OPEN_MS);
    const progress = (count: number) => ({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 'a', progress: count },
    });
    expect(upstream.posted).toEqual([progress(1), progress(2)]);
    upstream.call.answer({ 'elicitation-1': ACCEPT });
    await vi.advanceTimersByTimeAsync(2 * HOLD_OPEN_MS);
    expect(upstream.posted.slice(2)).toEqual([{ jsonrpc: '2.0', id: 1, result: ACCEPT }]);
  });

  it('refuses to the upstream what it answered the call without', () => {
    const upstream = new Upstream();
    void upstream.call.stand(() => undefined);
    upstream.asks(1);
    upstream.answers();
    expect(upstream.posted.map(({ id, error }) => [id, error?.code])).toEqual([
      [1, ErrorCode.InvalidRequest],
    ]);
    expect(upstream.account.heldBytes).toBe(0);
  });

  it('ends, and the upstream is told, when it may not wait', async () => {
    const upstream = new Upstream();
    upstream.refusal = new RpcError(ErrorCode.Overloaded, 'too many');
    const first = upstream.call.stand(() => undefined);
    first.catch(() => undefined);
    upstream.asks(1);
    await vi.advanceTimersByTimeAsync(QUIET_OVER_MS);
    await expect(first).rejects.toThrow('too many');
    expect(upstream.abortCount).toBe(1);
  });

  describe('whose bytes are limited', () => {
    const LIMITS = { ...UNLIMITED, maxParkedBytes: 3_000 };
    const log = (data: string) => ({ method: 'notifications/message', params: { level: 'info', data } });

    async function parked(): Promise<Upstream> {
      const upstream = new Upstream(undefined, LIMITS);
      const first = upstream.call.stand(() => undefined);
      upstream.asks(1);
      await afterQuiet(first);
      return upstream;
    }

    it('lets go of the oldest notifications first', async () => {
      const upstream = await parked();
      for (let i = 0; i < 10; i++) upstream.says(log(`${i} ${'x'.repeat(800)}`));
      expect(upstream.account.heldBytes).toBeLessThanOrEqual(LIMITS.maxParkedBytes);
      const heard: string[] = [];
      void upstream.call.stand((bytes) => heard.push(JSON.parse(bytes.toString()).params.data[0]));
      expect(heard).toEqual(['7', '8', '9']);
    });

    it('ends when it asks more than can be kept', async () => {
      const upstream = await parked();
      upstream.asks(2, 'elicitation/create', { message: 'x'.repeat(4_000) });
      await expect(upstream.call.stand(() => undefined)).rejects.toThrow('gateway.sessions.max_parked_bytes');
      expect(upstream.abortCount).toBe(1);
    });

    it('says so when its outcome could not be kept', async () => {
      const upstream = await parked();
      upstream.says({ id: 1, result: { content: [{ type: 'text', text: 'x'.repeat(4_000) }] } });
      await expect(upstream.call.stand(() => undefined)).rejects.toThrow('gateway.sessions.max_parked_bytes');
      expect(upstream.abortCount).toBe(0);
    });
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

  it('goes on when all that was asked is taken back while its client thinks', async () => {
    const upstream = new Upstream();
    const first = upstream.call.stand(() => undefined);
    upstream.asks(1);
    expect(keysOf(await afterQuiet(first))).toEqual(['elicitation-1']);
    upstream.says({ method: 'notifications/cancelled', params: { requestId: 1 } });
    expect(upstream.patient).toBe(false);
    upstream.call.answer({ 'elicitation-1': ACCEPT });
    const second = upstream.call.stand(() => undefined);
    await vi.advanceTimersByTimeAsync(QUIET_OVER_MS);
    expect([upstream.call.ended, upstream.abortCount, upstream.posted]).toEqual([false, 0, []]);
    upstream.answers();
    expect((await second).kind).toBe('ended');
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
        expect(upstream.overCount).toBe(1);
        // Each ask is answered or refused at most once.
        const ids = upstream.posted.map((message) => message.id);
        expect(new Set(ids).size).toBe(ids.length);
      }),
      { numRuns: 300 },
    );
  });
});
