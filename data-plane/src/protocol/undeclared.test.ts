import { describe, expect, it } from 'vitest';
import { scanMessage } from './scan.js';
import type { Message } from './translate.js';
import { Undeclared, undeclaredFor } from './undeclared.js';

const FORM = { elicitation: { form: {} } };
const URL_MODE = { elicitation: { url: {} } };
const ELICIT = 'elicitation/create';
const SAMPLE = 'sampling/createMessage';

describe('what a question needs', () => {
  it.each([
    [ELICIT, { message: 'who?' }, { elicitation: {} }, undefined],
    [ELICIT, { mode: 'form' }, FORM, undefined],
    [ELICIT, { mode: 'form' }, URL_MODE, FORM],
    [ELICIT, {}, {}, FORM],
    [ELICIT, undefined, { elicitation: null }, FORM],
    [ELICIT, { mode: 'url' }, { elicitation: {} }, URL_MODE],
    [ELICIT, { mode: 'url' }, FORM, URL_MODE],
    [ELICIT, { mode: 'url' }, URL_MODE, undefined],
    [SAMPLE, { messages: [] }, { sampling: {} }, undefined],
    [SAMPLE, { messages: [] }, FORM, { sampling: {} }],
    [SAMPLE, { tools: [] }, { sampling: {} }, { sampling: { tools: {} } }],
    [SAMPLE, { toolChoice: {} }, { sampling: { tools: {} } }, undefined],
    ['roots/list', undefined, { roots: {} }, undefined],
    ['roots/list', undefined, {}, { roots: {} }],
    ['dreams/list', undefined, {}, undefined],
  ])('%s %j of a client with %j: %j', (method, params, declared, missing) => {
    expect(undeclaredFor(method, params, declared)).toEqual(missing);
  });
});

const reply = (members: object): Message => {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, ...members }));
  return { bytes, envelope: scanMessage(bytes) };
};
const FAILED = { result: { isError: true, content: [{ type: 'text', text: 'no name, no seat' }] } };

describe('a call in which something was asked that the client did not declare', () => {
  const asked = new Undeclared();
  asked.allows(ELICIT, { mode: 'url' }, { sampling: {} });
  asked.allows(ELICIT, {}, { sampling: {} });
  asked.allows(SAMPLE, {}, { sampling: {} });

  it.each([
    ['a tool that failed', FAILED, 'no name, no seat'],
    ['an error', { error: { code: -32603, message: 'cannot ask' } }, 'cannot ask'],
  ])('ends with -32021 in place of %s', (_, members, said) => {
    expect(asked.errorFor(reply(members))).toMatchObject({
      code: -32021,
      message: `the server asked for what the client did not declare (\`elicitation.url\`, \`elicitation.form\`), and failed without it: ${said}`,
      data: { requiredCapabilities: { elicitation: { url: {}, form: {} } } },
    });
  });

  it.each([
    ['a result of a server that got along without', { result: { content: [] } }],
    ['an error that says what is missing', { error: { code: -32021, message: 'elicitation!' } }],
    ['one that names pages', { error: { code: -32042, message: 'look first', data: { elicitations: [] } } }],
  ])('ends with %s, as it is', (_, members) => {
    expect(asked.errorFor(reply(members))).toBeUndefined();
  });
});

it('a call that asked for nothing of the kind ends as it does', () => {
  const asked = new Undeclared();
  expect(asked.allows(ELICIT, {}, FORM)).toBe(true);
  expect(asked.errorFor(reply(FAILED))).toBeUndefined();
});
