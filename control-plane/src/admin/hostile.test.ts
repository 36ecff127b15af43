/* Callers that mean no good: each is answered, nothing falls over, and the next one is served. */
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ConfigurationService, PutResourceRequestSchema } from '@sluice/proto/admin';
import { create, ResourceKind, ResourceSchema, toBinary } from '@sluice/proto/cluster';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type AdminCluster,
  GrpcCaller,
  RestCaller,
  startAdminCluster,
  statusOf,
  TOKENS,
} from '../../test/admin-cluster.js';
import { MAX_BODY_BYTES } from './limits.js';

let cluster: AdminCluster;
let rest: RestCaller;

beforeAll(async () => {
  cluster = await startAdminCluster();
  rest = new RestCaller(cluster.url, TOKENS.admin);
});
afterEach(async () => {
  expect((await rest.call('GET', '/api/v1/resources')).status).toBe(200);
  expect(cluster.failures).toEqual([]);
});
afterAll(() => cluster.close());

/** Sends bytes, and resolves with all that comes back until the end. */
function raw(...pieces: (string | Buffer)[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(cluster.api.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
    for (const piece of pieces) socket.write(piece);
  });
}

const authorized = `Host: x\r\nAuthorization: Bearer ${TOKENS.admin}\r\n`;
const problem = (answer: string) => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));

describe('over HTTP', () => {
  it.each([
    ['{"resources": [}', 'the body is no JSON from line 1, column 16 on'],
    ['{"resources":\n  secret}', 'the body is no JSON from line 2, column 3 on'],
    ['[]', 'the body has to be a JSON object'],
    ['null', 'the body has to be a JSON object'],
    ['{"colour": "red"}', 'colour'],
    ['{"resources": [{"upstream": {"nmae": "x"}}]}', 'nmae'],
    ['{"resources": [{"upstream": {"name": 7}}]}', 'name'],
    ['{"resources": 7}', 'resources'],
    ['{"__proto__": {"polluted": true}}', '__proto__'],
    ['{"options": {"expected_revision": "-1"}}', 'expected_revision'],
    ['{"options": {"expected_revision": "18446744073709551615"}}', 'options.expected_revision'],
    [`{"options": {"message": "${'x'.repeat(2_001)}"}}`, 'options.message'],
    [`{"resources": [{"plugin": {"config": {"a": ${'['.repeat(100_000)}${']'.repeat(100_000)}}}}]}`, 'depth'],
  ])('says what is wrong with the body %.60s', async (body, message) => {
    const answer = await rest.call('POST', '/api/v1/apply', body);
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ reason: 'INVALID_REQUEST', status: 400 });
    expect(answer.body.detail).toContain(message);
    expect(JSON.stringify(answer.body)).not.toContain('secret');
    expect({}).not.toHaveProperty('polluted');
  });

  it('refuses what could be stored, and then be read by nobody', async () => {
    let config: unknown = 'x';
    for (let depth = 0; depth < 40; depth++) config = depth % 2 === 0 ? [config] : { a: config };
    const resources = [{ plugin: { name: 'deep', plugin: 'transform', config: { config } } }];
    const answer = await rest.call('POST', '/api/v1/apply', { resources });
    expect(answer).toMatchObject({ status: 422, body: { findings: [{ resource: { name: 'deep' } }] } });
    expect(answer.body.findings[0].message).toContain('32 levels');
  });

  it('reads no body that is too large, is none in UTF-8, or is no JSON', async () => {
    const head = `POST /api/v1/apply HTTP/1.1\r\n${authorized}Content-Type: application/json\r\n`;
    const announced = await raw(`${head}Content-Length: ${MAX_BODY_BYTES + 1}\r\n\r\n`);
    expect(announced).toMatch(/^HTTP\/1.1 413 /);
    expect(announced.toLowerCase()).toContain('connection: close');
    const piece = Buffer.alloc(1024 * 1024, ' ');
    const chunks = Array.from({ length: 33 }, () => [
      `${piece.byteLength.toString(16)}\r\n`,
      piece,
      '\r\n',
    ]).flat();
    expect(await raw(`${head}Transfer-Encoding: chunked\r\n\r\n`, ...chunks)).toMatch(/^HTTP\/1.1 413 |^$/);
    const bytes = await raw(
      `${head}Content-Length: 2\r\nConnection: close\r\n\r\n`,
      Buffer.from([0x22, 0xff]),
    );
    expect(problem(bytes).detail).toBe('the body is not in UTF-8');
    const xml = await rest.call('POST', '/api/v1/apply', '<a/>', { 'content-type': 'application/xml' });
    expect(xml.status).toBe(415);
    const form = await rest.call('POST', '/api/v1/apply', '{}', { 'content-type': 'text/plain' });
    expect(form.status).toBe(415);
  });

  it('reads no body of nobody', async () => {
    const head = 'POST /api/v1/apply HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
    expect(await raw(`${head}Content-Length: 1000000\r\n\r\n`)).toMatch(/^HTTP\/1.1 401 /);
  });

  it.each([
    [
      'a header that is too large',
      `GET /api/v1/resources HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(20_000)}\r\n\r\n`,
      431,
    ],
    ['too many headers', `GET / HTTP/1.1\r\nHost: x\r\n${'name: value\r\n'.repeat(5_000)}\r\n`, 431],
    ['no HTTP', 'HELO mail.example.com\r\n\r\n', 400],
    ['no host', 'GET /api/v1/resources HTTP/1.1\r\n\r\n', 400],
    [
      'two lengths',
      'POST /api/v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
    ],
    [
      'length and chunks',
      'POST /api/v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    ['another host as target', `GET //evil.com/x HTTP/1.1\r\n${authorized}Connection: close\r\n\r\n`, 400],
    ['a whole URL as target', `GET http://evil.com/ HTTP/1.1\r\n${authorized}Connection: close\r\n\r\n`, 400],
    [
      'a path that is no UTF-8',
      `GET /api/v1/resources/upstream/%ff HTTP/1.1\r\n${authorized}Connection: close\r\n\r\n`,
      400,
    ],
    [
      'a path that climbs',
      `GET /api/v1/../../etc/passwd HTTP/1.1\r\n${authorized}Connection: close\r\n\r\n`,
      404,
    ],
    ['another method', `PATCH /api/v1/resources HTTP/1.1\r\n${authorized}Connection: close\r\n\r\n`, 405],
    ['a tunnel', `CONNECT evil.com:443 HTTP/1.1\r\n${authorized}\r\n`, undefined],
    [
      'another protocol',
      `GET / HTTP/1.1\r\n${authorized}Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`,
      undefined,
    ],
  ])('answers %s', async (_, bytes, status) => {
    const socket = raw(bytes);
    const answer = await socket;
    if (status !== undefined) expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it('takes parameters for what they are only', async () => {
    const status = async (query: string) => (await rest.call('GET', `/api/v1/resources?${query}`)).status;
    expect(await status('__proto__=1')).toBe(400);
    expect(await status('constructor.prototype=1')).toBe(400);
    expect(await status('kind=upstream&kind=consumer')).toBe(400);
    expect(await status('kind.name=1')).toBe(400);
    expect(await status(`filter=${'name%3Da,'.repeat(200)}`)).toBe(400);
    expect(await status(`filter=name%3D${'*a'.repeat(200)}`)).toBe(200);
    expect(await status('page_size=-1')).toBe(400);
    expect(await status('page_size=1e9')).toBe(400);
    const twice = await rest.call('POST', '/api/v1/apply?options.dry_run=maybe', {});
    expect(twice.body.violations).toMatchObject([{ field: 'options.dry_run' }]);
    expect((await rest.call('POST', '/api/v1/apply?resources=x', { resources: 7 })).status).toBe(400);
    expect((await rest.call('POST', '/api/v1/apply?dry_run=1', { options: 'x' })).status).toBe(400);
    const spelled = await rest.call('POST', '/api/v1/apply?dry_run=false', { options: { dryRun: true } });
    expect(spelled.status).toBe(400);
    const both = await rest.call('POST', '/api/v1/apply?message=a', { options: { message: 'b' } });
    expect(both.status).toBe(400);
  });
});

describe('over gRPC', () => {
  const address = () => `127.0.0.1:${cluster.api.port}`;

  it('refuses messages that are too large, and those with fields that nobody knows', async () => {
    const grpc = new GrpcCaller(address(), TOKENS.admin);
    try {
      const message = 'x'.repeat(MAX_BODY_BYTES);
      const large = await grpc.call(ConfigurationService, 'apply', { options: { message } }).catch(statusOf);
      expect(large).toMatchObject({ code: 8 });
      const resource = create(ResourceSchema, { spec: { case: 'consumer', value: { name: 'ann' } } });
      resource.$unknown = [{ no: 999, wireType: WireType.LengthDelimited, data: new Uint8Array([1, 65]) }];
      const unknown = await grpc
        .call(ConfigurationService, 'putResource', { kind: ResourceKind.CONSUMER, name: 'ann', resource })
        .catch(statusOf);
      expect(unknown).toMatchObject({ code: 3, info: { reason: 'INVALID_RESOURCES' } });
      expect(cluster.head.revision).toBe(0);
    } finally {
      grpc.close();
    }
  });

  /** What a stream of HTTP/2 with these bytes as the message is answered with. */
  function status(
    method: string,
    message: Uint8Array,
    headers: Record<string, string> = {},
  ): Promise<string> {
    return new Promise((resolve, reject) => {
      const session = connectHttp2(cluster.url);
      session.on('error', reject);
      const stream = session.request({
        ':method': 'POST',
        ':path': `/sluice.admin.v1.ConfigurationService/${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
        authorization: `Bearer ${TOKENS.admin}`,
        ...headers,
      });
      let found = '';
      const take = (fields: Record<string, unknown>) => {
        found ||= String(fields['grpc-status'] ?? '');
      };
      stream.on('response', take);
      stream.on('trailers', take);
      stream.on('error', () => {});
      stream.on('close', () => {
        session.destroy();
        resolve(found);
      });
      const frame = Buffer.alloc(5);
      frame.writeUInt32BE(message.byteLength, 1);
      stream.end(Buffer.concat([frame, message]));
      stream.resume();
    });
  }

  it('refuses bytes that are no message, nest without end, or name no method', async () => {
    const put = (resource: Uint8Array) =>
      new BinaryWriter()
        .tag(1, WireType.Varint)
        .int32(9)
        .tag(3, WireType.LengthDelimited)
        .bytes(resource)
        .finish();
    expect(await status('PutResource', new Uint8Array([0xff, 0xff, 0xff]))).toBe('13');
    const wrapped = (tag: number, bytes: Uint8Array) =>
      new BinaryWriter().tag(tag, WireType.LengthDelimited).bytes(bytes).finish();
    const structOf = (value: Uint8Array) => wrapped(1, wrapped(2, value));
    let value: Uint8Array = wrapped(3, new Uint8Array([65]));
    for (let depth = 0; depth < 300; depth++) value = wrapped(5, structOf(value));
    expect(await status('PutResource', put(wrapped(17, wrapped(8, structOf(value)))))).toBe('13');
    expect(await status('Destroy', new Uint8Array())).toBe('12');
    const known = create(PutResourceRequestSchema, { kind: ResourceKind.CONSUMER, name: 'x' });
    expect(await status('PutResource', toBinary(PutResourceRequestSchema, known))).toBe('3');
    expect(await status('PutResource', new Uint8Array(), { authorization: 'Basic eDp4' })).toBe('16');
  });
});
