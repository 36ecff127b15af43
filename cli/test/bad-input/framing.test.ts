import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AttackedGateway, LISTENERS } from './attacked-gateway.js';
import { RawConnection } from './raw-connection.js';
import { type Fields, goodCall, head, modernCall, modernFields, post } from './requests.js';

/** A call that comes behind the fault on the same connection, and must not be read. */
const SMUGGLED = goodCall('/mcp/modern', 'talkative').toString('latin1');

const body = JSON.stringify(modernCall('talkative'));
const length = String(body.length);

/** A call with these fields, in which a later one takes the place of an earlier one. */
function asked(fields: Fields, sent = body): string {
  return head('POST', '/mcp/modern', { ...modernFields('tools/call', 'talkative'), ...fields }) + sent;
}
const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
const CHUNKED: Fields = { 'Transfer-Encoding': 'chunked' };
const withLine = (line: string) =>
  asked({ 'Content-Length': length }).replace('\r\n\r\n', `\r\n${line}\r\n\r\n`);

/** What two readers could understand in two ways, and what is no HTTP. */
const AMBIGUOUS: [fault: string, bytes: string][] = [
  ['two lengths', asked({ 'Content-Length': length, 'content-length': '0' })],
  ['the same length twice', asked({ 'Content-Length': length, 'content-length': length })],
  ['a list of lengths', asked({ 'Content-Length': `${length}, ${length}` })],
  ['a signed length', asked({ 'Content-Length': `+${length}` })],
  ['a negative length', asked({ 'Content-Length': '-1' })],
  ['a length in hexadecimal', asked({ 'Content-Length': '0x10' })],
  ['a length and chunks', asked({ 'Content-Length': length, ...CHUNKED }, chunked(body))],
  ['chunks twice', asked({ ...CHUNKED, 'transfer-encoding': 'chunked' }, chunked(body))],
  ['another coding', asked({ 'Transfer-Encoding': 'gzip, chunked' }, chunked(body))],
  ['chunks that are not last', asked({ 'Transfer-Encoding': 'chunked, identity' }, chunked(body))],
  ['an unknown coding', asked({ 'Transfer-Encoding': 'xchunked' }, chunked(body))],
  ['two hosts', asked({ 'Content-Length': length, host: 'localhost' })],
  ['no host', asked({ 'Content-Length': length, Host: undefined })],
  ['an empty host', asked({ 'Content-Length': length, Host: '' })],
  ['a chunk size that is none', asked(CHUNKED, `zz\r\n${body}\r\n0\r\n\r\n`)],
  ['a negative chunk size', asked(CHUNKED, `-5\r\n${body}\r\n0\r\n\r\n`)],
  ['a chunk longer than it says', asked(CHUNKED, `5\r\n${body}\r\n0\r\n\r\n`)],
  ['a folded field', withLine('X-A: b\r\n c')],
  ['a blank before the colon', withLine('X-A : b')],
  ['a field without a colon', withLine('nonsense')],
  ['a null in a value', withLine('X-A: b\0c')],
  ['a line feed in a value', withLine('Traceparent: a\nMcp-Name: b')],
  ['a carriage return in a value', withLine('Traceparent: a\rMcp-Name: b')],
  ['a blank in the target', asked({ 'Content-Length': length }).replace('/mcp/modern', '/mcp/mo dern')],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(300, '\0')],
];

describe.each(LISTENERS)('with the %s listener', (listener) => {
  let gateway: AttackedGateway;
  beforeAll(async () => {
    gateway = await AttackedGateway.start(listener);
  });
  afterAll(() => gateway?.stop());
  afterEach(() => gateway.expectServes());

  it('would take each request without the fault', async () => {
    const connection = await RawConnection.open(gateway.url);
    for (const bytes of [asked({ 'Content-Length': length }), SMUGGLED, asked(CHUNKED, chunked(body))]) {
      connection.send(Buffer.from(bytes, 'latin1'));
      expect((await connection.answer())?.status).toBe(200);
    }
    connection.close();
    expect(gateway.takeReached()).toHaveLength(3);
  });

  it('ends the connection of each that is ambiguous, and reads nothing behind it', async () => {
    // All at once: some of them uWebSockets.js takes for heads that are not at their end, and waits for it.
    const ends = await Promise.all(
      AMBIGUOUS.map(async ([fault, bytes]) => {
        const connection = await RawConnection.open(gateway.url);
        connection.send(Buffer.from(bytes + SMUGGLED, 'latin1'));
        await connection.end();
        // An answer is allowed, as long as it says no.
        const { status = 400 } = (await connection.answer()) ?? {};
        return [fault, [400, 408, 431, 505].includes(status), connection.received];
      }),
    );
    expect(ends).toEqual(AMBIGUOUS.map(([fault]) => [fault, true, '']));
    expect(gateway.takeReached()).toEqual([]);
  });

  it('takes headers that speak for the inside of the gateway away, and passes no others on than it knows', async () => {
    const fields = {
      'Sluice-Internal-Worker': '3',
      'sluice-internal-principal': 'root',
      Authorization: 'Bearer of-the-client',
      Cookie: 'a=b',
      Forwarded: 'for=1.2.3.4',
      'X-Forwarded-For': '1.2.3.4',
      'Mcp-Session-Id': undefined,
      'Proxy-Authorization': 'x',
      Traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    };
    const bytes = post(
      '/mcp/modern',
      { ...modernFields('tools/call', 'talkative'), ...fields },
      JSON.stringify(modernCall('talkative')),
    );
    expect((await gateway.ask(bytes))?.status).toBe(200);
    const [reached] = gateway.takeReached();
    expect(Object.keys(reached?.headers ?? {}).sort()).toEqual([
      'accept',
      'content-length',
      'content-type',
      'host',
      'mcp-method',
      'mcp-name',
      'mcp-protocol-version',
      'traceparent',
    ]);
  });
});
