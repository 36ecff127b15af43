import { describe, expect, it } from 'vitest';
import { inWordsOf } from './older-content.js';
import { scanMessage } from './scan.js';
import type { Message } from './translate.js';

const TEXT = { type: 'text', text: 'Grüße', other: 1 };
const AUDIO = { type: 'audio', data: 'AAAA', mimeType: 'audio/wav' };
const LINK = { type: 'resource_link', uri: 'note://1', name: 'a note' };
const AUDIO_WORDS = { type: 'text', text: '[audio (audio/wav), for which MCP 2024-11-05 has no content]' };
const LINK_WORDS = { type: 'text', text: 'a note: note://1' };

function message(result: object): Message {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, result }));
  return { bytes, envelope: scanMessage(bytes) };
}

const resultOf = ({ bytes }: Message) => JSON.parse(bytes.toString()).result;

describe('the result of a tool', () => {
  it.each([
    ['2024-11-05', [TEXT, AUDIO_WORDS, LINK_WORDS]],
    ['2025-03-26', [TEXT, AUDIO, LINK_WORDS]],
    ['2025-06-18', [TEXT, AUDIO, LINK]],
    ['2025-11-25', [TEXT, AUDIO, LINK]],
  ])('says to %s what that knows', (revision, content) => {
    const reply = inWordsOf(
      revision,
      'tools/call',
      message({ content: [TEXT, AUDIO, LINK], isError: false }),
    );
    expect(resultOf(reply)).toEqual({ content, isError: false });
  });

  it.each([{ content: [TEXT] }, { content: 'x' }, {}, { content: [null, 1, { type: 'toString' }] }])(
    'stays as it is when all of it is known, or none of it is content: %j',
    (result) => {
      const reply = message(result);
      expect(inWordsOf('2024-11-05', 'tools/call', reply)).toBe(reply);
    },
  );
});

it('the messages of a prompt say what the revision knows', () => {
  const reply = message({
    messages: [{ role: 'user', content: LINK }, { role: 'user', content: TEXT }, null],
  });
  expect(resultOf(inWordsOf('2025-03-26', 'prompts/get', reply)).messages).toEqual([
    { role: 'user', content: LINK_WORDS },
    { role: 'user', content: TEXT },
    null,
  ]);
});

it('an error, and any other result, stay as they are', () => {
  const error = Buffer.from('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}');
  const failed = { bytes: error, envelope: scanMessage(error) };
  expect(inWordsOf('2024-11-05', 'tools/call', failed)).toBe(failed);
  const other = message({ content: [AUDIO] });
  expect(inWordsOf('2024-11-05', 'resources/read', other)).toBe(other);
});
