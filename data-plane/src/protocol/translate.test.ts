import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ErrorCode } from './errors.js';
import { type Pick, picks, spell } from './json-spelling.js';
import { META } from './revisions.js';
import { scanMessage } from './scan.js';
import { binaryOf, toBinary } from './text.js';
import {
  legacyRequest,
  legacyResponse,
  type Message,
  modernRequest,
  modernResponse,
  retryRequest,
  withId,
} from './translate.js';

function read(text: string): Message {
  const bytes = Buffer.from(text);
  return { bytes, envelope: scanMessage(bytes) };
}

const spelled = (value: unknown, pick: Pick) => read(spell(value, pick));
const valueAt = ({ bytes }: Message) => JSON.parse(bytes.toString());
const idOf = ({ bytes, envelope }: Message) => envelope.id && binaryOf(bytes, envelope.id);

/** Members that mean nothing to the gateway. */
const unknown = fc.dictionary(
  fc.string({ unit: 'binary', maxLength: 8 }).filter((key) => !KNOWN.has(key)),
  fc.jsonValue({ stringUnit: 'binary', maxDepth: 2 }),
  { maxKeys: 4 },
);
const KNOWN = new Set([
  '_meta',
  'resultType',
  'ttlMs',
  'cacheScope',
  'structuredContent',
  'code',
  '__proto__',
]);
const id = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.maxSafeInteger());
const protocolMeta = fc.record(
  Object.fromEntries(Object.values(META).map((key) => [key, fc.constantFrom<unknown>('x', {}, 1)])),
  { requiredKeys: [] },
);
const meta = fc.tuple(unknown, protocolMeta).map(([own, said]) => ({ ...own, ...said }));
const params = fc
  .tuple(unknown, fc.option(meta, { nil: undefined }))
  .map(([own, _meta]) => (_meta === undefined ? own : { ...own, _meta }));
const request = fc.tuple(unknown, id, fc.option(params, { nil: undefined })).map(([own, each, p]) => ({
  ...own,
  jsonrpc: '2.0',
  id: each,
  method: 'tools/call',
  ...(p && { params: p }),
}));

const CLIENT = { capabilities: '{"roots":{}}', clientInfo: '{"name":"\u00c3\u00bc"}', logLevel: 'info' };
const SAID = {
  [META.version]: '2026-07-28',
  [META.capabilities]: { roots: {} },
  [META.clientInfo]: { name: 'ü' },
  [META.logLevel]: 'info',
};

/** What is no business of the protocol in a `_meta`. */
function withoutProtocol(value: Record<string, unknown> | undefined): Record<string, unknown> {
  const names: readonly string[] = Object.values(META);
  return Object.fromEntries(Object.entries(value ?? {}).filter(([key]) => !names.includes(key)));
}

describe('requests', () => {
  it('get the meta of 2026-07-28, and keep everything else', () => {
    fc.assert(
      fc.property(request, picks, (value, pick) => {
        const message = spelled(value, pick);
        const modern = modernRequest(message, CLIENT);
        const { params: given = {}, ...rest } = valueAt(message);
        expect(valueAt(modern)).toEqual({
          ...rest,
          params: { ...given, _meta: { ...withoutProtocol(given._meta), ...SAID } },
        });
        expect(idOf(modern)).toBe(idOf(message));
        expect(modern.envelope).toEqual(scanMessage(modern.bytes));
      }),
      { numRuns: 300 },
    );
  });

  it('lose nothing but the meta of 2026-07-28 on the way to a legacy server', () => {
    fc.assert(
      fc.property(request, picks, (value, pick) => {
        const message = spelled(value, pick);
        const legacy = legacyRequest(message);
        const expected = valueAt(message);
        if (expected.params?._meta !== undefined)
          expected.params._meta = withoutProtocol(expected.params._meta);
        expect(valueAt(legacy)).toEqual(expected);
        expect(idOf(legacy)).toBe(idOf(message));
      }),
      { numRuns: 300 },
    );
  });

  it('come back as they were when they go there and back', () => {
    fc.assert(
      fc.property(request, picks, (value, pick) => {
        const message = legacyRequest(spelled(value, pick));
        const { params: given = {}, ...rest } = valueAt(message);
        const back = valueAt(legacyRequest(modernRequest(message, CLIENT)));
        expect(back).toEqual({ ...rest, params: { ...given, _meta: given._meta ?? {} } });
      }),
    );
  });

  it('carry answers and state, whatever the client put there', () => {
    const message = read(
      '{"jsonrpc":"2.0","id":1,"method":"m","params":{"requestState":"forged","inputResponses":1,"a":1.0}}',
    );
    const again = retryRequest(message, 'retry-1', { name: { action: 'accept', content: 'ü' } }, 'stäte');
    expect(again.bytes.toString()).toBe(
      '{"jsonrpc":"2.0","id":"retry-1","method":"m","params":{"inputResponses":{"name":{"action":"accept","content":"ü"}},"requestState":"stäte","a":1.0}}',
    );
    expect(retryRequest(message, 'r', undefined, undefined).bytes.toString()).toBe(
      '{"jsonrpc":"2.0","id":"r","method":"m","params":{"a":1.0}}',
    );
  });
});

describe('results', () => {
  const result = fc
    .tuple(
      unknown,
      fc.record(
        {
          resultType: fc.constantFrom<unknown>('complete', null),
          ttlMs: fc.constantFrom<unknown>(5, null),
          cacheScope: fc.constantFrom<unknown>('public', null),
          structuredContent: fc.constantFrom<unknown>({ a: 1 }, [1], 'text', null),
          _meta: fc.oneof(meta as fc.Arbitrary<unknown>, fc.constant(null), fc.constant(7)),
        },
        { requiredKeys: [] },
      ),
    )
    .map(([own, said]) => ({ ...own, ...said }));
  const response = fc
    .tuple(unknown, id, result)
    .map(([own, each, r]) => ({ ...own, jsonrpc: '2.0', id: each, result: r }));

  it('get what 2026-07-28 wants, and keep everything else', () => {
    const serverInfo = fc.constantFrom(undefined, { name: 'ü', version: '1' });
    fc.assert(
      fc.property(
        response,
        fc.constantFrom('tools/call', 'tools/list'),
        serverInfo,
        picks,
        (value, method, info, pick) => {
          const message = spelled(value, pick);
          const modern = modernResponse(message, method, info);
          const expected = valueAt(message);
          const { result: own } = expected;
          own.resultType ??= 'complete';
          if (method === 'tools/list') {
            own.ttlMs ??= 0;
            own.cacheScope ??= 'private';
          }
          if (info !== undefined) {
            const given = typeof own._meta === 'object' ? own._meta : {};
            own._meta = { [META.serverInfo]: info, ...given };
          }
          expect(valueAt(modern)).toEqual(expected);
          expect(idOf(modern)).toBe(idOf(message));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('lose nothing but what a legacy client cannot read', () => {
    fc.assert(
      fc.property(response, picks, (value, pick) => {
        const message = spelled(value, pick);
        const expected = valueAt(message);
        const { result: own } = expected;
        const legacy = legacyResponse(message, 'tools/call');
        if (own.resultType === null) {
          expect(legacy).toBe('not complete');
          return;
        }
        delete own.resultType;
        delete own.ttlMs;
        delete own.cacheScope;
        const structured = own.structuredContent;
        if (structured === null || typeof structured !== 'object' || Array.isArray(structured))
          delete own.structuredContent;
        expect(valueAt(legacy as Message)).toEqual(expected);
        expect(idOf(legacy as Message)).toBe(idOf(message));
      }),
      { numRuns: 500 },
    );
  });

  it('that are not complete cannot be said to a legacy client', () => {
    for (const type of ['"input_required"', '"task"', '7', '"completed"']) {
      const message = read(`{"jsonrpc":"2.0","id":1,"result":{"resultType":${type}}}`);
      expect(legacyResponse(message, 'tools/call')).toBe('not complete');
    }
    const escaped = read('{"jsonrpc":"2.0","id":1,"result":{"resultType":"c\\u006fmplete","a":1}}');
    expect((legacyResponse(escaped, 'tools/call') as Message).bytes.toString()).toContain('"result":{"a":1}');
  });

  it('that a legacy client can read stay as they are', () => {
    const message = read('{"jsonrpc":"2.0","id":1,"result":{ "content": [] }}');
    expect(legacyResponse(message, 'tools/call')).toBe(message);
  });
});

describe('errors', () => {
  const error = (code: number, more = '') =>
    read(`{"jsonrpc":"2.0","id":1,"error":{"code":${code},"message":"?"${more}},"x":1.0}`);

  it('for a resource that is not there have the code of their revision', () => {
    const legacy = error(ErrorCode.ResourceNotFound, ',"data":{"uri":"a:b","n":1.0}');
    const modern = modernResponse(legacy, 'resources/read', undefined);
    expect(modern.bytes.toString()).toBe(legacy.bytes.toString().replace('-32002', '-32602'));
    expect((legacyResponse(modern, 'resources/read') as Message).bytes).toEqual(legacy.bytes);
  });

  it('of other kinds stay as they are', () => {
    const invalid = error(ErrorCode.InvalidParams);
    expect(modernResponse(invalid, 'resources/read', {})).toBe(invalid);
    expect(legacyResponse(invalid, 'resources/read')).toBe(invalid);
    const withUri = error(ErrorCode.InvalidParams, ',"data":{"uri":"a:b"}');
    expect(legacyResponse(withUri, 'tools/call')).toBe(withUri);
    const internal = error(ErrorCode.InternalError, ',"data":{"uri":"a:b"}');
    expect(legacyResponse(internal, 'resources/read')).toBe(internal);
  });
});

it('a legacy server hears nothing of answers to what it did not ask', () => {
  const params = { name: 'n', inputResponses: { a: {} }, requestState: 's', _meta: { own: 1 } };
  const retry = read(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }));
  expect(valueAt(legacyRequest(retry)).params).toEqual({ name: 'n', _meta: { own: 1 } });
});

describe('an output schema for a legacy client', () => {
  const list = (...tools: object[]) => read(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools } }));
  const object = { name: 'a', outputSchema: { type: 'object' }, other: 1 };

  it.each([{ type: 'array' }, { anyOf: [{ type: 'object' }] }, true, null])('%j goes', (outputSchema) => {
    const legacy = legacyResponse(list(object, { name: 'b', outputSchema, other: 2 }), 'tools/list');
    expect(valueAt(legacy as Message).result).toEqual({ tools: [object, { name: 'b', other: 2 }] });
  });

  it('of an object stays, and so do the bytes of the list', () => {
    const message = list(object, { name: 'b' });
    expect(legacyResponse(message, 'tools/list')).toBe(message);
  });
});

describe('numbers that JavaScript cannot hold', () => {
  const exact = '{"big":12345678901234567890,"float":1.0,"small":1e-400}';

  it('go through both ways', () => {
    const call = read(
      `{"jsonrpc":"2.0","id":9007199254740993,"method":"m","params":{"a":${exact},"_meta":{"b":${exact}}}}`,
    );
    for (const message of [modernRequest(call, CLIENT), legacyRequest(call)]) {
      expect(message.bytes.toString()).toContain(`"a":${exact}`);
      expect(message.bytes.toString()).toContain(`"b":${exact}`);
      expect(idOf(message)).toBe('9007199254740993');
    }
    const reply = read(
      `{"jsonrpc":"2.0","id":1,"result":{"ttlMs":1,"structuredContent":${exact},"_meta":{"b":${exact}}}}`,
    );
    for (const message of [
      modernResponse(reply, 'tools/list', {}),
      legacyResponse(reply, 'tools/list') as Message,
    ]) {
      expect(message.bytes.toString()).toContain(`"structuredContent":${exact}`);
      expect(message.bytes.toString()).toContain(`"b":${exact}`);
    }
  });
});

describe('an id', () => {
  it('is exchanged, and nothing else', () => {
    const message = read('{ "id":7 ,"jsonrpc":"2.0","result":{"a":1.0}}');
    expect(withId(message, toBinary('"ü"')).bytes.toString()).toBe(
      '{ "id":"ü" ,"jsonrpc":"2.0","result":{"a":1.0}}',
    );
    expect(withId(message, '7')).toBe(message);
  });
});
