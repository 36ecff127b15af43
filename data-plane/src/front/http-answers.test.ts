import { describe, expect, it } from 'vitest';
import { accepts, refuse, refuseMethod } from './http-answers.js';
import { RecordingReply } from './recording-reply.js';

describe('Accept', () => {
  it.each<[string | undefined, boolean, boolean]>([
    [undefined, true, true],
    ['', true, true],
    ['*/*', true, true],
    ['application/json, text/event-stream', true, true],
    ['text/event-stream,application/json', true, true],
    ['Application/JSON; charset=utf-8 , TEXT/EVENT-STREAM', true, true],
    ['application/json', true, false],
    ['text/event-stream', false, true],
    ['text/*', false, true],
    ['application/*;q=0.5', true, false],
    ['text/html', false, false],
    ['application/json-seq, text/event-streams', false, false],
    ['application/json;q=0, text/event-stream', false, true],
    ['*/*, application/json;q=0', false, true],
    ['application/json;q=0.0, */*;q=0.1', false, true],
    ['application/json;q=0.001', true, false],
    ['text/*;q=0, text/event-stream', false, true],
    ['application/json;version=1, application/json;q=0', true, false],
    [', ,;', false, false],
  ])('%j takes JSON: %s, a stream: %s', (accept, json, stream) => {
    expect(accepts(accept, 'application/json')).toBe(json);
    expect(accepts(accept, 'text/event-stream')).toBe(stream);
  });
});

describe('a refusal', () => {
  it('is a JSON-RPC error with the id of the request, or null', () => {
    const [named, nameless] = [new RecordingReply(), new RecordingReply()];
    refuse(named, 400, -32602, 'ü', '"a"', { why: 1 });
    refuse(nameless, 404, -32601, 'no');
    expect([named.status, named.headers, named.json]).toEqual([
      400,
      { 'content-type': 'application/json' },
      { jsonrpc: '2.0', id: 'a', error: { code: -32602, message: 'ü', data: { why: 1 } } },
    ]);
    expect(nameless.json).toEqual({ jsonrpc: '2.0', id: null, error: { code: -32601, message: 'no' } });
  });

  it('of a method says which there are', () => {
    const reply = new RecordingReply();
    refuseMethod(reply, 'POST', 'PUT means nothing here', -32600);
    expect([reply.status, reply.headers.allow]).toEqual([405, 'POST']);
  });
});
