import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Caller } from '../../exchange/exchange.js';
import { createSealer } from '../../sessions/seal.js';
import type { UpstreamCall, UpstreamReply } from '../call.js';
import { ownCall } from '../own-request.js';
import { ScriptedChannel, WELCOME } from '../scripted-channel.js';
import { ParkedAccount } from './parked-account.js';
import { ParkedCalls, ParkedElsewhere } from './parked-calls.js';
import { UNLIMITED } from './scripted-account.js';

const sealer = createSealer({ current: Buffer.alloc(32, 7), previous: [] });
const CALLER: Caller = {
  era: 'modern',
  revision: '2026-07-28',
  principal: 'anonymous',
  capabilities: '{"elicitation":{}}',
  clientInfo: undefined,
  logLevel: undefined,
};
/** More than the quiet window after an ask. */
const QUIET_MS = 30;

let channels: ScriptedChannel[];
let calls: ParkedCalls;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  channels = [];
  calls = upstream();
});
afterEach(() => {
  calls.close();
  vi.useRealTimers();
});

function upstream(upstreamId = 'id', worker = 'n.0'): ParkedCalls {
  return new ParkedCalls({
    upstreamId,
    upstreamName: 'up',
    sealer,
    worker,
    account: new ParkedAccount(UNLIMITED),
    tiesMessagesToRequests: true,
    openChannel: (events) => {
      const channel = new ScriptedChannel(events);
      channels.push(channel);
      return channel;
    },
  });
}

/** Lets promises run that wait for each other. */
async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

const channel = () => channels.at(-1) as ScriptedChannel;
const toolCall = (name = 'a', params: object = {}) => ownCall('tools/call', { name, ...params }, true);
const resultOf = ({ bytes }: UpstreamReply) => JSON.parse(bytes.toString()).result;

/** Sends a call, and shakes hands when the session is new. */
async function send(call: UpstreamCall, caller = CALLER): Promise<{ reply: Promise<UpstreamReply> }> {
  const reply = calls.run(call, caller);
  reply.catch(() => {});
  await turns();
  if (channel()?.requests.length === 1) {
    channel().last.answer(WELCOME);
    await turns();
  }
  return { reply };
}

/** A call in which the upstream has asked; resolves with the state that leads back to it. */
async function park(call = toolCall()): Promise<string> {
  const { reply } = await send(call);
  channel().last.send({ id: 'q', method: 'elicitation/create', params: { message: 'Who?' } });
  await vi.advanceTimersByTimeAsync(QUIET_MS);
  const { requestState, inputRequests } = resultOf(await reply);
  expect(Object.keys(inputRequests)).toEqual(['elicitation-1']);
  return requestState;
}

const answers = (action: string) => ({ 'elicitation-1': { action } });
const retry = (requestState: string, name = 'a', action = 'decline') =>
  toolCall(name, { requestState, inputResponses: answers(action) });

it('forgets at once what asked nothing: any number of calls may follow each other', async () => {
  for (let i = 0; i < 1_100; i++) {
    const { reply } = await send(toolCall());
    channel().last.answer({ result: { content: [] } });
    expect(resultOf(await reply)).toEqual({ content: [] });
  }
  expect(channels).toHaveLength(1);
});

describe('a state', () => {
  it('leads back to its call, once; the same retry again has the same outcome', async () => {
    const state = await park();
    const first = calls.run(retry(state), CALLER);
    const second = calls.run(retry(state), CALLER);
    await turns();
    channel()
      .requests.at(-1)
      ?.answer({ result: { content: [] } });
    expect(resultOf(await first)).toEqual({ content: [] });
    expect(resultOf(await second)).toEqual({ content: [] });
    await expect(calls.run(retry(state, 'a', 'accept'), CALLER)).rejects.toThrow('has been used already');
    expect(channel().posts.filter((text) => text.includes('decline'))).toHaveLength(1);
  });

  it.each([
    ['another tool', () => calls, 'b', CALLER],
    ['another principal', () => calls, 'a', { ...CALLER, principal: 'somebody else' }],
    ['another upstream', () => upstream('other'), 'a', CALLER],
  ])('leads nowhere for %s', async (_, where, name, caller) => {
    const state = await park();
    const elsewhere = where();
    await expect(elsewhere.run(retry(state, name), caller)).rejects.toThrow(
      'was given out for another request',
    );
    if (elsewhere !== calls) elsewhere.close();
  });

  it('says which worker has the call', async () => {
    const state = await park();
    const other = upstream('id', 'n.1');
    const error = await other.run(retry(state), CALLER).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ParkedElsewhere);
    expect((error as ParkedElsewhere).worker).toBe('n.0');
    other.close();
  });
});

describe('the session of a parked call', () => {
  it('is closed when nobody came back', async () => {
    await park();
    const request = channel().last;
    await vi.advanceTimersByTimeAsync(UNLIMITED.parkedCallLifetimeMs + 6_000);
    expect(request.aborted).toBe(true);
    expect(channel().closed).toBe(false);
    await vi.advanceTimersByTimeAsync(5 * 60_000 + 6_000);
    expect(channel().closed).toBe(true);
  });

  it('is closed as well when the upstream ended the call before anybody came back', async () => {
    await park();
    channel().last.answer({ result: { content: [] } });
    await vi.advanceTimersByTimeAsync(UNLIMITED.parkedCallLifetimeMs + 5 * 60_000 + 12_000);
    expect(channel().closed).toBe(true);
  });

  it('serves clients with the same capabilities only', async () => {
    await send(toolCall());
    await send(toolCall(), { ...CALLER, capabilities: '{"elicitation":{},"sampling":{}}' });
    await send(toolCall(), { ...CALLER, principal: 'somebody else' });
    await send(toolCall());
    expect(channels).toHaveLength(3);
  });
});

it('keeps no more notifications for an absent client than so many bytes', async () => {
  const state = await park();
  for (let i = 0; i < 100; i++)
    channel().last.send({ method: 'notifications/message', params: { data: `${i} ${'x'.repeat(100_000)}` } });
  const heard: string[] = [];
  const call = retry(state);
  const again = calls.run(
    {
      ...call,
      onNotification: (bytes) => heard.push(JSON.parse(bytes.toString()).params.data.split(' ')[0]),
    },
    CALLER,
  );
  await turns();
  channel().last.answer({ result: {} });
  await again;
  expect(heard).toEqual(['90', '91', '92', '93', '94', '95', '96', '97', '98', '99']);
});
