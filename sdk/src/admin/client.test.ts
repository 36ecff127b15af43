import { execFile } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { create, type DescMessage, type Message, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import {
  type Metadata,
  Metadata as OwnMetadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import * as admin from '@sluice/proto/admin';
import { ResourceKind } from '@sluice/proto/cluster';
import { serviceDefinition } from '@sluice/proto/grpc';
import { afterEach, describe, expect, test } from 'vitest';
import { makeTestCertificate } from '../../../data-plane/src/upstream/transport/test-certificate.js';
import { AdminCallError, type AdminOptions, connectAdmin } from './index.js';

type Answer = (request: any, metadata: Metadata, call: ServerUnaryCall<any, any>) => object | Promise<object>;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A control plane of the tests' own, which knows the methods that it is given. */
async function startControlPlane(
  answers: Record<string, Answer>,
  credentials = ServerCredentials.createInsecure(),
) {
  const server = new Server();
  const calls: string[] = [];
  for (const service of [admin.ConfigurationService, admin.FleetService]) {
    const implementation: UntypedServiceImplementation = {};
    for (const { localName, output } of service.methods) {
      implementation[localName] = (call: ServerUnaryCall<Message, Message>, callback: any) => {
        calls.push(localName);
        const answer = answers[localName];
        if (answer === undefined) return callback({ code: status.UNIMPLEMENTED, details: localName });
        void Promise.resolve()
          .then(() => answer(call.request, call.metadata, call))
          .then(
            (message) => callback(null, create(output, message as never)),
            (error) => callback(error),
          );
      };
    }
    server.addService(serviceDefinition(service), implementation);
  }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  cleanups.push(() => server.forceShutdown());
  return { address: `127.0.0.1:${port}`, calls, stop: () => server.forceShutdown() };
}

function connect(options: AdminOptions) {
  const client = connectAdmin(options);
  cleanups.push(() => client.close());
  return client;
}

const unavailable: Partial<ServiceError> = {
  code: status.UNAVAILABLE,
  details: 'the store cannot be reached',
};
const failing =
  (error: Partial<ServiceError>): Answer =>
  () => {
    throw error;
  };

async function failureOf(call: Promise<unknown>): Promise<AdminCallError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AdminCallError);
  return error as AdminCallError;
}

test('has every unary method of every service of the schema', () => {
  const client = connect({ address: '127.0.0.1:1' });
  const services = Object.entries(admin).filter(([name]) => name.endsWith('Service'));
  expect(services.length).toBeGreaterThan(2);
  for (const [name, service] of services) {
    const member = name.charAt(0).toLowerCase() + name.slice(1).replace(/Service$/, '');
    const methods = (service as typeof admin.FleetService).methods;
    expect(Object.keys(client[member as 'fleet']).sort()).toEqual(
      methods.map((each) => each.localName).sort(),
    );
  }
});

test('messages go there and come back, with the token', async () => {
  const { address } = await startControlPlane({
    getResource: ({ kind, name, tenant }, metadata) => ({
      resource: { tenant, revision: 7n, spec: { case: 'upstream', value: { name: `${kind} ${name}` } } },
      etag: String(metadata.get('authorization')),
    }),
  });
  const { configuration } = connect({ address, token: 'secret' });
  const { resource, etag } = await configuration.getResource({
    kind: ResourceKind.UPSTREAM,
    name: 'files',
    tenant: 'acme',
  });
  expect(resource).toMatchObject({ tenant: 'acme', revision: 7n, spec: { value: { name: '2 files' } } });
  expect(etag).toBe('Bearer secret');
});

test('a token file is read for each call', async () => {
  const { address } = await startControlPlane({
    getResource: (_, metadata) => ({ etag: String(metadata.get('authorization')) }),
  });
  const folder = mkdtempSync(join(tmpdir(), 'sluice-sdk-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const tokenFile = join(folder, 'token');
  const { configuration } = connect({ address, tokenFile });
  for (const token of ['one', 'two']) {
    writeFileSync(tokenFile, `${token}\n`);
    expect((await configuration.getResource({})).etag).toBe(`Bearer ${token}`);
  }
});

test('over TLS, with a certificate on both sides', async () => {
  const { cert, key } = makeTestCertificate(['127.0.0.1']);
  const pem = { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) };
  const { address } = await startControlPlane(
    {
      listNodes: (_request, _metadata, call) => ({
        revision: call.getAuthContext().sslPeerCertificate === undefined ? 0n : 1n,
      }),
    },
    ServerCredentials.createSsl(pem.cert_chain, [pem], true),
  );
  const known = connect({ address, tls: { ca: cert, cert, key } });
  expect((await known.fleet.listNodes({})).revision).toBe(1n);

  const distrusting = connect({ address: `https://${address}`, timeoutMs: 300 });
  const failure = await failureOf(distrusting.fleet.drainNode({ node: 'eu-1' }));
  expect(failure.code).toBe('UNAVAILABLE');
  expect(failure.message).toMatch(/certificate/);
});

describe('a refusal says', () => {
  function refusal(code: status, details: [schema: DescMessage, message: Message][]): Partial<ServiceError> {
    const metadata = new OwnMetadata();
    const packed = details.map(([schema, message]) => anyPack(schema, message));
    const bytes = toBinary(admin.StatusSchema, create(admin.StatusSchema, { code, details: packed }));
    metadata.set('grpc-status-details-bin', Buffer.from(bytes));
    return { code, details: 'refused', metadata };
  }

  test('what is wrong with resources', async () => {
    const { address } = await startControlPlane({
      apply: failing(
        refusal(status.INVALID_ARGUMENT, [
          [
            admin.ErrorInfoSchema,
            create(admin.ErrorInfoSchema, { reason: 'INVALID_RESOURCES', metadata: { a: 'b' } }),
          ],
          [
            admin.InvalidResourcesSchema,
            create(admin.InvalidResourcesSchema, { findings: [{ field: 'http.url', message: 'is no URL' }] }),
          ],
          [
            admin.BadRequestSchema,
            create(admin.BadRequestSchema, { fieldViolations: [{ field: 'x', description: 'y' }] }),
          ],
        ]),
      ),
    });
    const failure = await failureOf(connect({ address }).configuration.apply({}));
    expect(failure).toMatchObject({
      name: 'AdminCallError',
      code: 'INVALID_ARGUMENT',
      message: 'refused',
      method: 'ConfigurationService.Apply',
      address,
      reason: 'INVALID_RESOURCES',
      metadata: { a: 'b' },
      findings: [{ field: 'http.url', message: 'is no URL' }],
      violations: [{ field: 'x', description: 'y' }],
    });
    expect(failure.conflict).toBeUndefined();
  });

  test('what somebody else has changed first', async () => {
    const conflict = create(admin.ConflictSchema, { expected: 3n, head: 4n, revisions: [{ author: 'ada' }] });
    const { address } = await startControlPlane({
      apply: failing(refusal(status.ABORTED, [[admin.ConflictSchema, conflict]])),
    });
    const failure = await failureOf(connect({ address }).configuration.apply({}));
    expect(failure.conflict).toEqual(conflict);
  });

  test('its code and message at least', async () => {
    const metadata = new OwnMetadata();
    metadata.set('grpc-status-details-bin', Buffer.from([0xff, 0xff]));
    const { address } = await startControlPlane({
      apply: failing({ code: status.PERMISSION_DENIED, details: 'no', metadata }),
    });
    const failure = await failureOf(connect({ address }).configuration.apply({}));
    expect(failure).toMatchObject({ code: 'PERMISSION_DENIED', message: 'no', findings: [] });
  });
});

describe('a control plane that fails', () => {
  test.each<[string, (client: ReturnType<typeof connect>) => Promise<unknown>, string]>([
    ['a read', ({ fleet }) => fleet.listNodes({}), 'listNodes'],
    ['a validation', ({ configuration }) => configuration.validate({}), 'validate'],
    [
      'a write with an idempotency key',
      ({ configuration }) => configuration.apply({ options: { idempotencyKey: 'k' } }),
      'apply',
    ],
    ['a dry run', ({ configuration }) => configuration.rollback({ options: { dryRun: true } }), 'rollback'],
  ])('%s is made again elsewhere', async (_, call, method) => {
    const broken = await startControlPlane({ [method]: failing(unavailable) });
    const whole = await startControlPlane({ [method]: () => ({}) });
    await call(connect({ address: [broken.address, whole.address] }));
    expect([broken.calls, whole.calls]).toEqual([[method], [method]]);
  });

  test('a write without a key is not made again', async () => {
    const broken = await startControlPlane({ apply: failing(unavailable) });
    const whole = await startControlPlane({ apply: () => ({}) });
    const client = connect({ address: [broken.address, whole.address] });
    const failure = await failureOf(client.configuration.apply({ options: { message: 'why' } }));
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', message: 'the store cannot be reached' });
    expect([broken.calls, whole.calls]).toEqual([['apply'], []]);
  });

  test('what is refused is not made again', async () => {
    const refusing = await startControlPlane({ listNodes: failing({ code: status.PERMISSION_DENIED }) });
    const whole = await startControlPlane({ listNodes: () => ({}) });
    await failureOf(connect({ address: [refusing.address, whole.address] }).fleet.listNodes({}));
    expect([refusing.calls, whole.calls]).toEqual([['listNodes'], []]);
  });

  test('a read is tried for some rounds', async () => {
    let count = 0;
    const { address } = await startControlPlane({
      listNodes: () => {
        if (++count < 3) throw unavailable;
        return { revision: 5n };
      },
    });
    expect((await connect({ address }).fleet.listNodes({})).revision).toBe(5n);
    count = -100;
    await failureOf(connect({ address }).fleet.listNodes({}));
    expect(count).toBe(-96);
  });
});

describe('a control plane that is away', () => {
  test('even a write without a key goes elsewhere, and the next call goes there at once', async () => {
    const gone = await startControlPlane({});
    gone.stop();
    const whole = await startControlPlane({ apply: () => ({ revision: 3n }) });
    const client = connect({ address: [gone.address, whole.address] });
    expect((await client.configuration.apply({})).revision).toBe(3n);
    expect((await client.configuration.apply({})).revision).toBe(3n);
    expect(whole.calls).toEqual(['apply', 'apply']);
  });

  test('the failure says which, and why', async () => {
    const gone = await startControlPlane({});
    gone.stop();
    const failure = await failureOf(connect({ address: gone.address, timeoutMs: 400 }).fleet.listNodes({}));
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', address: gone.address });
    expect(failure.message).toBe(`connect ECONNREFUSED ${gone.address}`);
  });
});

test('a call ends after its time', async () => {
  const { address } = await startControlPlane({ listNodes: () => new Promise(() => {}) });
  const failure = await failureOf(connect({ address }).fleet.listNodes({}, { timeoutMs: 50 }));
  expect(failure.code).toBe('DEADLINE_EXCEEDED');
});

test('the server is given the time that a request waits for on top', async () => {
  const { address } = await startControlPlane({
    waitRevision: (_request, _metadata, call) => ({
      convergence: { active: Math.round((Number(call.getDeadline()) - Date.now()) / 60_000) },
    }),
  });
  const { configuration } = connect({ address, timeoutMs: 60_000 });
  const answer = await configuration.waitRevision({ wait: 'all', deadline: { seconds: 120n, nanos: 0 } });
  expect(answer.convergence?.active).toBe(3);
});

test('a signal ends a call under way, and one that has not begun', async () => {
  const seen = new EventEmitter();
  const [began, cancelled] = [once(seen, 'began'), once(seen, 'cancelled')];
  const { address } = await startControlPlane({
    listNodes(_request, _metadata, call) {
      call.on('cancelled', () => seen.emit('cancelled'));
      seen.emit('began');
      return new Promise(() => {});
    },
  });
  const { fleet } = connect({ address });
  const gone = new AbortController();
  const call = fleet.listNodes({}, { signal: gone.signal });
  await began;
  gone.abort(new Error('enough'));
  await expect(call).rejects.toThrow('enough');
  await cancelled;
  await expect(fleet.listNodes({}, { signal: gone.signal })).rejects.toThrow('enough');
});

test.each(['', 'cp-1', 'ftp://cp-1:7070', 'cp 1:70', ':7070', 'cp-1:99999'])(
  '%j is no address',
  (address) => {
    expect(() => connectAdmin({ address })).toThrow(/is not an address; give host:port/);
  },
);

test('whoever writes plugins does not load it', async () => {
  const script = `
    import { createRequire } from 'node:module';
    await import('@sluice/sdk');
    await import('@sluice/sdk/testing');
    const before = loaded();
    await import('@sluice/sdk/admin');
    function loaded() { return Object.keys(createRequire(import.meta.url).cache).some((name) => name.includes('grpc-js')); }
    console.log(before, loaded());
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
  });
  expect(stdout).toBe('false true\n');
});
