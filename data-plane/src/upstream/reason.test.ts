import { expect, test } from 'vitest';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { reasonOf } from './reason.js';
import { HttpFailure } from './transport/http.js';

const unavailable = (message: string, cause?: unknown) =>
  new RpcError(ErrorCode.UpstreamUnavailable, message, undefined, { cause });

test('every cause is said once', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const failure = new HttpFailure('connect', 'cannot connect to 127.0.0.1:9', { cause: refused });
  expect(reasonOf(unavailable('it cannot be reached', failure))).toBe(
    'it cannot be reached: cannot connect to 127.0.0.1:9: connect ECONNREFUSED',
  );
  const lost = unavailable('the process ended before it answered', new Error('node exited with code 1'));
  expect(reasonOf(unavailable('ended in the handshake: node exited with code 1', lost))).toBe(
    'ended in the handshake: node exited with code 1',
  );
});

test('a fault of the gateway shows nothing of its inside', () => {
  expect(reasonOf(RpcError.from(new TypeError('x is not a function')))).toBe('Internal error of the gateway');
});

test.each([
  ['https://me:hunter2@example.com/mcp', 'https://…@example.com/mcp'],
  ['https://hunter2@example.com', 'https://…@example.com'],
  ['see http://example.com:1/mcp?token=hunter2&a=1, then', 'see http://example.com:1/mcp?… then'],
  ['"wss://a/b?key=hunter2" and "redis://:hunter2@b:1/0"', '"wss://a/b?…" and "redis://…@b:1/0"'],
  ['https://example.com/cb#access_token=hunter2', 'https://example.com/cb#…'],
  ['https://a:p@hunter2@example.com/', 'https://…@example.com/'],
  ['nothing to hide: a@b ?c=d http://example.com/x', 'nothing to hide: a@b ?c=d http://example.com/x'],
])('of URLs the secrets are left out: %s', (said, shown) => {
  expect(reasonOf(unavailable(said))).toBe(shown);
});

test('a page is cut short', () => {
  expect(reasonOf(unavailable('x'.repeat(100_000))).length).toBe(1_000);
});
