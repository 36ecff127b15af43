import { beforeEach, describe, expect, it } from 'vitest';
import { scanMessage } from '../protocol/scan.js';
import type { UpstreamCall } from './call.js';
import { Multiplexer } from './multiplexer.js';
import { ownCall } from './own-request.js';
import { ScriptedChannel } from './scripted-channel.js';

let channel: ScriptedChannel;
let multiplexer: Multiplexer;

beforeEach(() => {
  channel = new ScriptedChannel({ message() {}, lost() {}, gap() {} });
  multiplexer = new Multiplexer(channel);
});

function call(method: string, params: object = {}, id: unknown = 1) {
  const heard: Record<string, unknown>[] = [];
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
  const made: UpstreamCall = {
    ...ownCall(method, {}, false, (message) => heard.push(JSON.parse(message.toString()))),
    bytes,
    envelope: scanMessage(bytes),
  };
  const reply = multiplexer.call(made).then(
    ({ bytes: answer }) => JSON.parse(answer.toString()),
    (thrown: Error) => thrown.message,
  );
  return { reply, heard, cancellation: made.cancellation, request: channel.last };
}

/** What comes over the pipe outside of any request's own stream. */
function deliver(message: object): boolean {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
  return multiplexer.deliver(bytes, scanMessage(bytes));
}

const log = { method: 'notifications/message', params: { level: 'info', data: 'x' } };
const progress = (progressToken: unknown) => ({
  method: 'notifications/progress',
  params: { progressToken, progress: 1 },
});

it('tells callers with the same id and token apart', async () => {
  const one = call('tools/call', { _meta: { progressToken: 't' } }, 'same');
  const two = call('tools/call', { _meta: { progressToken: 't' } }, 'same');
  const [idOne, idTwo] = channel.requests.map(({ message }) => message.id);
  expect(idOne).not.toBe(idTwo);
  deliver(progress(idTwo));
  expect([one.heard, two.heard.map(({ params }) => params)]).toEqual([
    [],
    [{ progressToken: 't', progress: 1 }],
  ]);
  two.request.answer({ result: { of: 'two' } });
  one.request.answer({ result: { of: 'one' } });
  expect(await one.reply).toMatchObject({ id: 'same', result: { of: 'one' } });
  expect(await two.reply).toMatchObject({ id: 'same', result: { of: 'two' } });
});

describe('a log message, which names no request', () => {
  it('belongs to the only call, whatever subscriptions there are', () => {
    const subscription = call('subscriptions/listen');
    const only = call('tools/call');
    expect(deliver(log)).toBe(true);
    expect([subscription.heard.length, only.heard.length]).toEqual([0, 1]);
  });

  it('belongs to nobody when there are two', () => {
    const calls = [call('tools/call'), call('tools/call')];
    expect(deliver(log)).toBe(true);
    expect(calls.map(({ heard }) => heard.length)).toEqual([0, 0]);
  });
});

it('leaves what belongs to no call to its owner', () => {
  call('tools/call');
  expect(deliver({ method: 'notifications/tools/list_changed' })).toBe(false);
});

it('is patient with subscriptions only', () => {
  call('subscriptions/listen');
  call('tools/call');
  expect(channel.requests.map(({ patient }) => patient)).toEqual([true, false]);
});

it('hands on no progress to who did not ask for it', () => {
  const { heard, request } = call('tools/call');
  request.send(progress(1));
  expect(heard).toEqual([]);
});

it('answers what the upstream asks on a call’s stream, so that the call goes on', () => {
  const { request } = call('tools/call');
  request.send({ id: 'a', method: 'ping' });
  request.send({ id: 7, method: 'sampling/createMessage', params: {} });
  expect(channel.posts.map((text) => JSON.parse(text))).toEqual([
    { jsonrpc: '2.0', id: 'a', result: {} },
    { jsonrpc: '2.0', id: 7, error: { code: -32601, message: expect.stringContaining('shared by many') } },
  ]);
});

it('aborts what was cancelled, and hears nothing of it any more', async () => {
  const { reply, heard, cancellation, request } = call('tools/call', { _meta: { progressToken: 1 } });
  cancellation.cancel();
  expect(request.aborted).toBe(true);
  expect(await reply).toContain('cancelled');
  request.send(log);
  deliver(progress(request.message.id));
  request.answer({ result: {} });
  expect(heard).toEqual([]);
});
