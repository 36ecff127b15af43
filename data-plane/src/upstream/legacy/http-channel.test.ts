import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { event, ScriptedHttpClient } from '../scripted-http-client.js';
import { HttpFailure } from '../transport/http.js';
import { LegacyHttpChannel } from './http-channel.js';

let client: ScriptedHttpClient;
let told: string[];
let channel: LegacyHttpChannel;

beforeEach(() => {
  vi.useFakeTimers();
  client = new ScriptedHttpClient();
  told = [];
  channel = new LegacyHttpChannel(
    { name: 'up', client, path: '/mcp', headerLines: '', timeoutMs: 1_000, maxMessageBytes: 10_000 },
    {
      message: (_, { method }) => told.push(method),
      lost: (reason) => told.push(`lost: ${reason}`),
      gap: () => told.push('gap'),
    },
  );
});
afterEach(() => vi.useRealTimers());

function request(id: string): { outcome: string[]; abort(): void } {
  const outcome: string[] = [];
  const text = `{"jsonrpc":"2.0","id":${id},"method":"tools/call"}`;
  const { abort } = channel.request(text, id, undefined, {
    message: (bytes, { kind, start, end }) => outcome.push(`${kind} ${bytes.latin1Slice(start, end)}`),
    failed: ({ message }) => outcome.push(`failed: ${message}`),
  });
  return { outcome, abort };
}

const result = (id: unknown) => ({ jsonrpc: '2.0', id, result: {} });

/** The handshake, in which the server names a session. */
function openSession(sessionId = 'session-1'): void {
  const text = '{"jsonrpc":"2.0","id":0,"method":"initialize"}';
  channel.request(text, '0', undefined, { message() {}, failed() {} });
  client.last.json(result(0), 200, { 'mcp-session-id': sessionId });
  channel.established('2025-11-25');
}

it('settles what is under way when it is closed', () => {
  openSession();
  const { outcome } = request('1');
  const posted = client.last;
  const waiting = request('2');
  client.last.stream('id: 5\ndata:\n\n');
  client.last.end();
  void channel.close();
  expect(outcome).toEqual([expect.stringContaining('was closed before it answered')]);
  expect(posted.aborted).toBe(true);
  expect(waiting.outcome).toEqual([expect.stringContaining('was closed before it answered')]);
  expect(client.last.request.method).toBe('DELETE');
  const count = client.calls.length;
  vi.runAllTimers();
  expect(client.calls).toHaveLength(count);
});

it('ends the session that it hears of only after it was closed', () => {
  channel.request('{"jsonrpc":"2.0","id":0,"method":"initialize"}', '0', undefined, {
    message: () => told.push('message'),
    failed: () => told.push('failed'),
  });
  const handshake = client.last;
  void channel.close();
  expect(told).toEqual(['failed']);
  expect(handshake.aborted).toBe(false);
  handshake.json(result(0), 200, { 'mcp-session-id': 'late' });
  expect(client.last.request).toMatchObject({ method: 'DELETE' });
  expect(client.last.request.headerLines).toContain('mcp-session-id: late\r\n');
  expect(told).toEqual(['failed']);
});

it('takes an answer whose id is spelled in another way', () => {
  const { outcome } = request('"a\\/é"'.replace('é', '\\u00e9'));
  client.last.json(result('a/é'));
  expect(outcome).toEqual([expect.stringMatching(/^result/)]);
});

it('does not take the answer to another id', () => {
  const { outcome } = request('1');
  client.last.stream(event(result('1')));
  expect(outcome).toEqual([]);
  client.last.more(event(result(1)));
  expect(outcome).toHaveLength(1);
});

it.each(['bad\r\nx-evil: 1', 'spa ce', 'ü', ''])('does not keep the session id %j', (id) => {
  openSession(id);
  request('1');
  expect(client.last.request.headerLines).not.toContain('mcp-session-id');
});

it('resumes a request after the time that the server says, and not at once when it says 0', () => {
  request('1');
  client.last.stream('retry: 0\nid: 7\ndata:\n\n');
  client.last.end();
  const { length } = client.calls;
  vi.advanceTimersByTime(99);
  expect(client.calls).toHaveLength(length);
  vi.advanceTimersByTime(1);
  expect(client.calls).toHaveLength(length + 1);
  expect(client.last.request).toMatchObject({ method: 'GET' });
  expect(client.last.request.headerLines).toContain('last-event-id: 7\r\n');
});

it.each(['\u0007', 'ü', 'x'.repeat(1025)])('never sends the event id %j', (id) => {
  const { outcome } = request('1');
  client.last.stream(`id: ${id}\ndata:\n\n`);
  client.last.end();
  vi.runAllTimers();
  expect(client.calls).toHaveLength(1);
  expect(outcome).toEqual([expect.stringContaining('ended its answer without a response')]);
});

describe('a request whose stream broke, and whose server', () => {
  function broken(): string[] {
    openSession();
    const { outcome } = request('1');
    client.last.stream('id: 5\nretry: 100\ndata:\n\n');
    client.last.fail(new HttpFailure('reset', 'broken'));
    vi.advanceTimersByTime(100);
    expect(client.last.request.method).toBe('GET');
    return outcome;
  }

  it('is gone, may have run', () => {
    const outcome = broken();
    client.last.fail(new HttpFailure('connect', 'connection refused'));
    expect(outcome).toEqual([expect.stringContaining('the request may have run')]);
  });

  it.each([
    ['with a status', () => client.last.status(404)],
    [
      'with an error',
      () =>
        client.last.json(
          { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'No valid session' } },
          400,
        ),
    ],
  ])('has forgotten the session, %s, is not sent again', (_, answer) => {
    const outcome = broken();
    answer();
    expect(outcome).toEqual([expect.stringContaining('the request may have run')]);
    expect(told).toEqual([expect.stringContaining('lost: ')]);
  });

  it('refuses to resume it, may have run', () => {
    const outcome = broken();
    client.last.json({ jsonrpc: '2.0', id: null, error: { code: -32000, message: 'Not now' } }, 409);
    expect(outcome).toEqual([expect.stringContaining('the request may have run')]);
    expect(told).toEqual([]);
  });

  it('has too much to do to resume it, may have run', () => {
    const outcome = broken();
    client.last.status(503);
    expect(outcome).toEqual([expect.stringContaining('the request may have run')]);
  });
});

it('opens its GET stream again less and less often when the server ends it as soon as it is open', () => {
  openSession();
  channel.listen();
  const opened = () => client.calls.filter(({ request: { method } }) => method === 'GET').length;
  for (let i = 0; i < 5; i++) {
    expect(opened()).toBe(i + 1);
    client.last.stream('');
    client.last.end();
    vi.advanceTimersByTime(500 * 2 ** i - 1);
    expect(opened()).toBe(i + 1);
    vi.advanceTimersByTime(1);
  }
  // Every new stream says that something may have been missed; the first one had nothing before it.
  expect(told).toEqual(['gap', 'gap', 'gap', 'gap']);
});

it('opens a GET stream that can be resumed in the rhythm of the server, and misses nothing', () => {
  openSession();
  channel.listen();
  for (let i = 0; i < 5; i++) {
    client.last.stream(`retry: 300\nid: ${i}\ndata:\n\n`);
    client.last.end();
    const { length } = client.calls;
    vi.advanceTimersByTime(300);
    expect(client.calls).toHaveLength(length + 1);
    expect(client.last.request.headerLines).toContain(`last-event-id: ${i}\r\n`);
  }
  expect(told).toEqual([]);
});

it.each([
  [405, 0],
  [404, 0],
  [429, 1],
  [503, 1],
])('a GET stream refused with %i is tried %i time(s) more', (status, more) => {
  // Without a session a 404 is only a refusal.
  channel.listen();
  client.last.status(status);
  vi.advanceTimersByTime(500);
  expect(client.calls).toHaveLength(1 + more);
  void channel.close();
});

it('says once that the session is lost, and tells nobody that a request ran which did not', () => {
  openSession();
  const one = request('1');
  const two = request('2');
  client.last.status(404);
  client.calls.at(-2)?.status(404);
  expect(one.outcome).toEqual([expect.stringContaining('does not know the session')]);
  expect(two.outcome).toEqual([expect.stringContaining('does not know the session')]);
  expect(told).toEqual(['lost: the upstream does not know the session any more']);
});

it('says at the upstream that a request is cancelled, and hears nothing of it any more', () => {
  openSession();
  const sent = channel.request('{"jsonrpc":"2.0","id":"x","method":"tools/call"}', '"x"', undefined, {
    message: () => told.push('message'),
    failed: () => told.push('failed'),
  });
  const call = client.last;
  sent.abort();
  expect(call.aborted).toBe(true);
  expect(client.last.body).toMatchObject({ method: 'notifications/cancelled', params: { requestId: 'x' } });
  call.fail(new HttpFailure('reset', 'gone'));
  expect(told).toEqual([]);
});

it('says at the upstream that it has given up a request which took too long', () => {
  openSession();
  const { outcome } = request('7');
  expect(client.last.request.silenceTimeoutMs).toBe(1_000);
  client.last.fail(new HttpFailure('timeout', 'silent'));
  expect(outcome).toEqual([expect.stringContaining('did not answer in time')]);
  expect(client.last.body).toMatchObject({ method: 'notifications/cancelled', params: { requestId: 7 } });
});

it('never cancels a handshake', () => {
  const { outcome } = request('0');
  client.last.fail(new HttpFailure('timeout', 'silent'));
  expect(outcome).toHaveLength(1);
  expect(client.calls).toHaveLength(1);
});

it('waits for a stream that is taken up again as long as for one that is not', () => {
  openSession();
  const sent = channel.request('{"jsonrpc":"2.0","id":7,"method":"tools/call"}', '7', undefined, {
    message() {},
    failed() {},
  });
  const resume = () => {
    client.last.stream('id: 5\nretry: 100\ndata:\n\n');
    client.last.end();
    vi.advanceTimersByTime(100);
    return client.last;
  };
  expect(resume()).toMatchObject({ patient: false, request: { method: 'GET', silenceTimeoutMs: 1_000 } });
  sent.waitPatiently();
  expect(client.last.patient).toBe(true);
  expect(resume().patient).toBe(true);
  sent.waitPatiently(false);
  expect(client.last.patient).toBe(false);
  expect(resume().patient).toBe(false);
});

it('takes progress outside of requests for a sign of life of the one that it names', () => {
  openSession();
  const send = (id: string, token: string | undefined) => {
    const text = `{"jsonrpc":"2.0","id":${id},"method":"tools/call"}`;
    return [channel.request(text, id, token, { message() {}, failed() {} }), client.last] as const;
  };
  const calls = [send('1', '"a"'), send('2', '"b"'), send('3', undefined)].map(([, call]) => call);
  const [asked, asking] = send('4', '"a"');
  asked.waitPatiently();
  channel.listen();
  const counts = () => [...calls, asking].map(({ lifeCount }) => lifeCount);
  client.last.stream(
    event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'a', progress: 1 } }),
  );
  expect(counts()).toEqual([1, 0, 0, 0]);
  expect(asking.patient).toBe(true);
  expect(told).toEqual(['notifications/progress']);
});

it.each([
  ['opens it', () => client.last.stream('')],
  ['has none', () => client.last.status(405)],
  ['is away', () => client.last.fail(new HttpFailure('connect', 'away'))],
  ['is not needed any more', () => void channel.close()],
])('knows when the stream for what belongs to no request is answered: the server %s', async (_, answer) => {
  openSession();
  const listening = channel.listen();
  let answered = false;
  void listening?.then(() => {
    answered = true;
  });
  await Promise.resolve();
  expect(answered).toBe(false);
  answer();
  await listening;
});
