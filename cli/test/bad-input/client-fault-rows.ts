import { MODERN } from '../stories/raw-http.js';
import {
  call,
  type Fields,
  head,
  initialize,
  legacyFields,
  MODERN_META,
  modernCall,
  modernFields,
  post,
} from './requests.js';

/*
 * What clients may get wrong, one fault in each row, and the answer that the revisions demand. Status and code of
 * 2026-07-28 are those of basic/transports/streamable-http ("Server Validation", "Protocol Version Header") and
 * of basic ("Error Codes"); of the legacy revisions those of 2025-11-25, basic/transports.
 */

/** Codes of JSON-RPC 2.0, of revision 2026-07-28 (basic, "Error Codes"), and of the gateway's own. */
const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const HEADER_MISMATCH = -32020;
const UNSUPPORTED_VERSION = -32022;
const FORBIDDEN = -31007;
const SESSION_NOT_FOUND = -31008;

/** What is sent, what has to come back, and what its message has to name. */
export type Row = [
  fault: string,
  bytes: (place: Place) => string | Buffer,
  status: number,
  code: number,
  says: string,
];

export interface Place {
  /** The endpoint. */
  readonly path: string;
  /** A tool there, which would be called if the request were good. */
  readonly tool: string;
  /** A legacy session there. */
  readonly session: string;
}

const META = MODERN_META;
const version = 'io.modelcontextprotocol/protocolVersion';
const capabilities = 'io.modelcontextprotocol/clientCapabilities';
const logLevel = 'io.modelcontextprotocol/logLevel';
const without = (key: string) => Object.fromEntries(Object.entries(META).filter(([each]) => each !== key));

/** A modern call with another body, or with other fields. */
export const modern =
  (body: (place: Place) => unknown, fields: Fields = {}) =>
  (place: Place) => {
    const made = body(place);
    const text = typeof made === 'string' || Buffer.isBuffer(made) ? made : JSON.stringify(made);
    return post(place.path, { ...modernFields('tools/call', place.tool), ...fields }, text);
  };
export const good = ({ tool }: Place) => modernCall(tool);
const spelled = (place: Place, change: (text: string) => string) => change(JSON.stringify(good(place)));
const damaged = (change: (text: string) => string) => modern((place) => spelled(place, change));

export const NOT_MESSAGES: Row[] = [
  ['nothing at all', modern(() => ''), 400, PARSE_ERROR, 'a value is missing'],
  ['text', modern(() => 'hello'), 400, PARSE_ERROR, 'at byte 0'],
  ['half a message', damaged((text) => text.slice(0, -1)), 400, PARSE_ERROR, 'the message ends there'],
  ['two messages', damaged((text) => text + text), 400, PARSE_ERROR, 'something stands behind the message'],
  ['a byte order mark', damaged((text) => `\ufeff${text}`), 400, PARSE_ERROR, 'at byte 0'],
  [
    'a comment',
    damaged((text) => text.replace('{', '{/**/')),
    400,
    PARSE_ERROR,
    'a key is missing at byte 1',
  ],
  ['NaN', damaged((text) => text.replace('"arguments":{}', '"arguments":NaN')), 400, PARSE_ERROR, 'a value'],
  [
    'no UTF-8',
    modern((place) =>
      Buffer.from(
        spelled(place, (text) => text.replace('"arguments":{}', '"a":"\u00ff"')),
        'latin1',
      ),
    ),
    400,
    PARSE_ERROR,
    'UTF-8',
  ],
  ['a number', modern(() => '1'), 400, INVALID_REQUEST, 'is an object'],
  ['a text in JSON', modern(() => '"tools/call"'), 400, INVALID_REQUEST, 'is an object'],
  ['a batch', damaged((text) => `[${text}]`), 400, INVALID_REQUEST, 'no batches'],
  ['an empty batch', modern(() => '[]'), 400, INVALID_REQUEST, 'not empty'],
  [
    'no jsonrpc',
    modern((place) => ({ ...good(place), jsonrpc: undefined })),
    400,
    INVALID_REQUEST,
    '`jsonrpc`',
  ],
  ['jsonrpc 1.0', modern((place) => ({ ...good(place), jsonrpc: '1.0' })), 400, INVALID_REQUEST, '`jsonrpc`'],
  ['a null id', modern((place) => ({ ...good(place), id: null })), 400, INVALID_REQUEST, '`id`'],
  ['a fraction as id', modern((place) => ({ ...good(place), id: 1.5 })), 400, INVALID_REQUEST, '`id`'],
  ['an object as id', modern((place) => ({ ...good(place), id: {} })), 400, INVALID_REQUEST, '`id`'],
  [
    'an id of 300 bytes',
    modern((place) => ({ ...good(place), id: 'a'.repeat(300) })),
    400,
    INVALID_REQUEST,
    '256 bytes',
  ],
  [
    'a number as method',
    modern((place) => ({ ...good(place), method: 1 })),
    400,
    INVALID_REQUEST,
    '`method`',
  ],
  ['an empty method', modern((place) => ({ ...good(place), method: '' })), 400, INVALID_REQUEST, '`method`'],
  [
    'params in an array',
    modern((place) => ({ ...good(place), params: [] })),
    400,
    INVALID_REQUEST,
    '`params`',
  ],
  ['params null', modern((place) => ({ ...good(place), params: null })), 400, INVALID_REQUEST, '`params`'],
  ['_meta in an array', modern(({ tool }) => call(tool, { _meta: [] })), 400, INVALID_REQUEST, '_meta'],
  [
    'method and result',
    modern((place) => ({ ...good(place), result: {} })),
    400,
    INVALID_REQUEST,
    '`result`',
  ],
  [
    'a response',
    modern(() => ({ jsonrpc: '2.0', id: 1, result: {} })),
    400,
    INVALID_REQUEST,
    'inputResponses',
  ],
  [
    'a nesting bomb',
    damaged((text) => text.replace('"arguments":{}', `"arguments":${'['.repeat(20_000)}`)),
    400,
    INVALID_REQUEST,
    'deeper than 96',
  ],
  [
    'a bomb of objects',
    damaged((text) => text.replace('"arguments":{}', `"arguments":${'{"a":'.repeat(10_000)}`)),
    400,
    INVALID_REQUEST,
    'deeper than 96',
  ],
  [
    'a method twice',
    damaged((text) => text.replace('"id":1', '"id":1,"method":"ping"')),
    400,
    INVALID_REQUEST,
    '"method" stands twice',
  ],
  [
    'a name twice',
    damaged((text) => text.replace('"arguments":{}', '"name":"other","arguments":{}')),
    400,
    INVALID_REQUEST,
    '"name" stands twice',
  ],
  [
    'a name twice, spelled in two ways',
    damaged((text) => text.replace('"arguments":{}', '"n\\u0061me":"other"')),
    400,
    INVALID_REQUEST,
    '"name" stands twice',
  ],
  [
    'an argument twice',
    damaged((text) => text.replace('"arguments":{}', '"arguments":{"a":[{"b":1,"b":2}]}')),
    400,
    INVALID_REQUEST,
    '"b" stands twice',
  ],
];

export const NOT_MODERN: Row[] = [
  ['no Content-Type', modern(good, { 'Content-Type': undefined }), 415, INVALID_REQUEST, 'application/json'],
  [
    'another Content-Type',
    modern(good, { 'Content-Type': 'text/plain' }),
    415,
    INVALID_REQUEST,
    'application/json',
  ],
  [
    'a Content-Type that only begins right',
    modern(good, { 'Content-Type': 'application/jsonp' }),
    415,
    INVALID_REQUEST,
    'application/json',
  ],
  [
    'no protocolVersion',
    modern(({ tool }) => call(tool, { _meta: without(version) })),
    400,
    INVALID_PARAMS,
    version,
  ],
  [
    'a number as protocolVersion',
    modern(({ tool }) => call(tool, { _meta: { ...META, [version]: 1 } })),
    400,
    INVALID_PARAMS,
    version,
  ],
  ['no _meta', modern(({ tool }) => call(tool)), 400, INVALID_PARAMS, version],
  [
    'no clientCapabilities',
    modern(({ tool }) => call(tool, { _meta: without(capabilities) })),
    400,
    INVALID_PARAMS,
    capabilities,
  ],
  [
    'clientCapabilities in an array',
    modern(({ tool }) => call(tool, { _meta: { ...META, [capabilities]: [] } })),
    400,
    INVALID_PARAMS,
    capabilities,
  ],
  [
    'a log level that is none',
    modern(({ tool }) => call(tool, { _meta: { ...META, [logLevel]: 'loud' } })),
    400,
    INVALID_PARAMS,
    logLevel,
  ],
  [
    'an unknown revision',
    modern(({ tool }) => call(tool, { _meta: { ...META, [version]: '2099-01-01' } }), {
      'MCP-Protocol-Version': '2099-01-01',
    }),
    400,
    UNSUPPORTED_VERSION,
    'Unsupported protocol version',
  ],
  [
    'another revision in the header',
    modern(good, { 'MCP-Protocol-Version': '2099-01-01' }),
    400,
    HEADER_MISMATCH,
    '"2099-01-01"',
  ],
  [
    'no MCP-Protocol-Version',
    modern(good, { 'MCP-Protocol-Version': undefined }),
    400,
    HEADER_MISMATCH,
    'MCP-Protocol-Version is missing',
  ],
  ['no Mcp-Method', modern(good, { 'Mcp-Method': undefined }), 400, HEADER_MISMATCH, 'Mcp-Method is missing'],
  ['another Mcp-Method', modern(good, { 'Mcp-Method': 'tools/list' }), 400, HEADER_MISMATCH, '"tools/list"'],
  [
    'Mcp-Method in other letters',
    modern(good, { 'Mcp-Method': 'Tools/Call' }),
    400,
    HEADER_MISMATCH,
    '"Tools/Call"',
  ],
  [
    'Mcp-Method twice',
    modern(good, { 'mcp-method': 'tools/call' }),
    400,
    HEADER_MISMATCH,
    '"tools/call, tools/call"',
  ],
  ['no Mcp-Name', modern(good, { 'Mcp-Name': undefined }), 400, HEADER_MISMATCH, 'Mcp-Name is missing'],
  ['another Mcp-Name', modern(good, { 'Mcp-Name': 'other' }), 400, HEADER_MISMATCH, '"other"'],
  [
    'another Mcp-Name in base64',
    modern(good, { 'Mcp-Name': '=?base64?b3RoZXI=?=' }),
    400,
    HEADER_MISMATCH,
    '"other"',
  ],
  [
    'a Mcp-Name in bad base64',
    modern(good, { 'Mcp-Name': '=?base64?!!!?=' }),
    400,
    HEADER_MISMATCH,
    'Mcp-Name',
  ],
  ['a number as name', modern(() => call(1 as never, { _meta: META })), 400, INVALID_PARAMS, '`params.name`'],
  [
    'a notification of an unknown revision',
    modern(() => ({ jsonrpc: '2.0', method: 'notifications/x' }), { 'MCP-Protocol-Version': '2099-01-01' }),
    400,
    UNSUPPORTED_VERSION,
    'Unsupported',
  ],
  [
    'GET',
    ({ path }) => head('GET', path, { 'MCP-Protocol-Version': MODERN, Accept: 'text/event-stream' }),
    405,
    INVALID_REQUEST,
    'requests are sent with POST; GET is for a session',
  ],
  [
    'DELETE',
    ({ path }) => head('DELETE', path, { 'MCP-Protocol-Version': MODERN }),
    405,
    INVALID_REQUEST,
    'DELETE',
  ],
  ['PUT', ({ path }) => head('PUT', path, { 'Content-Length': '0' }), 405, INVALID_REQUEST, 'PUT'],
];

/** A message in a legacy session. */
export const legacy =
  (body: (place: Place) => unknown, fields: Fields = {}) =>
  (place: Place) => {
    const made = body(place);
    return post(
      place.path,
      { ...legacyFields(place.session), ...fields },
      typeof made === 'string' ? made : JSON.stringify(made),
    );
  };
export const legacyCall = ({ tool }: Place) => call(tool);

export const NOT_LEGACY: Row[] = [
  ['text', legacy(() => 'hello'), 400, PARSE_ERROR, 'at byte 0'],
  ['a null id', legacy((place) => ({ ...legacyCall(place), id: null })), 400, INVALID_REQUEST, '`id`'],
  [
    'a name twice',
    legacy((place) => JSON.stringify(legacyCall(place)).replace('"arguments":{}', '"name":"b"')),
    400,
    INVALID_REQUEST,
    'twice',
  ],
  [
    'a line break in the method',
    legacy(() => ({ jsonrpc: '2.0', id: 1, method: 'x\r\nMcp-Name: smuggled' })),
    400,
    INVALID_REQUEST,
    '`method`',
  ],
  [
    'no session',
    legacy(legacyCall, { 'Mcp-Session-Id': undefined }),
    400,
    INVALID_REQUEST,
    'Mcp-Session-Id is missing',
  ],
  [
    'an unknown session',
    legacy(legacyCall, { 'Mcp-Session-Id': 'unknown' }),
    404,
    SESSION_NOT_FOUND,
    'Session not found',
  ],
  [
    'a session with a letter changed',
    (place) => legacy(legacyCall, { 'Mcp-Session-Id': changedAtEnd(place.session) })(place),
    404,
    SESSION_NOT_FOUND,
    'Session not found',
  ],
  [
    'an unknown revision',
    legacy(legacyCall, { 'MCP-Protocol-Version': '2099-01-01' }),
    400,
    INVALID_REQUEST,
    '"2099-01-01"',
  ],
  [
    'the modern revision',
    legacy(legacyCall, { 'MCP-Protocol-Version': MODERN }),
    400,
    INVALID_REQUEST,
    MODERN,
  ],
  [
    'a batch in a revision without',
    legacy((place) => [legacyCall(place)]),
    400,
    INVALID_REQUEST,
    'no batches',
  ],
  ['an Accept for neither', legacy(legacyCall, { Accept: 'text/html' }), 406, INVALID_REQUEST, 'Accept'],
  [
    'initialize without a revision',
    legacy(() => ({ ...initialize(), params: {} }), { 'Mcp-Session-Id': undefined }),
    400,
    INVALID_PARAMS,
    'protocolVersion',
  ],
  [
    'GET of an unknown session',
    ({ path }) => head('GET', path, { ...legacyFields('unknown'), Accept: 'text/event-stream' }),
    404,
    SESSION_NOT_FOUND,
    'Session not found',
  ],
  [
    'DELETE of an unknown session',
    ({ path }) => head('DELETE', path, legacyFields('unknown')),
    404,
    SESSION_NOT_FOUND,
    'Session not found',
  ],
  [
    'GET from an unknown event',
    ({ path, session }) =>
      head('GET', path, { ...legacyFields(session), Accept: 'text/event-stream', 'Last-Event-ID': 'p99_1' }),
    400,
    INVALID_REQUEST,
    '"p99_1"',
  ],
];

export const UNKNOWN: Row[] = [
  [
    'a tool',
    (place) =>
      modern(() => modernCall('no-such-tool'), { 'Mcp-Name': 'no-such-tool' })({ ...place, path: '/mcp' }),
    200,
    INVALID_PARAMS,
    'no-such-tool',
  ],
  [
    'a resource',
    () =>
      post(
        '/mcp',
        modernFields('resources/read', 'no:such'),
        JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'resources/read',
          params: { uri: 'no:such', _meta: META },
        }),
      ),
    200,
    INVALID_PARAMS,
    'no:such',
  ],
  [
    'a prompt',
    () =>
      post(
        '/mcp',
        modernFields('prompts/get', 'no-such'),
        JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'prompts/get',
          params: { name: 'no-such', _meta: META },
        }),
      ),
    200,
    INVALID_PARAMS,
    'no-such',
  ],
  [
    'a method',
    () =>
      post(
        '/mcp',
        modernFields('no/such'),
        JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'no/such', params: { _meta: META } }),
      ),
    404,
    METHOD_NOT_FOUND,
    'no/such',
  ],
  [
    'a method that only legacy revisions have',
    () =>
      post(
        '/mcp',
        modernFields('ping'),
        JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: { _meta: META } }),
      ),
    404,
    METHOD_NOT_FOUND,
    'ping',
  ],
  [
    'a cursor',
    () =>
      post(
        '/mcp',
        modernFields('tools/list'),
        JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/list',
          params: { cursor: 'made-up', _meta: META },
        }),
      ),
    200,
    INVALID_PARAMS,
    'cursor',
  ],
  [
    'a requestState',
    ({ tool }) =>
      post(
        '/mcp',
        modernFields('tools/call', tool),
        JSON.stringify(modernCall(tool, { requestState: 'made-up' })),
      ),
    200,
    INVALID_PARAMS,
    'requestState',
  ],
  ['an upstream', (place) => modern(good)({ ...place, path: '/mcp/nobody' }), 404, FORBIDDEN, '"nobody"'],
  ['a path', () => head('GET', '/admin', {}), 404, FORBIDDEN, '"/admin"'],
  [
    'a tool, asked for by a legacy client',
    (place) => post('/mcp', legacyFields(place.session), JSON.stringify(call('no-such-tool'))),
    200,
    INVALID_PARAMS,
    'no-such-tool',
  ],
  [
    'a method, asked for by a legacy client',
    (place) =>
      post('/mcp', legacyFields(place.session), JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'no/such' })),
    200,
    METHOD_NOT_FOUND,
    'no/such',
  ],
];

export const FOREIGN = [
  '/mcp',
  '/mcp/modern',
  '/mcp/nobody',
  '/health',
  '/ready',
  '/live',
  '/metrics',
  '/',
].flatMap((path): Row[] => [
  [`Host on ${path}`, () => head('GET', path, { Host: 'evil.example' }), 403, FORBIDDEN, '"evil.example"'],
  [
    `Origin on ${path}`,
    () => head('GET', path, { Origin: 'https://evil.example' }),
    403,
    FORBIDDEN,
    '"https://evil.example"',
  ],
]);

function changedAtEnd(token: string): string {
  return token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A');
}
