import { expect, test } from 'vitest';
import { AnswerReader } from './ping.js';

const WITH_LENGTH = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"id":1}';
const CHUNKED =
  'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"i\r\n5\r\nd":1}\r\n0\r\n\r\n';

test.each([
  ['a body with a length', WITH_LENGTH, 200],
  ['a chunked body', CHUNKED, 404],
])('%s is whole only with its last byte, wherever it is cut', (_, text, status) => {
  const bytes = Buffer.from(text);
  for (let cut = 1; cut < bytes.length; cut++) {
    const reader = new AnswerReader();
    expect(reader.push(bytes.subarray(0, cut))).toBe(false);
    expect(reader.push(bytes.subarray(cut))).toBe(true);
    const answer = reader.take();
    expect(answer.status).toBe(status);
    expect(answer.body()).toBe('{"id":1}');
  }
});

test('one reader reads one answer after the other', () => {
  const reader = new AnswerReader();
  for (const text of [WITH_LENGTH, CHUNKED, WITH_LENGTH]) {
    expect(reader.push(Buffer.from(text))).toBe(true);
    expect(reader.take().body()).toBe('{"id":1}');
  }
});
