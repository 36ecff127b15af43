import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { picks, spell } from './json-spelling.js';
import { SSE_COMMENT, SseDecoder, sseEvent, ssePriming } from './sse.js';

type Heard = ['event', string, string | undefined] | ['primed', string] | ['retry', number];

/** Feeds the chunks to a decoder and notes what it says. Each chunk is overwritten afterwards, as sockets do. */
function decode(chunks: Iterable<Uint8Array>, maxEventBytes = 1_000_000): { heard: Heard[]; lost: boolean } {
  const heard: Heard[] = [];
  const kept: [Heard, Buffer][] = [];
  const decoder = new SseDecoder(
    {
      event(data, id) {
        const event: Heard = ['event', '', id];
        kept.push([event, data]);
        heard.push(event);
      },
      primed: (id) => heard.push(['primed', id]),
      retry: (ms) => heard.push(['retry', ms]),
    },
    maxEventBytes,
  );
  let lost = false;
  for (const chunk of chunks) {
    const own = Buffer.from(chunk);
    lost = !decoder.push(own);
    own.fill('#');
    if (lost) break;
  }
  // Events are read last: their data belongs to whoever was told.
  for (const [event, data] of kept) event[1] = data.toString();
  return { heard, lost };
}

const decodeText = (text: string) => decode([Buffer.from(text)]).heard;

/** The rules of WHATWG HTML section 9.2.6 over a whole text, as far as MCP uses them. */
function decodePlainly(text: string): Heard[] {
  const heard: Heard[] = [];
  let data: string[] = [];
  let id: string | undefined;
  let type = '';
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/);
  // What stands behind the last line end is no line yet.
  for (const line of lines.slice(0, -1)) {
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) as RegExpExecArray;
    if (line === '') {
      const joined = data.join('\n');
      if (joined !== '' && (type === '' || type === 'message')) heard.push(['event', joined, id]);
      else if (id !== undefined) heard.push(['primed', id]);
      [data, id, type] = [[], undefined, ''];
    } else if (name === 'data') data.push(value);
    else if (name === 'id' && !value.includes('\0')) id = value;
    else if (name === 'event') type = value;
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) heard.push(['retry', Number(value)]);
  }
  return heard;
}

/** The bytes in pieces; `cuts` may be anything. */
function* cut(bytes: Buffer, cuts: readonly number[]): Generator<Buffer> {
  let from = 0;
  for (const at of [...cuts].map((each) => each % (bytes.length + 1)).sort((a, b) => a - b)) {
    yield bytes.subarray(from, at);
    from = at;
  }
  yield bytes.subarray(from);
}

const value = fc.string({
  unit: fc.constantFrom('a', ' ', ':', '{', '"', 'é', '😀', '\0', '1'),
  maxLength: 8,
});
const line = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom('data:', 'data: ', 'data'), value).map((each) => each.join('')),
  },
  { weight: 4, arbitrary: fc.constant('') },
  value,
  fc
    .tuple(fc.constantFrom('id: ', 'id:', 'retry: ', ':', 'event: ', 'other: '), value)
    .map((each) => each.join('')),
  fc.constantFrom(
    'event: message',
    'event:',
    'event: ping',
    'retry: 1500',
    'retry:7',
    'id: 5',
    ': hello',
    'Data: x',
  ),
);
const stream = fc
  .tuple(
    fc.constantFrom('', '\ufeff'),
    fc.array(fc.tuple(line, fc.constantFrom('\n', '\r', '\r\n')), { maxLength: 30 }),
  )
  .map(([mark, lines]) => mark + lines.map((each) => each.join('')).join(''));
const cuts = fc.array(fc.nat(), { maxLength: 12 });

describe('decoding', () => {
  it('says the same of a stream wherever it is cut, and the same as a plain reader', () => {
    fc.assert(
      fc.property(stream, cuts, (text, places) => {
        const bytes = Buffer.from(text);
        const { heard, lost } = decode(cut(bytes, places));
        expect(lost).toBe(false);
        expect(heard).toEqual(decodePlainly(text));
        expect(decode(bytes.length === 0 ? [] : Array.from(bytes, (byte) => Buffer.of(byte))).heard).toEqual(
          heard,
        );
      }),
      { numRuns: 2_000 },
    );
  });

  it.each<[string, string, Heard[]]>([
    ['one line', 'data: {}\n\n', [['event', '{}', undefined]]],
    ['data in several lines', 'data: {\ndata:"a":\ndata: 1}\n\n', [['event', '{\n"a":\n1}', undefined]]],
    ['one blank less only', 'data:  x\n\n', [['event', ' x', undefined]]],
    [
      'an id for one event',
      'id: 1\ndata: a\n\ndata: b\n\n',
      [
        ['event', 'a', '1'],
        ['event', 'b', undefined],
      ],
    ],
    [
      'a priming event',
      'id: s_0\nretry: 1000\ndata: \n\n',
      [
        ['retry', 1000],
        ['primed', 's_0'],
      ],
    ],
    ['an id without data', 'id: s_0\n\n', [['primed', 's_0']]],
    ['comments', ': a\n:\n\ndata: a\n: b\ndata: b\n\n', [['event', 'a\nb', undefined]]],
    ['no event before its end', 'data: a\n', []],
    ['a retry that is no number', 'retry: 1s\nretry: -1\nretry: 1000000000\n\n', []],
    ['an id with a null in it', 'id: a\0b\ndata: a\n\n', [['event', 'a', undefined]]],
    ['two line feeds, though the first is part of CRLF', 'data: a\r\n\r\n', [['event', 'a', undefined]]],
    [
      'CR alone',
      'data: a\r\rdata: b\r\r',
      [
        ['event', 'a', undefined],
        ['event', 'b', undefined],
      ],
    ],
  ])('knows %s', (_, text, expected) => {
    expect(decodeText(text)).toEqual(expected);
  });

  it('leaves out events of other types, and resumes behind them', () => {
    const text = 'event: ping\nid: 4\ndata: now\n\nevent: message\nid: 5\ndata: {}\n\ndata: []\n\n';
    expect(decodeText(text)).toEqual([
      ['primed', '4'],
      ['event', '{}', '5'],
      ['event', '[]', undefined],
    ]);
  });
});

describe('the limit', () => {
  const whole = (text: string, limit: number) => decode([Buffer.from(text)], limit);
  const bytewise = (text: string, limit: number) =>
    decode(
      Array.from(Buffer.from(text), (byte) => Buffer.of(byte)),
      limit,
    );

  it.each([
    ['one line', `data: ${'a'.repeat(100)}\n\n`],
    ['several lines', `data: ${'a'.repeat(49)}\ndata: ${'a'.repeat(50)}\n\n`],
    ['a hundred empty lines', `${'data\n'.repeat(101)}\n`],
  ])('is that of the data of one event: %s', (_, event) => {
    for (const run of [whole, bytewise]) {
      const twice = run(event + event, 100);
      expect([twice.lost, twice.heard.map(([, data]) => (data as string).length)]).toEqual([
        false,
        [100, 100],
      ]);
      expect(run(event + event, 99)).toEqual({ heard: [], lost: true });
    }
  });

  it('says events of other types to whoever asks for them', () => {
    const heard: string[] = [];
    const note = (type: string, data: Buffer) => heard.push(`${type}: ${data}`);
    const decoder = new SseDecoder(
      { event: (data) => note('message', data), other: note, primed() {}, retry() {} },
      1_000,
    );
    decoder.push(Buffer.from('event: endpoint\ndata: /a\n\ndata: b\n\nevent: ping\n\nevent:\ndata: c\n\n'));
    expect(heard).toEqual(['endpoint: /a', 'message: b', 'message: c']);
  });

  it('holds for a line that never ends, whatever field it is', () => {
    for (const begin of ['data: ', ':', 'id: ', 'x']) {
      const { heard, lost } = decode(endless(begin), 10_000);
      expect([heard, lost]).toEqual([[], true]);
    }
  });

  it('holds for data that never ends, and its memory is that of the data', () => {
    const limit = 4_000_000;
    const lines = Buffer.from('data\n'.repeat(10_000));
    const before = process.memoryUsage();
    const decoder = new SseDecoder({ event() {}, primed() {}, retry() {} }, limit);
    let pushed = 0;
    while (pushed <= limit && decoder.push(lines)) pushed += 10_000;
    const after = process.memoryUsage();
    expect(pushed).toBe(limit);
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(
      limit * 20,
    );
  });

  it('says nothing after the stream is lost', () => {
    expect(whole('data: 12345\n\ndata: 1\n\n', 4)).toEqual({ heard: [], lost: true });
  });
});

function* endless(begin: string): Generator<Buffer> {
  yield Buffer.from(begin);
  for (let i = 0; i < 10_000; i++) yield Buffer.from('aaa');
}

describe('encoding', () => {
  const message = fc
    .tuple(fc.jsonValue({ stringUnit: 'binary' }), picks)
    .map(([each, pick]) => spell({ each }, pick));

  it('comes back as the same value, line breaks between tokens included', () => {
    const id = fc.option(fc.constantFrom('g_1', 'p12_345'), { nil: undefined });
    fc.assert(
      fc.property(fc.array(fc.tuple(message, id), { maxLength: 5 }), cuts, (events, places) => {
        const bytes = Buffer.concat(events.map(([text, each]) => sseEvent(Buffer.from(text), each)));
        const { heard } = decode(cut(bytes, places));
        expect(heard.map(([, data, each]) => [JSON.parse(data as string), each])).toEqual(
          events.map(([text, each]) => [JSON.parse(text), each]),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('leaves the message that it was given alone', () => {
    const bytes = Buffer.from('{\r\n"a": 1}');
    expect(sseEvent(bytes).toString()).toBe('event: message\ndata: {  "a": 1}\n\n');
    expect(bytes.toString()).toBe('{\r\n"a": 1}');
  });

  it('has nothing to say in a comment, and an id in a priming event', () => {
    expect(decodeText(SSE_COMMENT + ssePriming('g_7', 1_000))).toEqual([
      ['retry', 1_000],
      ['primed', 'g_7'],
    ]);
  });
});
