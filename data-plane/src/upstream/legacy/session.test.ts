import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EraMismatch } from '../call.js';
import { SessionLost } from '../channel.js';
import { ScriptedChannel, settled, WELCOME } from '../scripted-channel.js';
import { LegacySession } from './session.js';

let channels: ScriptedChannel[];
let told: string[];

beforeEach(() => {
  channels = [];
  told = [];
});

function makeSession(ownerSaysInitialized = false): LegacySession {
  return new LegacySession({
    name: 'up',
    hello: '{"protocolVersion":"2025-11-25","capabilities":{}}',
    ownerSaysInitialized,
    openChannel: (events) => {
      const channel = new ScriptedChannel(events);
      channels.push(channel);
      return channel;
    },
    events: {
      message: (_, { method }) => told.push(method),
      renewed: () => told.push('renewed'),
      gap: () => told.push('gap'),
      lost: (reason) => told.push(`lost: ${reason}`),
    },
  });
}

const channel = (index: number) => channels[index] as ScriptedChannel;

function send(session: LegacySession, id: string) {
  const outcome: string[] = [];
  const request = session.request(`{"jsonrpc":"2.0","id":${id},"method":"tools/call"}`, id, undefined, {
    message: (_, { kind }) => outcome.push(kind),
    failed: ({ message }) => outcome.push(`failed: ${message}`),
  });
  return { outcome, request };
}

async function opened(): Promise<LegacySession> {
  const session = makeSession();
  const open = session.open();
  channel(0).last.answer(WELCOME);
  await open;
  return session;
}

describe('the handshake', () => {
  it('is made once for all who wait for it', async () => {
    const session = makeSession();
    const both = Promise.all([session.open(), session.open()]);
    channel(0).last.answer(WELCOME);
    const [one, two] = await both;
    expect(one).toBe(two);
    expect(channels).toHaveLength(1);
    expect(channel(0).posts).toEqual(['{"jsonrpc":"2.0","method":"notifications/initialized"}']);
  });

  it('is broken off at once when the session is closed meanwhile', async () => {
    const session = makeSession();
    const open = session.open();
    await session.close();
    expect(channel(0).closed).toBe(true);
    await expect(open).rejects.toThrow('closed');
    await expect(session.open()).rejects.toThrow('the session has ended');
    expect(channels).toHaveLength(1);
  });

  it('does not survive a close that comes with its answer', async () => {
    const session = makeSession();
    const open = session.open();
    channel(0).last.answer(WELCOME);
    void session.close();
    await expect(open).rejects.toThrow('the session has ended');
    expect(channel(0).closed).toBe(true);
    expect(session.isOpen).toBe(false);
  });

  it('leaves no channel open when it is refused', async () => {
    const session = makeSession();
    const open = session.open();
    channel(0).last.answer({ error: { code: -32602, message: 'not like this' } });
    await expect(open).rejects.toBeInstanceOf(EraMismatch);
    expect(channel(0).closed).toBe(true);
  });

  it('says how the upstream ended in the middle of it', async () => {
    const session = makeSession();
    const open = session.open();
    channel(0).events.lost('node exited with code 3');
    channel(0).last.fail();
    await expect(open).rejects.toThrow('ended during the handshake: node exited with code 3');
    // Nobody had the session yet, so nobody lost it.
    expect(told).toEqual([]);
  });

  it('leaves the first `initialized` to whoever owns the session, and says it itself the second time', async () => {
    const session = makeSession(true);
    const open = session.open();
    channel(0).last.answer(WELCOME);
    await open;
    expect(channel(0).posts).toEqual([]);
    channel(0).events.lost('gone');
    void session.open();
    channel(1).last.answer(WELCOME);
    await settled();
    expect(channel(1).posts).toHaveLength(1);
    expect(told).toEqual(['lost: gone', 'renewed']);
  });
});

describe('a session that the upstream has forgotten', () => {
  it('is made anew once for all requests that noticed, which are sent again', async () => {
    const session = await opened();
    const one = send(session, '1');
    const two = send(session, '2');
    channel(0).events.lost('forgotten');
    const [, first, second] = channel(0).requests;
    first?.fail(new SessionLost('up'));
    second?.fail(new SessionLost('up'));
    expect(channels).toHaveLength(2);
    channel(1).last.answer(WELCOME);
    await settled();
    expect(channel(1).requests.map(({ message }) => message.id)).toEqual([
      expect.stringContaining('sluice-initialize'),
      1,
      2,
    ]);
    for (const request of channel(1).requests.slice(1)) request.answer({ result: {} });
    expect(one.outcome).toEqual(['result']);
    expect(two.outcome).toEqual(['result']);
  });

  it('is used by a request that noticed late', async () => {
    const session = await opened();
    const late = send(session, '1');
    channel(0).events.lost('forgotten');
    void session.open();
    channel(1).last.answer(WELCOME);
    await settled();
    channel(0).requests[1]?.fail(new SessionLost('up'));
    await settled();
    expect(channels).toHaveLength(2);
    channel(1).last.answer({ result: {} });
    expect(late.outcome).toEqual(['result']);
  });

  it('is not tried for ever', async () => {
    const session = await opened();
    const { outcome } = send(session, '1');
    channel(0).events.lost('forgotten');
    channel(0).last.fail(new SessionLost('up'));
    channel(1).last.answer(WELCOME);
    await settled();
    channel(1).events.lost('forgotten');
    channel(1).last.fail(new SessionLost('up'));
    await settled();
    expect(outcome).toEqual([expect.stringContaining('does not know the session')]);
    expect(channels).toHaveLength(2);
  });

  it('is not made anew for a request that was cancelled meanwhile', async () => {
    const session = await opened();
    const { request, outcome } = send(session, '1');
    channel(0).events.lost('forgotten');
    channel(0).last.fail(new SessionLost('up'));
    request.abort();
    channel(1).last.answer(WELCOME);
    await settled();
    expect(channel(1).requests).toHaveLength(1);
    expect(outcome).toEqual([]);
  });
});

it('listens again on the connection that takes the place of a lost one', async () => {
  const session = await opened();
  session.listen();
  channel(0).events.lost('gone');
  void session.open();
  channel(1).last.answer(WELCOME);
  await settled();
  expect(channel(1).listenCount).toBe(1);
});

describe('a session that listens from the beginning', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => vi.useRealTimers());

  /** One whose first request waits for the stream. */
  async function waiting() {
    const session = makeSession();
    session.listen();
    send(session, '1');
    let open: () => void = () => {};
    channel(0).stream = new Promise((resolve) => {
      open = resolve;
    });
    channel(0).last.answer(WELCOME);
    await settled();
    expect(channel(0).requests).toHaveLength(1);
    return open;
  }

  it('sends its first request when the stream is open, on which the server may ask at once', async () => {
    const open = await waiting();
    open();
    await settled();
    expect(channel(0).requests).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not wait for a server that says nothing until it has something to say', async () => {
    await waiting();
    await vi.runAllTimersAsync();
    expect(channel(0).requests).toHaveLength(2);
  });
});
