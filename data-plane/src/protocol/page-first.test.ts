import { describe, expect, it } from 'vitest';
import { ErrorCode } from './errors.js';
import { pagesAsQuestions } from './page-first.js';
import { scanMessage } from './scan.js';
import type { Message } from './translate.js';

const PAGES = '{"elicitation":{"url":{}}}';

function message(members: object): Message {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 'ü', ...members }));
  return { bytes, envelope: scanMessage(bytes) };
}

const refusal = (elicitations: unknown) =>
  message({ error: { code: ErrorCode.UrlElicitationRequired, message: 'first', data: { elicitations } } });
const request = (params: object) => message({ method: 'tools/call', params: { name: 'n', ...params } });
const page = (url: unknown) => ({ mode: 'url', elicitationId: 'e', message: 'Look ✓', url });

describe('a refusal until pages were looked at', () => {
  it('becomes a question for each page, without what only legacy has', () => {
    const asked = pagesAsQuestions(refusal([page('https://a'), page('https://b')]), request({}), PAGES);
    const question = (url: string) => ({
      method: 'elicitation/create',
      params: { mode: 'url', message: 'Look ✓', url },
    });
    expect(JSON.parse(String(asked?.bytes))).toEqual({
      jsonrpc: '2.0',
      id: 'ü',
      result: {
        resultType: 'input_required',
        inputRequests: { 'elicitation-1': question('https://a'), 'elicitation-2': question('https://b') },
      },
    });
  });

  it.each([undefined, null, 'x', [], [null], [page(1)]])(
    'stands when it names no page: %j',
    (elicitations) => {
      expect(pagesAsQuestions(refusal(elicitations), request({}), PAGES)).toBeUndefined();
    },
  );

  it('stands when the person would not', () => {
    const retry = (action: string) => request({ inputResponses: { 'elicitation-1': { action } } });
    expect(pagesAsQuestions(refusal([page('https://a')]), retry('decline'), PAGES)).toBeUndefined();
    expect(pagesAsQuestions(refusal([page('https://a')]), retry('cancel'), PAGES)).toBeUndefined();
    expect(pagesAsQuestions(refusal([page('https://a')]), retry('accept'), PAGES)).toBeDefined();
  });

  it.each(['{}', '{"elicitation":{}}', '{"elicitation":{"form":{}}}'])(
    'is told to a client that cannot show pages: %s',
    (capabilities) => {
      const ask = () => pagesAsQuestions(refusal([page('https://a')]), request({}), capabilities);
      expect(ask).toThrow(
        expect.objectContaining({
          code: ErrorCode.MissingClientCapability,
          data: { requiredCapabilities: { elicitation: { url: {} } } },
        }),
      );
    },
  );
});
