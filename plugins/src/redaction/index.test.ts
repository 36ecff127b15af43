import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCard, isIban, isLuhn } from './checksums.js';
import { DETECTORS, NODE_SECRET_BYTES, nodeSecret, Redactor, StreamRedactor } from './index.js';

const all = new Redactor({ detectors: DETECTORS, secret: 'a secret of tests' });
const CARD = '4111 1111 1111 1111';
const KEY = 'AKIAIOSFODNN7EXAMPLE';

describe('checksums', () => {
  it.each(['4111111111111111', '5555555555554444', '378282246310005', '6011111111111117', '30569309025904'])(
    '%s is the number of a card',
    (digits) => {
      expect(isCard(digits)).toBe(true);
      const last = String((Number(digits.at(-1)) + 1) % 10);
      expect(isLuhn(digits.slice(0, -1) + last)).toBe(false);
    },
  );
  it.each(['4111111111111112', '1111111111111111', '0000000000000000', '411111111111'])(
    '%s is none',
    (digits) => {
      expect(isCard(digits)).toBe(false);
    },
  );
  it.each([
    'DE89370400440532013000',
    'GB29NWBK60161331926819',
    'NO9386011117947',
    'MT84MALT011000012345MTLCAST001S',
  ])('%s is an account', (text) => {
    expect(isIban(text)).toBe(true);
    expect(isIban(`${text.slice(0, -1)}${text.endsWith('9') ? '8' : '9'}`)).toBe(false);
  });
  it.each(['DE8937040044053201300', 'XX89370400440532013000', ''])('%j is none', (text) => {
    expect(isIban(text)).toBe(false);
  });
});

describe.each(DETECTORS)('$id', ({ id, example }) => {
  it('is found, alone and in a sentence, and has one token', () => {
    const alone = all.text(example);
    const [token] = /\[redacted:[a-z-]+:[0-9a-f]{12}\]/.exec(alone) ?? [];
    expect(token).toMatch(`[redacted:${id}:`);
    expect(all.text(`Here it is: ${example}. Thank you`)).toContain(token);
  });
  it('is not found when it is not looked for', () => {
    const others = new Redactor({ detectors: DETECTORS.filter((other) => other.id !== id), secret: 'x' });
    expect(others.text(example)).not.toContain(`[redacted:${id}:`);
  });
});

describe('what only looks like a secret stays', () => {
  it.each([
    'order 4111 1111 1111 1112 of 2024-01-01',
    'the 1234567890123456th word',
    'at 4545750000002 and 4543209999999',
    'rows 41 111 1111 1111 111 and 4111 1111-1111 1111',
    'DE89 3704 0044 0532 0130 01',
    'risk-based and task-oriented sk-short',
    'eyJhbGciOiJIUzI1NiJ9 without a signature',
    'eyJub3QiOiJhIGhlYWRlciJ9.eyJhIjoxfQ.AAAA',
    'https://example.com:8080/path@version',
    'see @someone, a@b, and AKIA',
    'sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    'id 550e8400-e29b-41d4-a716-446655440000',
    '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----',
  ])('%s', (text) => {
    expect(all.text(text)).toBe(text);
  });
});

describe('however it is written', () => {
  const percent = [...KEY].map((each) => `%${each.charCodeAt(0).toString(16)}`).join('');
  const wide = [...KEY].map((each) => String.fromCharCode(each.charCodeAt(0) + 0xfee0)).join('');
  const base64 = Buffer.from(`key: ${KEY}`).toString('base64');
  it.each([
    ['percent-encoded', percent],
    ['percent-encoded twice', percent.replaceAll('%', '%25')],
    ['as character references', [...KEY].map((each) => `&#x${each.charCodeAt(0).toString(16)};`).join('')],
    ['as decimal references', [...KEY].map((each) => `&#${each.charCodeAt(0)};`).join('')],
    ['as escapes of JSON', [...KEY].map((each) => `\\u00${each.charCodeAt(0).toString(16)}`).join('')],
    ['full-width', wide],
    ['with characters that nobody sees', [...KEY].join('\u200b')],
    ['with variation selectors', [...KEY].join('\u{e0101}')],
    ['as other escapes', [...KEY].map((each) => `\\u{${each.charCodeAt(0).toString(16)}}`).join('')],
    [
      'in octal digits',
      [...KEY].map((each) => `\\${each.charCodeAt(0).toString(8).padStart(3, '0')}`).join(''),
    ],
    ['in hexadecimal digits', Buffer.from(KEY).toString('hex')],
    ['with marks on its letters', [...KEY].join('\u0301')],
    ['in base64', base64],
    ['in base64 behind something', `x${base64}`],
    ['in base64 with line breaks', base64.replace(/(.{8})/g, '$1\r\n')],
    ['in base64url without padding', Buffer.from(`key: ${KEY}`).toString('base64url')],
    ['in base64 twice', Buffer.from(base64).toString('base64')],
    ['in base64, percent-encoded', encodeURIComponent(base64)],
    ['in JSON in a text', JSON.stringify({ key: { inner: JSON.stringify({ key: KEY }) } })],
  ])('%s', (_, text) => {
    const own = all.text(`before ${text} behind`);
    expect(own).toContain('[redacted:aws-access-key:');
    expect(own).toMatch(/^before .* behind$/s);
    expect(own).not.toContain(text);
  });

  it('has the same token, where it stands alone', () => {
    const token = all.text(KEY);
    for (const text of [percent, wide, Buffer.from(KEY).toString('base64'), [...KEY].join('\u200d')])
      expect(all.text(text)).toBe(token);
    expect(all.text('4111-1111-1111-1111')).toBe(all.text(CARD));
    expect(all.text('4111111111111111')).toBe(all.text(CARD));
    for (const own of ['\u2013', '\n', '\t', '  '])
      expect(all.text(CARD.replaceAll(' ', own))).toBe(all.text(CARD));
    expect(all.text([...CARD.replaceAll(' ', '')].join(' '))).toBe(all.text(CARD));
    const digits = [...CARD].map((each) => (each === ' ' ? each : String.fromCharCode(0x660 + Number(each))));
    expect(all.text(digits.join(''))).toBe(all.text(CARD));
  });

  it('leaves what stands beside it in the text', () => {
    expect(all.text(`caf\u00e9 %20 &amp; ${percent} \\n \u{1f600}`)).toBe(
      `caf\u00e9 %20 &amp; ${all.text(KEY)} \\n \u{1f600}`,
    );
  });
});

describe('tokens', () => {
  it('tell secrets apart, and say the same of the same', () => {
    const other = 'AKIAIOSFODNN7EXAMPLF';
    expect(all.text(KEY)).not.toBe(all.text(other));
    expect(all.text(`${KEY} ${KEY}`)).toBe(`${all.text(KEY)} ${all.text(KEY)}`);
    const elsewhere = new Redactor({ detectors: DETECTORS, secret: 'another' });
    expect(elsewhere.text(KEY)).not.toBe(all.text(KEY));
  });
  it('hide nothing behind what looks like one', () => {
    expect(all.text(`[redacted:email:${KEY}]`)).not.toContain(KEY);
    expect(all.text(`[redacted:nothing:0123456789ab]${CARD}`)).not.toContain(CARD);
  });
  it('are keyed by a random secret of the node', () => {
    const shared = new SharedArrayBuffer(NODE_SECRET_BYTES);
    expect(nodeSecret(shared)).toEqual(nodeSecret(shared));
    expect(nodeSecret(shared)).not.toEqual(nodeSecret(new SharedArrayBuffer(NODE_SECRET_BYTES)));
    expect(() => nodeSecret(new SharedArrayBuffer(0))).toThrow(RangeError);
  });
});

describe('JSON', () => {
  it('keeps its form', () => {
    const value = JSON.parse(
      `{"a":[{"card":4111111111111111,"ok":12}],"${KEY}":1,"__proto__":{"mail":"ada@example.com"},"n":null}`,
    );
    const own: any = all.json(value);
    expect(own.a[0]).toEqual({ card: all.text('4111111111111111'), ok: 12 });
    expect(Object.keys(own)).toEqual(['a', all.text(KEY), '__proto__', 'n']);
    expect(Object.getPrototypeOf(own)).toBe(Object.prototype);
    expect(JSON.stringify(own)).not.toMatch(/ada@|4111|AKIA/);
    expect(({} as any).mail).toBeUndefined();
  });
  it('is the same object when nothing is found', () => {
    const value = { a: [{ b: 'c' }, 1, null, true], d: 'e' };
    expect(all.json(value)).toBe(value);
  });
  it('inside of a text stays JSON', () => {
    const own = all.text(JSON.stringify({ card: 4111111111111111, text: 'x' }));
    expect(JSON.parse(own)).toEqual({ card: all.text('4111111111111111'), text: 'x' });
  });
  it('is gone through however deep it is', () => {
    let value: any = KEY;
    for (let depth = 0; depth < 2_000; depth += 1) value = { a: value };
    expect(JSON.stringify(all.json(value))).not.toContain(KEY);
  });
});

const piece = fc.oneof(
  fc.constantFrom(...DETECTORS.map(({ example }) => example)),
  fc.constantFrom(
    ' ',
    '\n',
    '[',
    ']',
    '{"a":',
    '}',
    '%4',
    '1',
    '&#x4',
    '\\u00',
    '"',
    '\u200b',
    '[redacted:email:',
    '=',
  ),
  fc.string({ maxLength: 12 }),
  fc.constantFrom(CARD, KEY).map((text) => Buffer.from(text).toString('base64')),
);
const anyText = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));

describe('whatever the text', () => {
  const own = new Redactor({
    detectors: DETECTORS,
    patterns: [
      { id: 'digits', pattern: '[0-9]{2,}' },
      { id: 'word', pattern: '(?i)\\bada\\b|^x|y$' },
    ],
    secret: randomBytes(16),
  });
  it.each([
    ['with those that come with the product', all],
    ['with own ones', own],
  ])('what has been redacted stays as it is, %s', (_, redactor) => {
    fc.assert(
      fc.property(anyText, (text) => {
        const once = redactor.text(text);
        expect(redactor.text(once)).toBe(once);
        // A token for each character at most.
        expect(once.length).toBeLessThanOrEqual(text.length * 64);
      }),
      { numRuns: 400 },
    );
  });
  it('a value that has been redacted is the same object', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), anyText, (value, text) => {
        const once = all.json({ value, text } as never);
        expect(all.json(once)).toBe(once);
        expect(() => JSON.parse(JSON.stringify(once))).not.toThrow();
      }),
      { numRuns: 200 },
    );
  });
});

describe('a text in pieces', () => {
  const examples = DETECTORS.filter(({ id }) => id !== 'phone').map(({ id, example }) => ({ id, example }));
  const stream = () => new StreamRedactor(all, () => undefined);

  it.each(examples)('never tells $id, wherever it is cut', ({ example }) => {
    const [{ start, end } = { start: 0, end: 0 }] = all.find(example);
    const last = example.slice(start, end).slice(-12);
    for (let cut = 1; cut < example.length; cut += 1) {
      const scanner = stream();
      const out = [`see ${example.slice(0, cut)}`, `${example.slice(cut)} there`].map((each) =>
        scanner.feed(each),
      );
      const said = out.join('') + scanner.end();
      expect(said).toContain('[redacted:');
      expect(said).not.toContain(last);
    }
  });

  it('is told when nothing comes of it', () => {
    const scanner = stream();
    expect(scanner.feed('the key is AKIA')).toBe('the key is ');
    expect(scanner.feed('N is a name')).toBe('AKIAN is a name');
    expect(scanner.end()).toBe('');
  });

  it.each(['Processing file 3 of 12', 'https://example.com:8080', 'done.', 'risk-based', '50% of 1024'])(
    'passes at once: %s',
    (text) => {
      expect(stream().feed(text)).toBe(text);
    },
  );

  it('says the same in pieces as in one, but for where tokens are', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 9 }), { maxLength: 8 }), (pieces) => {
        const scanner = stream();
        const said = pieces.map((each) => scanner.feed(each)).join('') + scanner.end();
        const whole = all.text(pieces.join(''));
        if (!whole.includes('[redacted:')) expect(said).toBe(pieces.join(''));
      }),
      { numRuns: 200 },
    );
  });

  it('grows by no more than a token for each character, and stays as it is when it goes through once more', () => {
    const through = (pieces: readonly string[]) => {
      const scanner = stream();
      // As notifications are gone through: each by itself, and then as a part of what was said before.
      return pieces.map((piece) => scanner.feed(all.text(piece))).join('') + scanner.end();
    };
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 6 }), (pieces) => {
        const said = through(pieces);
        expect(said.length).toBeLessThanOrEqual(pieces.join('').length * 64);
        expect(through([said])).toBe(said);
      }),
      { numRuns: 300 },
    );
  });

  it('holds back no more than so much', () => {
    const scanner = stream();
    let out = 0;
    for (let count = 0; count < 50; count += 1) out += scanner.feed(`AKIA${'-'.repeat(996)}`).length;
    expect(out).toBeGreaterThan(44_000);
  });
});

describe('what a hostile text costs', () => {
  const stringsOf = (length: number) => [
    'eyJ'.repeat(length / 3),
    '://a:'.repeat(length / 5),
    'a@'.repeat(length / 2),
    '4111 '.repeat(length / 5),
    'DE89'.repeat(length / 4),
    '-----BEGIN PRIVATE KEY-----'.repeat(length / 27),
    '&#x41;'.repeat(length / 6),
    'sig='.repeat(length / 4),
    `${'a-'.repeat(length / 2)}@`,
  ];
  it('grows as the text does: each is gone through to its end', () => {
    for (const text of stringsOf(200_000)) expect(all.text(text).length).toBeGreaterThan(0);
  });
});
