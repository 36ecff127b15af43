import { expect, test } from 'vitest';
import { echoAnswerProblem, echoCallTemplate, requestHeaders } from './mcp-request.js';
import { EchoServer } from './upstream-protocol.js';

function echoAnswer(id: number): Record<string, unknown> {
  const body = echoCallTemplate('modern', 'echo')(id);
  const { 'MCP-Protocol-Version': revision = '', 'Mcp-Method': mcpMethod = '' } = requestHeaders(
    'modern',
    'tools/call',
  );
  const request = { method: 'POST', origin: '', revision, mcpMethod, mcpName: 'echo', session: '', body };
  return JSON.parse(new EchoServer().answer(request).body ?? '');
}

test('a call has 120 bytes of arguments and the id that it is given', () => {
  const call = JSON.parse(echoCallTemplate('legacy', 'some__echo')(100_077));
  expect(call).toMatchObject({ id: 100_077, method: 'tools/call', params: { name: 'some__echo' } });
  expect(call.params.arguments.call).toBe(100_077);
  expect(JSON.stringify(call.params.arguments)).toHaveLength(120);
});

test('the right answer is right, as JSON and as an event stream', () => {
  const text = JSON.stringify(echoAnswer(5));
  expect(echoAnswerProblem('modern', 5, text)).toBeUndefined();
  expect(echoAnswerProblem('modern', 5, `: hello\n\nevent: message\ndata: ${text}\n\n`)).toBeUndefined();
});

test.each([
  [
    'the answer of another call',
    (answer: Record<string, unknown>) => ({ ...answer, id: 6 }),
    'another id than 5',
  ],
  ['an error', () => ({ jsonrpc: '2.0', id: 5, error: { code: -32603, message: 'no' } }), 'is an error'],
  [
    'another text',
    () => ({ id: 5, result: { resultType: 'complete', content: [{ text: 'x' }] } }),
    'the text that was sent',
  ],
  [
    'a result that asks for more',
    (answer: Record<string, unknown>) => ({
      ...answer,
      result: { ...(answer.result as object), resultType: 'input_required' },
    }),
    'not complete',
  ],
])('%s is wrong', (_, change, message) => {
  expect(echoAnswerProblem('modern', 5, JSON.stringify(change(echoAnswer(5))))).toContain(message);
});

test('what is not a message is wrong', () => {
  expect(echoAnswerProblem('modern', 5, '')).toContain('empty body');
  expect(echoAnswerProblem('modern', 5, '<html>502</html>')).toContain('not a JSON-RPC message');
});
