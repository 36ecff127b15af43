import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Cancellation } from '../../exchange/exchange.js';
import { scanMessage } from '../../protocol/scan.js';
import type { UpstreamCall, UpstreamReply } from '../call.js';
import { ownCall } from '../own-request.js';
import { SESSION_IDLE_MS } from './asking-sessions.js';
import { CALLER, type GreetingChannel, ScriptedParking, turns } from './scripted-parking.js';

/* Calls over a transport that does not say with which request a message came. */

const QUIET_MS = 30;
let parking: ScriptedParking;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  parking = new ScriptedParking({ tiesMessagesToRequests: false });
});
afterEach(() => {
  parking.calls.close();
  vi.useRealTimers();
});

const toolCall = (name: string, params: object = {}): UpstreamCall =>
  ownCall('tools/call', { name, ...params }, true);
const resultOf = ({ bytes }: UpstreamReply) => JSON.parse(bytes.toString()).result;
const ANSWER = { result: { content: [] } };
const asks = (channel: GreetingChannel, message: string) =>
  channel.say({ id: `q ${message}`, method: 'elicitation/create', params: { message } });

async function send(call: UpstreamCall, caller = CALLER) {
  const reply = parking.calls.run(call, caller);
  reply.catch(() => {});
  await turns();
  return { reply, channel: parking.channel };
}

/** A call that is over. */
async function through(name: string): Promise<GreetingChannel> {
  const { reply } = await send(toolCall(name));
  const channel = parking.openChannels.find(({ last }) => last?.message.params.name === name);
  channel?.last.answer(ANSWER);
  await reply;
  return channel as GreetingChannel;
}

describe('each call has a connection to itself', () => {
  it('so that what is asked on it is asked by that call', async () => {
    const one = await send(toolCall('one'));
    const two = await send(toolCall('two'));
    expect(one.channel).not.toBe(two.channel);
    asks(one.channel, 'of one');
    asks(two.channel, 'of two');
    await vi.advanceTimersByTimeAsync(QUIET_MS);
    const [first, second] = [resultOf(await one.reply), resultOf(await two.reply)];
    expect(first.inputRequests['elicitation-1'].params.message).toBe('of one');
    expect(second.inputRequests['elicitation-1'].params.message).toBe('of two');
    const inputResponses = { 'elicitation-1': { action: 'accept', content: {} } };
    const retry = await send(toolCall('two', { requestState: second.requestState, inputResponses }));
    expect(two.channel.posts).toContainEqual(expect.stringContaining('"id":"q of two","result"'));
    expect(one.channel.posts).not.toContainEqual(expect.stringContaining('"result"'));
    two.channel.last.answer(ANSWER);
    expect(resultOf(await retry.reply)).toEqual({ content: [] });
  });

  it('which the next call of the same client finds again', async () => {
    const first = await through('one');
    expect(await through('two')).toBe(first);
    const stranger = await send(toolCall('three'), { ...CALLER, principal: 'somebody else' });
    expect(stranger.channel).not.toBe(first);
  });

  it('and not one that still waits for its client', async () => {
    const { channel } = await send(toolCall('one'));
    asks(channel, 'who?');
    await vi.advanceTimersByTimeAsync(QUIET_MS);
    expect(await through('two')).not.toBe(channel);
  });

  it.each([
    ['was cancelled', (_: GreetingChannel, cancellation: Cancellation) => cancellation.cancel()],
    ['took too long', (channel: GreetingChannel) => channel.last.fail()],
    ['broke', (channel: GreetingChannel) => channel.break()],
  ])('and none on which one %s: its server may still speak of it', async (_, end) => {
    const cancellation = new Cancellation();
    const { reply, channel } = await send({ ...toolCall('one'), cancellation });
    end(channel, cancellation);
    await expect(reply).rejects.toThrow();
    expect(channel.closed).toBe(true);
    expect(await through('two')).not.toBe(channel);
  });
});

it('refuses what is asked when no call runs', async () => {
  const channel = await through('one');
  asks(channel, 'who?');
  channel.say({ id: 'p', method: 'ping' });
  expect(channel.posts.slice(1).map((text) => JSON.parse(text))).toMatchObject([
    { id: 'q who?', error: { message: expect.stringContaining('outside of any call') } },
    { id: 'p', result: {} },
  ]);
});

it('gives a call its own progress and its log, and nothing that was meant for others', async () => {
  await through('one');
  const heard: string[] = [];
  const { reply, channel } = await send({
    ...toolCall('two', {}),
    ...withToken('mine'),
    onNotification: (bytes) => heard.push(bytes.toString()),
  });
  const token = (channel.last.message.params._meta as { progressToken: unknown }).progressToken;
  channel.say({ method: 'notifications/progress', params: { progressToken: token, progress: 1 } });
  channel.say({ method: 'notifications/progress', params: { progressToken: 1, progress: 9 } });
  channel.say({ method: 'notifications/message', params: { level: 'info', data: 'log' } });
  channel.say({ method: 'notifications/tools/list_changed' });
  channel.last.answer(ANSWER);
  await reply;
  expect(heard.map((text) => JSON.parse(text).params)).toEqual([
    { progressToken: 'mine', progress: 1 },
    { level: 'info', data: 'log' },
  ]);
});

function withToken(progressToken: string): Pick<UpstreamCall, 'bytes' | 'envelope'> {
  const { bytes } = toolCall('two');
  const message = JSON.parse(bytes.toString());
  message.params._meta.progressToken = progressToken;
  const own = Buffer.from(JSON.stringify(message));
  return { bytes: own, envelope: scanMessage(own) };
}

describe('a connection that no call uses', () => {
  it('is closed after a while', async () => {
    const channel = await through('one');
    await vi.advanceTimersByTimeAsync(SESSION_IDLE_MS - 10_000);
    expect(channel.closed).toBe(false);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(channel.closed).toBe(true);
  });

  it('is not used again when it broke meanwhile', async () => {
    const channel = await through('one');
    channel.break();
    expect(await through('two')).not.toBe(channel);
  });

  it('makes room for another', async () => {
    parking.maxChannelCount = 2;
    const idle = await through('one');
    await send(toolCall('two'), { ...CALLER, principal: 'a' });
    await send(toolCall('three'), { ...CALLER, principal: 'b' });
    expect(idle.closed).toBe(true);
    const { reply } = await send(toolCall('four'), { ...CALLER, principal: 'c' });
    await expect(reply).rejects.toThrow('no connection is left');
    expect(parking.openChannels).toHaveLength(2);
  });
});

describe('lists', () => {
  const list = () => parking.calls.run(ownCall('tools/list', {}, true), CALLER);
  const TOOLS = { result: { tools: [] } };

  it.each([true, false])('share one connection, apart from a call that may ask (ties: %s)', async (ties) => {
    parking.calls.close();
    parking = new ScriptedParking({ tiesMessagesToRequests: ties });
    const { reply, channel } = await send(toolCall('one'));
    const replies = [list(), list()];
    await turns();
    expect(parking.openChannels).toHaveLength(2);
    const other = parking.openChannels.find((each) => each !== channel);
    expect(other?.requests.map(({ message }) => message.method)).toEqual(['tools/list', 'tools/list']);
    for (const request of other?.requests ?? []) request.answer(TOOLS);
    for (const each of replies) expect(resultOf(await each)).toEqual(TOOLS.result);
    channel.last.answer(ANSWER);
    await reply;
  });

  it('may not be answered by a question', async () => {
    const reply = list();
    await turns();
    asks(parking.channel, 'Who?');
    expect(JSON.parse(parking.channel.posts.at(-1) as string).error.message).toBe(
      'elicitation/create may be asked during tools/call, prompts/get and resources/read only',
    );
    parking.channel.last.answer(TOOLS);
    expect(resultOf(await reply)).toEqual(TOOLS.result);
  });

  it('that changed are told of', async () => {
    const reply = list();
    await turns();
    parking.channel.last.answer(TOOLS);
    await reply;
    const changeCount = parking.offerChanges.length;
    parking.channel.say({ method: 'notifications/tools/list_changed' });
    expect(parking.offerChanges.slice(changeCount)).toEqual([[CALLER.principal, 'tools']]);
  });

  it('one that is given up leaves the connection to the others, and to nobody after them', async () => {
    const cancellation = new Cancellation();
    const given = parking.calls.run(ownCall('tools/list', {}, true, undefined, cancellation), CALLER);
    const kept = list();
    await turns();
    const { channel } = parking;
    cancellation.cancel();
    await expect(given).rejects.toThrow('cancelled');
    expect(channel.closed).toBe(false);
    channel.requests.at(-1)?.answer(TOOLS);
    expect(resultOf(await kept)).toEqual(TOOLS.result);
    expect(channel.closed).toBe(true);
  });
});

describe('where the transport ties messages to requests', () => {
  beforeEach(() => {
    parking.calls.close();
    parking = new ScriptedParking({ tiesMessagesToRequests: true });
  });

  const refusals = () =>
    parking.channel.posts
      .map((text) => JSON.parse(text))
      .filter(({ error }) => error !== undefined)
      .map(({ id, error }) => `${id}: ${error.message}`);

  it('what is asked outside of requests is asked by the only call', async () => {
    const { reply, channel } = await send(toolCall('one'));
    expect(channel.listenCount).toBe(1);
    asks(channel, 'who?');
    await vi.advanceTimersByTimeAsync(QUIET_MS);
    expect(resultOf(await reply).inputRequests['elicitation-1'].params.message).toBe('who?');
  });

  it('and refused when it could be asked by another', async () => {
    await send(toolCall('one'));
    const { channel } = await send(toolCall('two'));
    asks(channel, 'who?');
    expect(refusals()).toEqual([expect.stringContaining('nobody can tell which one asks')]);
  });

  it('and refused when it could be asked for a call that was given up', async () => {
    const cancellation = new Cancellation();
    const { channel } = await send({ ...toolCall('one'), cancellation });
    cancellation.cancel();
    await send(toolCall('two'));
    asks(channel, 'who?');
    expect(refusals()).toEqual([expect.stringContaining('were given up')]);
    channel.last.send({ id: 'own', method: 'elicitation/create', params: { message: 'mine' } });
    expect(refusals()).toHaveLength(1);
  });

  it('and taken back wherever it was asked', async () => {
    const { channel } = await send(toolCall('one'));
    const two = await send(toolCall('two'));
    channel.last.send({ id: 'q', method: 'elicitation/create', params: { message: 'who?' } });
    channel.last.send({ id: 'r', method: 'elicitation/create', params: { message: 'why?' } });
    channel.say({ method: 'notifications/cancelled', params: { requestId: 'q' } });
    await vi.advanceTimersByTimeAsync(QUIET_MS);
    expect(Object.keys(resultOf(await two.reply).inputRequests)).toEqual(['elicitation-2']);
  });
});
