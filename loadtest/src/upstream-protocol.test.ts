import { expect, test } from 'vitest';
import { initializeParams, LEGACY_REVISION, MODERN_REVISION, requestBody } from './mcp-request.js';
import { EchoServer, type UpstreamRequest } from './upstream-protocol.js';

const call = { name: 'echo', arguments: { text: 'hello' } };

function post(body: string, headers: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    method: 'POST',
    origin: '',
    revision: '',
    mcpMethod: '',
    mcpName: '',
    session: '',
    ...headers,
    body,
  };
}
function modern(
  method: string,
  params: Record<string, unknown> = {},
  headers: Partial<UpstreamRequest> = {},
) {
  const mcpName = typeof params.name === 'string' ? params.name : '';
  const body = requestBody('modern', 1, method, params);
  return post(body, { revision: MODERN_REVISION, mcpMethod: method, mcpName, ...headers });
}
function answer(server: EchoServer, request: UpstreamRequest) {
  const { status, body, session } = server.answer(request);
  return { status, session, message: body === undefined ? undefined : JSON.parse(body) };
}

test('a modern client discovers, lists and calls without a session', () => {
  const server = new EchoServer();
  expect(answer(server, modern('server/discover'))).toMatchObject({
    status: 200,
    session: undefined,
    message: {
      result: { resultType: 'complete', supportedVersions: expect.arrayContaining([MODERN_REVISION]) },
    },
  });
  expect(answer(server, modern('tools/list')).message.result.tools).toMatchObject([{ name: 'echo' }]);
  expect(answer(server, modern('tools/call', call))).toMatchObject({
    status: 200,
    message: {
      id: 1,
      result: { resultType: 'complete', content: [{ type: 'text', text: 'hello' }], isError: false },
    },
  });
});

test.each([
  ['another revision in the header', { revision: LEGACY_REVISION }, -32020],
  ['another method in the header', { mcpMethod: 'tools/list' }, -32020],
  ['another name in the header', { mcpName: 'other' }, -32020],
])('a modern call with %s is refused with 400', (_, headers, code) => {
  expect(answer(new EchoServer(), modern('tools/call', call, headers))).toMatchObject({
    status: 400,
    message: { id: 1, error: { code } },
  });
});

test('an unknown modern revision is answered with those that are spoken', () => {
  const body = requestBody('modern', 1, 'tools/list', {}).replaceAll(MODERN_REVISION, '2099-01-01');
  const reply = answer(new EchoServer(), post(body, { revision: '2099-01-01', mcpMethod: 'tools/list' }));
  expect(reply).toMatchObject({
    status: 400,
    message: { error: { code: -32022, data: { requested: '2099-01-01' } } },
  });
});

test('an unknown method is 404 for a modern client and an error in 200 for a legacy one', () => {
  const server = new EchoServer();
  const error = { code: -32601 };
  expect(answer(server, modern('prompts/list'))).toMatchObject({ status: 404, message: { error } });
  const session = openSession(server);
  const request = post(requestBody('legacy', 2, 'prompts/list', {}), { session });
  expect(answer(server, request)).toMatchObject({ status: 200, message: { error } });
});

function openSession(server: EchoServer): string {
  const reply = answer(server, post(requestBody('legacy', 1, 'initialize', initializeParams())));
  expect(reply).toMatchObject({ status: 200, message: { result: { protocolVersion: LEGACY_REVISION } } });
  const initialized = post('{"jsonrpc":"2.0","method":"notifications/initialized"}', {
    session: reply.session ?? '',
  });
  expect(server.answer(initialized)).toEqual({ status: 202 });
  return reply.session ?? '';
}

test('a legacy session opens, serves and ends', () => {
  const server = new EchoServer();
  const session = openSession(server);
  const headers = { session, revision: LEGACY_REVISION };
  expect(answer(server, post(requestBody('legacy', 2, 'ping', {}), headers))).toMatchObject({
    message: { result: {} },
  });
  expect(answer(server, post(requestBody('legacy', 3, 'tools/call', call), headers)).message).toEqual({
    jsonrpc: '2.0',
    id: 3,
    result: { content: [{ type: 'text', text: 'hello' }], isError: false },
  });
  expect(server.answer({ ...post('', headers), method: 'GET' })).toEqual({ status: 405 });
  expect(server.answer({ ...post('', headers), method: 'DELETE' })).toEqual({ status: 200 });
  expect(server.answer(post(requestBody('legacy', 4, 'ping', {}), headers)).status).toBe(404);
  expect(server.answer(post(requestBody('legacy', 5, 'ping', {}))).status).toBe(400);
});

test('bad requests get the status and code of their fault', () => {
  const server = new EchoServer();
  expect(answer(server, post('{'))).toMatchObject({ status: 400, message: { error: { code: -32700 } } });
  expect(answer(server, post('[]'))).toMatchObject({ status: 400, message: { error: { code: -32600 } } });
  expect(answer(server, modern('tools/call', { name: 'other' })).message.error.code).toBe(-32602);
  expect(server.answer(modern('tools/list', {}, { origin: 'https://example.com' })).status).toBe(403);
});
