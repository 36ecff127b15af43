import { describe, expect, it } from 'vitest';
import { type Span, scanMessage } from '../protocol/scan.js';
import type { Message } from '../protocol/translate.js';
import { MAX_OPEN_ASK_COUNT, OpenAsks } from './open-asks.js';

function message(value: object): Message {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...value }));
  return { bytes, envelope: scanMessage(bytes) };
}

const ask = (id: unknown, progressToken?: unknown) =>
  message({
    id,
    method: 'elicitation/create',
    params: { message: 'Who?', ...(progressToken === undefined ? {} : { _meta: { progressToken } }) },
  });
const read = (text: string | undefined) =>
  text === undefined ? undefined : JSON.parse(Buffer.from(text, 'latin1').toString());
const json = (given: Message | undefined) =>
  given === undefined ? undefined : JSON.parse(given.bytes.toString());
const nobody = () => {
  throw new Error('nobody was to make room');
};
const progress = (token: unknown) =>
  message({ method: 'notifications/progress', params: { progressToken: token, progress: 1 } });

describe('one upstream with one client', () => {
  it('asks and is answered under its own id, byte for byte', () => {
    const asks = new OpenAsks(undefined);
    const asked = ask(0);
    expect(asks.open(asked, undefined, nobody)).toBe(asked);
    expect(asks.answer(message({ id: '0', result: {} }))).toBeUndefined();
    const answer = message({ id: 0, result: { action: 'decline' } });
    expect(asks.answer(answer)).toBe(answer.bytes.toString());
    expect(asks.answer(answer)).toBeUndefined();
  });

  it('hears of progress as the client says it', () => {
    const asks = new OpenAsks(undefined);
    asks.open(ask(5, 9), undefined, nobody);
    asks.open(ask(9, 5), undefined, nobody);
    expect(read(asks.progress(progress(9))).params.progressToken).toBe(9);
  });

  it('does not get an answer that was meant for the session before', () => {
    const asks = new OpenAsks(undefined);
    asks.open(ask(0), undefined, nobody);
    asks.renew();
    const again = json(asks.open(ask(0, 0), undefined, nobody));
    expect(again.id).not.toBe(0);
    expect(asks.answer(message({ id: 0, result: { action: 'accept' } }))).toBeUndefined();
    expect(read(asks.progress(progress(again.id))).params.progressToken).toBe(0);
    expect(read(asks.answer(message({ id: again.id, result: {} }))).id).toBe(0);
  });
});

describe('one of several upstreams of a client', () => {
  it('asks under an id and a token that no other upstream uses', () => {
    const [a, b] = [new OpenAsks('a/'), new OpenAsks('b/')];
    const one = json(a.open(ask(1, 1), undefined, nobody));
    const two = json(b.open(ask(1, 1), undefined, nobody));
    expect(one.id).not.toBe(two.id);
    expect(one.params._meta.progressToken).not.toBe(two.params._meta.progressToken);
    const told = progress(two.params._meta.progressToken);
    expect(a.progress(told)).toBeUndefined();
    expect(read(b.progress(told)).params.progressToken).toBe(1);
    expect(a.answer(message({ id: two.id, result: {} }))).toBeUndefined();
    expect(read(b.answer(message({ id: two.id, result: {} }))).id).toBe(1);
  });

  it('gets the answer of a client that escapes slashes', () => {
    const asks = new OpenAsks('files/');
    const { id } = json(asks.open(ask('x'), undefined, nobody));
    const bytes = Buffer.from(`{"jsonrpc":"2.0","id":"${id.replace('/', '\\/')}","result":{}}`);
    expect(read(asks.answer({ bytes, envelope: scanMessage(bytes) })).id).toBe('x');
  });

  it('takes an ask back under the id that the client knows', () => {
    const asks = new OpenAsks('a/');
    const { id } = json(asks.open(ask(7), undefined, nobody));
    const cancelled = message({ method: 'notifications/cancelled', params: { requestId: 7 } });
    const told = asks.cancel(cancelled, cancelled.envelope.requestId as Span);
    expect(json(told).params.requestId).toBe(id);
    expect(asks.answer(message({ id, result: {} }))).toBeUndefined();
    expect(asks.cancel(cancelled, cancelled.envelope.requestId as Span)).toBeUndefined();
  });
});

describe('when the client answers nothing', () => {
  it('refuses what is too much', () => {
    const asks = new OpenAsks(undefined);
    for (let i = 0; i < MAX_OPEN_ASK_COUNT; i++) asks.open(ask(i), '1', nobody);
    expect(asks.open(ask('more'), '1', nobody)).toBeUndefined();
  });

  it('gives up the asks of requests that are over first', () => {
    const asks = new OpenAsks(undefined);
    for (let i = 0; i < MAX_OPEN_ASK_COUNT; i++) asks.open(ask(i), String(i), nobody);
    asks.requestEnded('3');
    const evicted: string[] = [];
    expect(asks.open(ask('more'), 'other', (id) => evicted.push(id))).toBeDefined();
    expect(evicted).toEqual(['3']);
    expect(asks.open(ask('too many'), 'other', nobody)).toBeUndefined();
  });
});
