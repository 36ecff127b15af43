/**
 * Content that a client of an older revision does not know. Official clients check what they read, and would refuse a
 * whole result because of one such piece; so what can be said in words is.
 */
import { membersOf } from './members.js';
import { jsonBinary, parsed, replace } from './text.js';
import { type Message, rewritten } from './translate.js';

interface Content {
  readonly type?: unknown;
  readonly mimeType?: unknown;
  readonly name?: unknown;
  readonly uri?: unknown;
}

/** Kinds of content by the revision that brought them (server/tools, "Tool Result"), and their words before it. */
const KINDS: Readonly<
  Record<string, { since: string; words: (content: Content, revision: string) => string }>
> = {
  audio: {
    since: '2025-03-26',
    words: ({ mimeType }, revision) =>
      `[audio (${String(mimeType)}), for which MCP ${revision} has no content]`,
  },
  resource_link: {
    since: '2025-06-18',
    words: ({ name, uri }) => `${String(name)}: ${String(uri)}`,
  },
};

const NEWEST = '2025-06-18';

/** Where the content stands in a result, by method. */
const PLACES: Readonly<Record<string, 'content' | 'messages'>> = {
  'tools/call': 'content',
  'prompts/get': 'messages',
};

/** The response with nothing but what `revision` knows; the same message when it knows everything. */
export function inWordsOf(revision: string, method: string, message: Message): Message {
  const { bytes, envelope } = message;
  const place = PLACES[method];
  if (revision >= NEWEST || place === undefined || envelope.result === undefined) return message;
  const list = membersOf(bytes, envelope.result).find(({ key }) => key === place)?.value;
  const entries = list === undefined ? undefined : parsed(bytes, list);
  if (list === undefined || !Array.isArray(entries)) return message;
  const known = entries.map((entry) =>
    place === 'content' ? piece(entry, revision) : said(entry, revision),
  );
  if (known.every((entry, i) => entry === entries[i])) return message;
  return rewritten(bytes, envelope, [replace(list, jsonBinary(known))]);
}

function said(message: unknown, revision: string): unknown {
  if (typeof message !== 'object' || message === null) return message;
  const { content } = message as { content?: unknown };
  const known = piece(content, revision);
  return known === content ? message : { ...message, content: known };
}

function piece(content: unknown, revision: string): unknown {
  if (typeof content !== 'object' || content === null) return content;
  const { type } = content as Content;
  const kind = typeof type === 'string' && Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  if (kind === undefined || revision >= kind.since) return content;
  return { type: 'text', text: kind.words(content as Content, revision) };
}
