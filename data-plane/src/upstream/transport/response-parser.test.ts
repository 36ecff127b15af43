import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ResponseHead } from './response-head.js';
import { MalformedResponse } from './response-head.js';
import { ResponseParser } from './response-parser.js';

const MAX_HEAD_BYTES = 300;

/** What a parser makes of some bytes and the close after them. */
interface Reading {
  status?: number;
  headers?: Record<string, string | undefined>;
  body: string;
  end: 'complete' | 'malformed' | 'cut-off';
  excessByteCount: number;
}

function read(chunks: readonly Buffer[], maxHeadBytes = MAX_HEAD_BYTES): Reading {
  const reading: Reading = { body: '', end: 'cut-off', excessByteCount: 0 };
  const sink = {
    head(head: ResponseHead): void {
      reading.status = head.status;
      reading.headers = { ...head.headers };
    },
    body(bytes: Buffer): void {
      reading.body += bytes.toString('latin1');
    },
    complete(excessByteCount: number): void {
      reading.end = 'complete';
      reading.excessByteCount += excessByteCount;
    },
  };
  const parser = new ResponseParser(sink, maxHeadBytes);
  for (const chunk of chunks) {
    if (reading.end === 'complete') {
      reading.excessByteCount += chunk.length;
      continue;
    }
    try {
      parser.feed(chunk, chunk.length);
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedResponse);
      return { ...reading, end: 'malformed' };
    }
  }
  if (reading.end !== 'complete') parser.end();
  return reading;
}

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');
const readText = (text: string, maxHeadBytes?: number): Reading => read([bytesOf(text)], maxHeadBytes);

/** The same by plain means: the whole text at once, a regular expression for each rule. */
function reference(text: string): Reading {
  const reading: Reading = { body: '', end: 'malformed', excessByteCount: 0 };
  let rest = text;
  let headBytes = 0;
  let fields: string[] = [];
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return withoutHeadEnd(rest, headBytes, reading);
    headBytes += end + 4;
    if (headBytes > MAX_HEAD_BYTES) return reading;
    const [statusLine = '', ...lines] = rest.slice(0, end).split('\r\n');
    rest = rest.slice(end + 4);
    const status = /^HTTP\/1\.[01] ([1-5]\d\d)( [^\0-\x08\x0a-\x1f\x7f]*)?$/.exec(statusLine);
    if (
      status === null ||
      !lines.every((line) => /^[\w!#$%&'*+\-.^`|~]+:[^\0-\x08\x0a-\x1f\x7f]*$/.test(line))
    )
      return reading;
    const found = new Map<string, string>();
    for (const line of lines) {
      const name = line.slice(0, line.indexOf(':')).toLowerCase();
      const value = line.slice(line.indexOf(':') + 1).replace(/^[ \t]+|[ \t]+$/g, '');
      found.set(name, found.has(name) ? `${found.get(name)}, ${value}` : value);
    }
    const headers = Object.fromEntries(found);
    const lengths = headers['content-length']?.split(',').map((each) => each.trim()) ?? [];
    if (lengths.some((each) => !/^\d{1,15}$/.test(each) || each !== lengths[0])) return reading;
    const encoding = headers['transfer-encoding'];
    if (encoding !== undefined && (lengths.length > 0 || encoding.toLowerCase() !== 'chunked'))
      return reading;
    if (encoding !== undefined && statusLine.startsWith('HTTP/1.0')) return reading;
    if (status[1] === '101') return reading;
    if (status[1]?.startsWith('1')) continue;
    reading.status = Number(status[1]);
    reading.headers = headers;
    fields = lengths;
    if (status[1] === '204' || status[1] === '304')
      return { ...reading, end: 'complete', excessByteCount: rest.length };
    if (encoding !== undefined) return referenceChunks(rest, reading);
    break;
  }
  if (fields[0] === undefined) return { ...reading, body: rest, end: 'complete' };
  const length = Number(fields[0]);
  if (rest.length < length) return { ...reading, body: rest, end: 'cut-off' };
  return { ...reading, body: rest.slice(0, length), end: 'complete', excessByteCount: rest.length - length };
}

function withoutHeadEnd(rest: string, earlierBytes: number, reading: Reading): Reading {
  const hopeless =
    rest !== '' &&
    (earlierBytes + rest.length >= MAX_HEAD_BYTES ||
      !'HTTP/1.'.startsWith(rest.slice(0, 7)) ||
      /(^|[^\r])\n/.test(rest));
  return { ...reading, end: hopeless ? 'malformed' : 'cut-off' };
}

function referenceChunks(text: string, reading: Reading): Reading {
  let rest = text;
  let body = '';
  for (;;) {
    const line = /^([0-9a-f]{1,13})(?:;[\t\x20-\x7e\x80-\xff]{0,1023})?\r\n/i.exec(rest);
    if (line === null) {
      const viable =
        /^([0-9a-f]{0,13}|[0-9a-f]{1,13}\r|[0-9a-f]{1,13};[\t\x20-\x7e\x80-\xff]{0,1023}\r?)$/i.test(rest);
      return { ...reading, body, end: viable ? 'cut-off' : 'malformed' };
    }
    rest = rest.slice(line[0].length);
    const size = Number.parseInt(line[1] ?? '', 16);
    if (size === 0) break;
    body += rest.slice(0, size);
    rest = rest.slice(size);
    if (rest.length < 2) {
      return { ...reading, body, end: '\r\n'.startsWith(rest) ? 'cut-off' : 'malformed' };
    }
    if (!rest.startsWith('\r\n')) return { ...reading, body, end: 'malformed' };
    rest = rest.slice(2);
  }
  const trailers = /^(?:[\t\x20-\x7e\x80-\xff]+\r\n)*\r\n/.exec(rest);
  if (trailers !== null)
    return { ...reading, body, end: 'complete', excessByteCount: rest.length - trailers[0].length };
  const viable = /^(?:[\t\x20-\x7e\x80-\xff]+\r\n)*(?:[\t\x20-\x7e\x80-\xff]*\r?)$/.test(rest);
  return { ...reading, body, end: viable ? 'cut-off' : 'malformed' };
}

const bodyText = fc.string({
  unit: fc.constantFrom('a', '{', '"', '\r', '\n', '\0', '\u00ff', '0\r\n\r\n'),
  maxLength: 40,
});

const chunkedBody = fc
  .tuple(
    fc.array(fc.tuple(bodyText, fc.constantFrom('', ';', ';a=b', ';q="x y"'), fc.boolean()), {
      maxLength: 5,
    }),
    fc.array(fc.constantFrom('Digest: x\r\n', 'A: \r\n'), { maxLength: 3 }),
  )
  .map(([chunks, trailers]) => {
    const lines = chunks
      .filter(([data]) => data !== '')
      .map(([data, extension, upper]) => {
        const size = data.length.toString(16);
        return `${upper ? size.toUpperCase() : size}${extension}\r\n${data}\r\n`;
      });
    return `${lines.join('')}0\r\n${trailers.join('')}\r\n`;
  });

const field = fc.constantFrom(
  'Content-Type: application/json\r\n',
  'mcp-session-id:abc\r\n',
  'X-Odd:\t \u00e9\u00a0 \t\r\n',
  'Connection: close\r\n',
  'Set-Cookie: a=1\r\n',
  '__proto__: x\r\n',
  `Long: ${'y'.repeat(90)}\r\n`,
);

const response = fc
  .tuple(
    fc.constantFrom(
      '',
      '',
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n',
    ),
    fc.constantFrom(
      'HTTP/1.1 200 OK',
      'HTTP/1.1 404',
      'HTTP/1.0 500 ',
      'HTTP/1.1 204 No Content',
      'HTTP/1.1 304 Not Modified',
    ),
    fc.array(field, { maxLength: 4 }),
    fc.oneof(
      bodyText.map((body) => `Content-Length: ${body.length}\r\n\r\n${body}`),
      bodyText.map((body) => `\r\n${body}`),
      chunkedBody.map((body) => `Transfer-Encoding: chunked\r\n\r\n${body}`),
      chunkedBody.map((body) => `transfer-encoding:  Chunked \r\n\r\n${body}`),
    ),
    fc.constantFrom('', '', 'HTTP/1.1 200 OK\r\n'),
  )
  .map(
    ([interim, status, fields, body, excess]) => `${interim}${status}\r\n${fields.join('')}${body}${excess}`,
  );

/** A response, or one with a few bytes taken away, added or changed. */
const mutated = fc
  .tuple(
    response,
    fc.array(
      fc.tuple(
        fc.nat(),
        fc.nat({ max: 3 }),
        fc.constantFrom('', '\r', '\n', '\r\n', ' ', ':', '0', 'f', ',', ';', '\0', 'Content-Length: 3\r\n'),
      ),
      { maxLength: 3 },
    ),
  )
  .map(([text, edits]) =>
    edits.reduce((edited, [at, removed, added]) => {
      const index = at % (edited.length + 1);
      return edited.slice(0, index) + added + edited.slice(index + removed);
    }, text),
  );

const cuts = fc.array(fc.nat({ max: 2000 }), { maxLength: 30 });

function cut(text: string, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (text.length + 1))), text.length].sort(
    (a, b) => a - b,
  );
  return ends.map((end, index) => bytesOf(text.slice(ends[index - 1] ?? 0, end)));
}

describe('ResponseParser', () => {
  it('reads valid responses as a plain reader does, however they are cut', () => {
    fc.assert(
      fc.property(response, cuts, (text, places) => {
        const expected = reference(text);
        expect(readText(text)).toEqual(expected);
        expect(read(cut(text, places))).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it('judges damaged responses as a plain reader does, however they are cut', () => {
    fc.assert(
      fc.property(mutated, cuts, (text, places) => {
        const expected = reference(text);
        expect(readText(text)).toEqual(expected);
        expect(read(cut(text, places))).toEqual(expected);
        expect(read([...text].map(bytesOf))).toEqual(expected);
      }),
      { numRuns: 3000 },
    );
  });

  it('never throws anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        read([Buffer.from(bytes)]);
        read([bytesOf('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), Buffer.from(bytes)]);
      }),
    );
  });

  it.each([
    ['conflicting lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'],
    ['conflicting lengths in one field', 'Content-Length: 5, 6\r\n\r\nhello!'],
    ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a signed length', 'Content-Length: +5\r\n\r\nhello'],
    ['a hexadecimal length', 'Content-Length: 0x5\r\n\r\nhello'],
    ['a length beyond all numbers', 'Content-Length: 99999999999999999999\r\n\r\nhello'],
    ['an empty length', 'Content-Length:\r\n\r\nhello'],
    ['another coding', 'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['chunked twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a space in front of the colon', 'Content-Length : 5\r\n\r\nhello'],
    ['a folded line', 'X: a\r\n b\r\n\r\n'],
    ['a line without a colon', 'X\r\n\r\n'],
    ['a bare LF', 'X: a\nContent-Length: 5\r\n\r\nhello'],
    ['a bare CR', 'X: a\rContent-Length: 5\r\n\r\nhello'],
    ['a NUL', 'X: \0\r\n\r\n'],
    ['no chunk size', 'Transfer-Encoding: chunked\r\n\r\n\r\n\r\n'],
    ['a negative chunk size', 'Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n'],
    ['a chunk size with a prefix', 'Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size beyond all numbers', 'Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n'],
    ['a space behind the chunk size', 'Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind the chunk size', 'Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n'],
    ['a bare LF in a chunk extension', 'Transfer-Encoding: chunked\r\n\r\n5;\nhello\r\n0\r\n\r\n'],
    ['a chunk longer than its size', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n'],
    [
      'an endless chunk extension',
      `Transfer-Encoding: chunked\r\n\r\n5;${'x'.repeat(1024)}\r\nhello\r\n0\r\n\r\n`,
    ],
    ['endless trailers', `Transfer-Encoding: chunked\r\n\r\n0\r\n${'X: y\r\n'.repeat(100)}\r\n`],
    ['a header over the limit', `X: ${'y'.repeat(MAX_HEAD_BYTES)}\r\n\r\n`],
  ])('refuses %s', (_, text) => {
    expect(readText(`HTTP/1.1 200 OK\r\n${text}`).end).toBe('malformed');
  });

  it.each([
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['HTTP/2', 'HTTP/2 200\r\n\r\n'],
    ['a page without a head', '<html>'],
    ['an impossible status', 'HTTP/1.1 999 Odd\r\n\r\n'],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['interim answers without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20)],
  ])('refuses %s', (_, text) => {
    expect(readText(text).end).toBe('malformed');
  });

  it('takes a head of exactly the limit, and not a byte more', () => {
    const text = 'HTTP/1.1 204 No Content\r\nX: yyyyyyyyyyyy\r\n\r\n';
    for (const chunks of [[bytesOf(text)], [...text].map(bytesOf)]) {
      expect(read(chunks, text.length).end).toBe('complete');
      expect(read(chunks, text.length - 1).end).toBe('malformed');
    }
  });

  it('collects a head that is longer than what it looks at first', () => {
    const text = `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(40_000)}\r\nContent-Length: 2\r\n\r\nok`;
    expect(readText(text, 65_536)).toMatchObject({ status: 200, body: 'ok', end: 'complete' });
    expect(read([...text].map(bytesOf), 65_536)).toMatchObject({ status: 200, body: 'ok', end: 'complete' });
  });

  it.each([
    ['keeps', 'HTTP/1.1 200 OK\r\nContent-Length: 0', true],
    ['closes when asked', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: foo, Close', false],
    ['closes for HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 0', false],
    ['keeps for HTTP/1.0 when asked', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive', true],
    ['closes when the end is the close', 'HTTP/1.1 200 OK', false],
    ['keeps without a body', 'HTTP/1.1 204 No Content', true],
    ['closes when no body has a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 5', false],
    [
      'keeps when the length is that of what has not changed',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 5',
      true,
    ],
  ])('%s the connection', (_, head, reusable) => {
    const heads: ResponseHead[] = [];
    const sink = { head: (each: ResponseHead) => heads.push(each), body() {}, complete() {} };
    const parser = new ResponseParser(sink, MAX_HEAD_BYTES);
    const bytes = bytesOf(`${head}\r\n\r\n`);
    parser.feed(bytes, bytes.length);
    expect(heads.map((each) => each.reusable)).toEqual([reusable]);
  });

  it.each([
    ['timeout=5', 5000],
    ['timeout=15, max=100', 15_000],
    ['max=100, Timeout = 7', 7000],
    ['max=100', undefined],
    ['timeout=soon', undefined],
  ])('reads Keep-Alive: %s', (value, expected) => {
    const heads: ResponseHead[] = [];
    const sink = { head: (each: ResponseHead) => heads.push(each), body() {}, complete() {} };
    const parser = new ResponseParser(sink, MAX_HEAD_BYTES);
    const bytes = bytesOf(`HTTP/1.1 204 No Content\r\nKeep-Alive: ${value}\r\n\r\n`);
    parser.feed(bytes, bytes.length);
    expect(heads.map((each) => each.keepAliveTimeoutMs)).toEqual([expected]);
  });

  it('says nothing more once it is stopped from within', () => {
    const seen: string[] = [];
    const parser: ResponseParser = new ResponseParser(
      {
        head: () => seen.push('head'),
        body() {
          seen.push('body');
          parser.stop();
        },
        complete: () => seen.push('complete'),
      },
      MAX_HEAD_BYTES,
    );
    const bytes = bytesOf('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    parser.feed(bytes, bytes.length);
    expect(seen).toEqual(['head', 'body']);
  });

  it('reads one response after another', () => {
    const seen: string[] = [];
    const sink = {
      head: (head: ResponseHead) => seen.push(`${head.status} ${head.headers.x}`),
      body: (bytes: Buffer) => seen.push(bytes.toString()),
      complete: () => seen.push('end'),
    };
    const parser = new ResponseParser(sink, MAX_HEAD_BYTES);
    for (const x of ['same', 'same', 'other']) {
      const bytes = bytesOf(
        `HTTP/1.1 200 OK\r\nX: ${x}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      );
      parser.feed(bytes, bytes.length);
    }
    expect(seen).toEqual(['200 same', 'ok', 'end', '200 same', 'ok', 'end', '200 other', 'ok', 'end']);
  });
});
