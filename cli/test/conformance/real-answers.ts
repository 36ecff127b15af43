import { expect } from 'vitest';
import { lastMessage, postModern } from '../stories/raw-http.js';

/*
 * Some scenarios of the 2026-07-28 set pass against a server that refuses everything: they only look for what
 * must not be in an answer. Here are their questions once more, with what has to be in the answer.
 */

interface Answer {
  status: number;
  message: any;
}

/** Sends one modern request; an answer on a stream is read to its end. */
async function ask(url: string, method: string, params: Record<string, unknown> = {}): Promise<Answer> {
  const response = await postModern(url, method, params, { elicitation: {} });
  return { status: response.status, message: await lastMessage(response) };
}

/** `input-required-result-unsupported-methods`: lists are answered, and completely. */
export async function expectListsAreComplete(url: string): Promise<void> {
  for (const [method, entries] of [
    ['tools/list', 'tools'],
    ['prompts/list', 'prompts'],
  ] as const) {
    const { status, message } = await ask(url, method);
    expect(status, method).toBe(200);
    expect(message.result?.resultType, method).toBe('complete');
    expect(message.result?.[entries]?.length, method).toBeGreaterThan(0);
  }
}

/** `input-required-result-validate-input`: an answer of the wrong shape makes the server ask again. */
export async function expectMalformedInputIsAskedForAgain(url: string): Promise<void> {
  const { status, message } = await ask(url, 'tools/call', {
    name: 'test_input_required_result_elicitation',
    arguments: {},
    inputResponses: { user_name: 12345 },
  });
  if (message.error === undefined) {
    expect(status).toBe(200);
    expect(message.result?.resultType).toBe('input_required');
    expect(message.result?.inputRequests).toHaveProperty('user_name');
  } else {
    expect(message.error.code).toBe(-32602);
  }
}

/** `server-sse-multiple-streams`: three requests at once have three results. */
export async function expectConcurrentRequestsAreAnswered(url: string): Promise<void> {
  const answers = await Promise.all([1, 2, 3].map(() => ask(url, 'tools/list')));
  const names = answers.map(({ message }) =>
    message.result?.tools?.map((tool: { name: string }) => tool.name),
  );
  expect(names[0]).toContain('test_simple_text');
  expect(names[1]).toEqual(names[0]);
  expect(names[2]).toEqual(names[0]);
}
