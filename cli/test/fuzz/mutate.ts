import { bytesOf, type Seed, type Sessions } from './corpus.js';
import type { Random } from './random.js';

/*
 * Mutations on three levels. Of the value of the body, so that what comes out is JSON and gets far; of the lines
 * of the head; and of bytes, anywhere.
 */

/** Values that have been somebody's fault somewhere. */
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -0,
  1.5,
  -1,
  2 ** 53 + 2,
  1e308,
  '',
  'a',
  '\u0000',
  '\ud800',
  'é',
  '\r\nX-Injected: 1',
  '__proto__',
  'constructor',
  'toString',
  '../../etc/passwd',
  '{id}',
  'a'.repeat(300),
  '%'.repeat(50),
  '__',
  'modern__',
  '=?base64?w6k=?=',
  '2026-07-28',
  '2025-03-26',
  '1999-01-01',
  'tools/call',
  'initialize',
  'subscriptions/listen',
  'test://static-text',
  'legacy+test://static-text',
  [],
  [null],
  {},
  { '': 1 },
  JSON.parse('{"__proto__":{"polluted":true}}'),
  { toString: 1, length: -1 },
  nested(90),
];

const KEYS: readonly string[] = [
  'jsonrpc',
  'id',
  'method',
  'params',
  'result',
  'error',
  'code',
  '_meta',
  'name',
  'uri',
  'cursor',
  'arguments',
  'requestState',
  'inputResponses',
  'resultType',
  'progressToken',
  'requestId',
  'protocolVersion',
  'capabilities',
  'clientInfo',
  'ref',
  'argument',
  'notifications',
  'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/clientCapabilities',
  'io.modelcontextprotocol/logLevel',
  'io.modelcontextprotocol/subscriptionId',
  '__proto__',
  '',
];

const LINES: readonly string[] = [
  'Content-Length: 0',
  'Content-Length: 4294967296',
  'Content-Length: -1',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Host: evil.example',
  'Origin: https://evil.example',
  'Connection: close',
  'Connection: upgrade',
  'Upgrade: websocket',
  'Expect: 100-continue',
  'Accept: application/json',
  'Accept: text/html;q=0',
  'Content-Type: text/plain',
  'Content-Encoding: gzip',
  'Mcp-Session-Id: {session}',
  'Mcp-Session-Id: nothing',
  'MCP-Protocol-Version: 2026-07-28',
  'MCP-Protocol-Version: 2025-06-18',
  'MCP-Protocol-Version: 1',
  'Mcp-Method: tools/list',
  'Mcp-Name: =?base64?!?=',
  'Mcp-Param-Region: x',
  'Last-Event-ID: g_0',
  'Last-Event-ID: p1_0',
  'Sluice-Internal-Worker: 1',
  `X-Long: ${'a'.repeat(9_000)}`,
  ': nameless',
  'nonsense',
];

const FIRST_LINES: readonly string[] = [
  'GET / HTTP/1.1',
  'GET /mcp HTTP/1.0',
  'POST /mcp HTTP/2.0',
  'POST /mcp/ HTTP/1.1',
  'POST //mcp HTTP/1.1',
  'POST /mcp/nobody HTTP/1.1',
  'POST /mcp/modern?x=1 HTTP/1.1',
  'POST /mcp%2fmodern HTTP/1.1',
  'POST http://127.0.0.1/mcp HTTP/1.1',
  'POST * HTTP/1.1',
  'DELETE /mcp HTTP/1.1',
  'HEAD /mcp HTTP/1.1',
  'CONNECT a:1 HTTP/1.1',
  'TRACE /mcp HTTP/1.1',
  'post /mcp HTTP/1.1',
  '',
];

const TOKENS: readonly string[] = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  '\r\n\r\n',
  ' ',
  ':',
  '"',
  '\\',
  '\\u0000',
  '\\ud800',
  '{',
  '}',
  '[',
  ']',
  ',',
  '[[[[[[[[[[',
  '{"a":',
  'null',
  '1e999',
  '-',
  '0x',
  '\u00ff',
  '\u00c3',
  '\ufeff',
  '/**/',
  'ffffffff\r\n',
  '0\r\n\r\n',
  'data: ',
];

/** One request out of the corpus with something wrong in it, or several. */
export function mutated(corpus: readonly Seed[], sessions: Sessions, random: Random): Buffer {
  const seed = random.of(corpus);
  let { lines, body } = seed;
  if (body !== '' && random.below(10) < 7) body = withMutatedValue(body, corpus, random);
  if (random.oneIn(3)) lines = withMutatedLines(lines, corpus, random);
  // Headers that repeat the body would stop most of it at the door.
  if (!random.oneIn(4)) lines = inStep(lines, body);
  let bytes = bytesOf({ lines, body, isChunked: seed.isChunked }, sessions);
  if (random.oneIn(3)) for (let i = random.below(3); i >= 0; i--) bytes = withMutatedBytes(bytes, random);
  return bytes;
}

function withMutatedValue(body: string, corpus: readonly Seed[], random: Random): string {
  const root = { value: JSON.parse(body) as unknown };
  for (let i = random.below(3); i >= 0; i--) {
    const places = placesIn(root);
    const { holder, key } = random.of(places);
    switch (random.below(7)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else if (holder !== root) delete holder[key];
        break;
      case 1:
        set(holder, random.of(KEYS), random.of(VALUES));
        break;
      case 2: {
        const other = random.of(corpus).body;
        if (other !== '') set(holder, key, random.of(placesIn({ value: JSON.parse(other) })).value);
        break;
      }
      case 3:
        set(holder, random.of(KEYS), get(holder, key));
        break;
      case 4:
        set(holder, key, [get(holder, key)]);
        break;
      case 5:
        if (random.oneIn(4))
          set(
            holder,
            key,
            Array.from({ length: random.below(150) }, () => random.of(VALUES)),
          );
        break;
      default:
        set(holder, key, random.of(VALUES));
    }
  }
  return JSON.stringify(root.value) ?? '';
}

type Holder = Record<string, unknown>;

/** Every place in the value, with what stands there. */
function placesIn(root: { value: unknown }): { holder: Holder; key: string; value: unknown }[] {
  const places: { holder: Holder; key: string; value: unknown }[] = [];
  const visit = (holder: Holder) => {
    for (const [key, value] of Object.entries(holder)) {
      places.push({ holder, key, value });
      if (typeof value === 'object' && value !== null && places.length < 1_000) visit(value as Holder);
    }
  };
  visit(root);
  return places;
}

/** A member of any name, `__proto__` included. The value is copied, so that no value can hold itself. */
function set(holder: Holder, key: string, value: unknown): void {
  const copy = value === undefined ? null : (JSON.parse(JSON.stringify(value)) as unknown);
  if (Array.isArray(holder)) holder[Number(key) || 0] = copy;
  else
    Object.defineProperty(holder, key, { value: copy, enumerable: true, configurable: true, writable: true });
}

function get(holder: Holder, key: string): unknown {
  return Object.hasOwn(holder, key) ? holder[key] : null;
}

function withMutatedLines(lines: readonly string[], corpus: readonly Seed[], random: Random): string[] {
  const own = [...lines];
  const at = 1 + random.below(Math.max(1, own.length - 1));
  switch (random.below(6)) {
    case 0:
      own.splice(at, 1);
      break;
    case 1:
      own.splice(at, 0, random.of(LINES));
      break;
    case 2:
      own[at] = random.of(LINES);
      break;
    case 3:
      own.push(own[at] as string);
      break;
    case 4:
      own[0] = random.of(FIRST_LINES);
      break;
    default:
      own.push(...random.of(corpus).lines.slice(1));
  }
  return own;
}

/** The head with the headers that repeat the body, as a client would send them. */
function inStep(lines: readonly string[], body: string): string[] {
  let message: { method?: unknown; params?: { name?: unknown; uri?: unknown } };
  try {
    message = JSON.parse(body);
  } catch {
    return [...lines];
  }
  const name = message?.params?.name ?? message?.params?.uri;
  return lines.map((line) => {
    if (/^mcp-method:/i.test(line) && typeof message?.method === 'string')
      return `Mcp-Method: ${message.method}`;
    if (/^mcp-name:/i.test(line) && typeof name === 'string')
      return `Mcp-Name: =?base64?${Buffer.from(name).toString('base64')}?=`;
    return line;
  });
}

function withMutatedBytes(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const length = 1 + random.below(random.oneIn(4) ? 200 : 8);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (random.below(7)) {
    case 0: {
      const own = Buffer.from(bytes);
      if (at < own.length) own[at] = (own[at] as number) ^ (1 << random.below(8));
      return own;
    }
    case 1:
      return Buffer.concat([before, after.subarray(length)]);
    case 2:
      return Buffer.concat([before, after.subarray(0, length), after]);
    case 3:
      return Buffer.concat([before, Buffer.from(random.of(TOKENS), 'latin1'), after]);
    case 4:
      return Buffer.concat([before, Buffer.from(random.of(TOKENS), 'latin1'), after.subarray(length)]);
    case 5:
      return Buffer.concat([before, Buffer.from(Array.from({ length }, () => random.below(256))), after]);
    default:
      return before;
  }
}

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}
