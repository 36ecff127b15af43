import { describe, expect, it } from 'vitest';
import {
  type Envelope,
  looksLikeBatch,
  MAX_BATCH_MESSAGE_COUNT,
  MAX_ID_BYTES,
  MAX_JSON_DEPTH_LEVELS,
  ScanError,
  scanBatch,
  scanMessage,
} from './scan.js';
import { binaryOf } from './text.js';

function scan(text: string): Envelope {
  return scanMessage(Buffer.from(text));
}

/** The error of reading the text, or bytes, as `read` does. */
function faultOf(text: string | Buffer, read: (bytes: Buffer) => unknown = scanMessage): ScanError {
  try {
    read(Buffer.from(text as string));
  } catch (thrown) {
    if (thrown instanceof ScanError) return thrown;
    throw thrown;
  }
  throw new Error(`${text.toString().slice(0, 200)} was taken`);
}

/** A notification whose params have these members. */
const withParams = (members: string) => `{"jsonrpc":"2.0","method":"m","params":{${members}}}`;
const withId = (id: string) => `{"jsonrpc":"2.0","id":${id},"method":"m"}`;

describe('duplicate keys', () => {
  it.each([
    ['at the top', '{"jsonrpc":"2.0","method":"a","method":"b"}', 'method'],
    ['in params', withParams('"name":1,"name":1'), 'name'],
    ['in an object of an array', withParams('"a":[1,[{"x":1,"y":2,"x":3}]]'), 'x'],
    ['with an escape', withParams('"a":1,"\\u0061":2'), 'a'],
    ['with an escape first', withParams('"\\u0061":1,"a":2'), 'a'],
    ['escaped in two ways', withParams('"\\u00e9\\/":1,"\\u00E9/":2'), 'é/'],
    ['of characters beyond one unit', withParams('"😀":1,"\\ud83d\\ude00":2'), '😀'],
    ['that are empty', withParams('"":1,"":2'), ''],
    ['that JavaScript treats as its own', withParams('"__proto__":1,"__proto__":2'), '__proto__'],
    ['around an object with the same key', withParams('"a":{"a":{"a":1}},"a":1'), 'a'],
  ])('are refused %s', (_, text, key) => {
    const fault = faultOf(text);
    expect(fault.kind).toBe('invalid');
    expect(fault.message).toBe(`the key ${JSON.stringify(key)} stands twice in one object`);
  });

  it.each([23, 24, 25, 26, 2_000])('are refused in an object of %i keys, wherever the two stand', (count) => {
    const keys = Array.from({ length: count }, (_, i) => `"key ${i}":{"key ${i}":${i}}`);
    expect(scan(withParams(keys.join())).kind).toBe('notification');
    for (const twice of [0, 1, 23, 24, count - 1]) {
      for (const at of [0, 22, 23, 24, 25, count]) {
        const list = keys.toSpliced(at, 0, `"\\u006bey ${twice}":0`);
        if (twice >= count) continue;
        expect(faultOf(withParams(list.join())).message).toContain(`"key ${twice}" stands twice`);
      }
    }
  });

  it('are not seen in keys that only have the same digest', () => {
    // Pairs with one FNV-1a digest of 32 bits.
    const pairs = '"costarring":1,"liquid":2,"declinate":3,"macallums":4,"altarage":5,"zinke":6';
    expect(scan(withParams(pairs)).kind).toBe('notification');
    expect(faultOf(withParams(`${pairs},"liquid":7`)).message).toContain('"liquid" stands twice');
  });

  it('are not seen in different objects, nor in halves of a character', () => {
    expect(scan(withParams('"a":[{"a":1},{"a":1}],"b":{"a":1}')).kind).toBe('notification');
    expect(scan(withParams('"\\ud800":1,"\\ud801":2,"\ufffd":3')).kind).toBe('notification');
  });

  it('are found in a message that has more open keys than there was room for', () => {
    // Each level holds its keys while the next is read: 80 levels of 20 are more than the first 1,024 places.
    const level = Array.from({ length: 19 }, (_, i) => `"k${i}":${i}`).join();
    const message = (innermost: string) =>
      withParams(`${`${level},"next":{`.repeat(80)}${innermost}${'}'.repeat(80)}`);
    expect(scan(message('"a":1')).kind).toBe('notification');
    expect(faultOf(message('"a":1,"a":1')).message).toContain('"a" stands twice');
  });
});

describe('nesting', () => {
  const levels = MAX_JSON_DEPTH_LEVELS - 2;
  const arrays = (count: number) => withParams(`"a":${'['.repeat(count)}${']'.repeat(count)}`);
  const objects = (count: number) => withParams(`"a":${'{"a":'.repeat(count)}1${'}'.repeat(count)}`);

  it('is read to the limit, and refused beyond it', () => {
    for (const nest of [arrays, objects]) {
      expect(scan(nest(levels)).kind).toBe('notification');
      const fault = faultOf(nest(levels + 1));
      expect(fault).toMatchObject({ kind: 'invalid', message: 'nested deeper than 96 levels' });
    }
  });

  it('of a million levels costs no stack', () => {
    for (const bomb of [
      '['.repeat(1e6),
      '{"a":'.repeat(1e6),
      withParams('"a":'.concat('[{"a":'.repeat(1e6))),
    ]) {
      expect(faultOf(bomb).message).toBe('nested deeper than 96 levels');
    }
    expect(faultOf('['.repeat(1e6), scanBatch).message).toBe('nested deeper than 96 levels');
  });
});

describe('ids', () => {
  it.each(['0', '-1', '9007199254740993123', '""', '"a"', '"\\u0061\\n"', '"id ü"'])('%s is one', (id) => {
    const bytes = Buffer.from(withId(id));
    const envelope = scanMessage(bytes);
    expect(envelope.kind).toBe('request');
    expect(binaryOf(bytes, envelope.id as { start: number; end: number })).toBe(
      Buffer.from(id).toString('latin1'),
    );
  });

  it.each(['null', 'true', '1.5', '1.0', '1e3', '{}', '[1]'])('%s is none', (id) => {
    expect(faultOf(withId(id))).toMatchObject({
      kind: 'invalid',
      id: undefined,
      message: '`id` is not a string and not an integer',
    });
  });

  it('have a limit', () => {
    const longest = `"${'a'.repeat(MAX_ID_BYTES - 2)}"`;
    expect(scan(withId(longest)).kind).toBe('request');
    expect(faultOf(withId(`"a${longest.slice(1)}`))).toMatchObject({
      kind: 'invalid',
      id: undefined,
      message: '`id` is longer than 256 bytes',
    });
    expect(faultOf(withId('1'.repeat(MAX_ID_BYTES + 1))).kind).toBe('invalid');
  });

  it('may be null in an error only, which then answers nobody in particular', () => {
    const envelope = scan('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}');
    expect([envelope.kind, envelope.id, envelope.errorCode]).toEqual(['error', undefined, -32700]);
    expect(faultOf('{"jsonrpc":"2.0","id":null,"result":{}}').kind).toBe('invalid');
  });

  it('are told with a fault behind them, so that its answer can name the request', () => {
    expect(faultOf('{"jsonrpc":"2.0","id":"ü","method":"m","params":[]}').id).toBe(
      Buffer.from('"ü"').toString('latin1'),
    );
    expect(faultOf('{"jsonrpc":"2.0","id":7,"method":"m",').id).toBe('7');
    expect(faultOf('{"jsonrpc":"2.0","method":"m","id":7').id).toBe('7');
    expect(faultOf('{"jsonrpc":"2.0","method":"m",,"id":7}').id).toBeUndefined();
  });
});

describe('methods', () => {
  it.each(['', 'a b', 'm\\n', 'm\\r\\nMcp-Name: x', '\\u0000', 'ü', '\\ud800', 'm'.repeat(257)])(
    '%j is none, because a header could not repeat it',
    (method) => {
      expect(faultOf(`{"jsonrpc":"2.0","id":1,"method":"${method}"}`)).toMatchObject({
        kind: 'invalid',
        id: '1',
        message: '`method` is not 1 to 256 visible ASCII characters',
      });
    },
  );

  it('are read with their escapes undone', () => {
    expect(scan('{"jsonrpc":"2.0","method":"tools\\/c\\u0061ll"}').method).toBe('tools/call');
    expect(scan('{"jsonrpc":"\\u0032.0","method":"m"}').kind).toBe('notification');
  });
});

describe('encoding', () => {
  const valid = '{"jsonrpc":"2.0","id":"ü","method":"m","params":{"ключ":"😀"}}';

  it('is UTF-8', () => {
    expect(scan(valid).kind).toBe('request');
  });

  it.each([
    ['a byte that begins nothing', [0xff]],
    ['half a character', [0xc3]],
    ['a character spelled too long', [0xc0, 0xaf]],
    ['half a surrogate pair', [0xed, 0xa0, 0x80]],
    ['a character beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
  ])('with %s is refused, in keys and in values', (_, bad) => {
    for (const text of [withParams('"a":"?"'), withParams('"?":1'), withId('"?"')]) {
      const at = text.indexOf('?');
      const bytes = Buffer.concat([
        Buffer.from(text.slice(0, at)),
        Buffer.from(bad),
        Buffer.from(text.slice(at + 1)),
      ]);
      expect(faultOf(bytes)).toMatchObject({
        kind: 'parse',
        id: undefined,
        message: 'not JSON: it is not UTF-8',
      });
    }
  });

  it('says whose message it is when the id can be read', () => {
    expect(faultOf(Buffer.from(valid.replace('😀', '\u00ff'), 'latin1')).id).toBeUndefined();
    expect(faultOf(Buffer.from('{"jsonrpc":"2.0","id":3,"result":{"a":"\u00ff"}}', 'latin1')).id).toBe('3');
  });

  it('has no byte order mark', () => {
    expect(faultOf(`\ufeff${valid}`).kind).toBe('parse');
  });
});

describe('batches', () => {
  const batch = (...messages: string[]) => scanBatch(Buffer.from(`[${messages.join()}]`));
  const refused = (text: string) => faultOf(text, scanBatch);

  it('are told from messages by their first byte', () => {
    expect(looksLikeBatch(Buffer.from(' \r\n\t[{}]'))).toBe(true);
    for (const text of ['{"a":[]}', '', '  ', '"["']) expect(looksLikeBatch(Buffer.from(text))).toBe(false);
  });

  it('are read message by message, each with its own parts', () => {
    const text = ` [ ${withId('1')} ,\n${withId('2')}, {"jsonrpc":"2.0","method":"n","params":{"name":"x"}} ] `;
    const bytes = Buffer.from(text);
    const read = scanBatch(bytes).map(({ kind, id, name }) => [
      kind,
      id && binaryOf(bytes, id),
      name && binaryOf(bytes, name),
    ]);
    expect(read).toEqual([
      ['request', '1', undefined],
      ['request', '2', undefined],
      ['notification', undefined, '"x"'],
    ]);
  });

  it('have a limit', () => {
    const most = Array.from({ length: MAX_BATCH_MESSAGE_COUNT }, (_, i) => withId(String(i)));
    expect(batch(...most)).toHaveLength(MAX_BATCH_MESSAGE_COUNT);
    expect(refused(`[${[...most, withId('"more"')].join()}]`)).toMatchObject({
      kind: 'invalid',
      message: 'a batch holds at most 100 messages',
    });
  });

  it('are refused whole for one bad message, in nobody’s name', () => {
    expect(refused(`[${withId('1')},${withId('null')}]`)).toMatchObject({ kind: 'invalid', id: undefined });
    expect(refused(`[${withId('1')},${withParams('"a":1,"a":1')}]`)).toMatchObject({
      kind: 'invalid',
      id: undefined,
    });
    expect(refused(`[${withId('1')}`)).toMatchObject({ kind: 'parse', id: undefined });
    expect(refused(`[${withId('1')},]`)).toMatchObject({ kind: 'parse', id: undefined });
    expect(refused(`[${withId('1')}] x`)).toMatchObject({ kind: 'parse', id: undefined });
    expect(refused(`[${withId('1')} ${withId('2')}]`)).toMatchObject({ kind: 'parse', id: undefined });
    expect(refused('[1]')).toMatchObject({ kind: 'invalid', id: undefined });
    expect(refused(`[[${withId('1')}]]`)).toMatchObject({ kind: 'invalid', id: undefined });
    expect(refused('[]')).toMatchObject({ kind: 'invalid', message: 'a batch is not empty' });
    expect(refused('{}')).toMatchObject({
      kind: 'parse',
      message: 'not JSON: a batch is an array at byte 0',
    });
  });

  it('leave nothing behind for the next message', () => {
    expect(() => batch(withId('5'), 'x')).toThrow(ScanError);
    expect(faultOf('{"jsonrpc":').id).toBeUndefined();
    expect(faultOf('{"jsonrpc":"2.0","id":6,').id).toBe('6');
  });
});

describe('what is wrong', () => {
  it.each([
    ['', 'not JSON: a value is missing, but the message ends there'],
    ['nonsense', 'not JSON: a value is missing at byte 0'],
    ['{"jsonrpc":"2.0","method":"m"} x', 'not JSON: something stands behind the message at byte 31'],
    ['{"a":01}', 'not JSON: a comma or a closing brace is missing at byte 6'],
    ['{"a":1.}', 'not JSON: a number has no digits at byte 7'],
    ['{"a":-}', 'not JSON: a number has no digits at byte 5'],
    ['{"a":1e+}', 'not JSON: a number has no digits at byte 8'],
    ['{"a":tru}', 'not JSON: a value is missing at byte 5'],
    ['{"a" 1}', 'not JSON: a colon is missing at byte 5'],
    ['{a:1}', 'not JSON: a key is missing at byte 1'],
    ['{"a":1,}', 'not JSON: a key is missing at byte 7'],
    ['{"a":[1,]}', 'not JSON: a value is missing at byte 8'],
    ['{"a":"\t"}', 'not JSON: a control character stands in a string at byte 6'],
    ['{"a":"\\x"}', 'not JSON: an unknown escape stands in a string at byte 6'],
    ['{"a":"\\u00g0"}', 'not JSON: a \\u escape is not four hexadecimal digits at byte 6'],
    ['{"a":"b', 'not JSON: a string is not closed, but the message ends there'],
    ['{"a":"b\\"', 'not JSON: a string is not closed, but the message ends there'],
  ])('is said of %s, and where', (text, message) => {
    expect(faultOf(text)).toMatchObject({ kind: 'parse', message });
  });
});
