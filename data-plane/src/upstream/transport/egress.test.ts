import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, createServer as createTlsServer, TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { connectEgress, type EgressOptions } from './egress.js';
import { DEFAULT_DENIED_RANGES, EgressPolicy } from './egress-policy.js';
import { HttpFailure, type HttpOrigin } from './http.js';
import { makeTestCertificate } from './test-certificate.js';

const policy = new EgressPolicy(DEFAULT_DENIED_RANGES, []);
const servers: Server[] = [];
const sockets = new Set<Socket>();

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

async function listen(server: Server, path?: string): Promise<number> {
  servers.push(server);
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, '127.0.0.1', resolve);
    else server.listen(path, resolve);
  });
  return path === undefined ? (server.address() as AddressInfo).port : 0;
}

function origin(hostname: string, port: number, protocol: HttpOrigin['protocol'] = 'http:'): HttpOrigin {
  return { protocol, hostname, port };
}

/** Connects, or rejects with the failure. */
function connect(to: HttpOrigin, options: Partial<EgressOptions> = {}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    connectEgress(
      to,
      { policy, connectTimeoutMs: 10_000, ...options },
      {
        connected(socket) {
          sockets.add(socket);
          resolve(socket);
        },
        failed: reject,
      },
    );
  });
}

async function failure(to: HttpOrigin, options: Partial<EgressOptions> = {}): Promise<HttpFailure> {
  const outcome = await connect(to, options).catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(HttpFailure);
  return outcome as HttpFailure;
}

describe('connectEgress', () => {
  it('connects to a name at the address that was judged', async () => {
    const port = await listen(createServer());
    const asked: string[] = [];
    const resolve = async (hostname: string): Promise<string[]> => {
      asked.push(hostname);
      return ['127.0.0.1'];
    };
    const socket = await connect(origin('upstream.test', port), { resolve });
    expect(socket.remoteAddress).toBe('127.0.0.1');
    expect(asked).toEqual(['upstream.test']);
  });

  it("uses the system's resolver by default", async () => {
    const port = await listen(createServer());
    expect((await connect(origin('localhost', port))).remotePort).toBe(port);
  });

  it('judges each connection anew, so that a name cannot move to a denied address', async () => {
    const port = await listen(createServer());
    const answers = [['127.0.0.1'], ['169.254.169.254']];
    const resolve = async (): Promise<string[]> => answers.shift() ?? [];
    await connect(origin('rebinding.test', port), { resolve });
    const refused = await failure(origin('rebinding.test', port), { resolve });
    expect(refused.kind).toBe('refused');
    expect(refused.neverSent).toBe(true);
    expect(refused.message).toBe(
      `rebinding.test:${port} is at 169.254.169.254, which the egress rules deny; ` +
        'if the gateway may connect there, add the address to egress.allow',
    );
  });

  it.each(['169.254.169.254', '[::ffff:169.254.169.254]', '::ffff:a9fe:a9fe', '[fe80::1]'])(
    'refuses the address %s when it stands in the URL',
    async (hostname) => {
      expect((await failure(origin(hostname, 80))).kind).toBe('refused');
    },
  );

  it('leaves out denied addresses and uses the others', async () => {
    const port = await listen(createServer());
    const resolve = async (): Promise<string[]> => ['169.254.169.254', '127.0.0.1'];
    expect((await connect(origin('mixed.test', port), { resolve })).remoteAddress).toBe('127.0.0.1');
  });

  it('goes on to the next address when one refuses or stays silent', async () => {
    const port = await listen(createServer());
    // The first refuses, the second is a documentation address that nobody answers at.
    const resolve = async (): Promise<string[]> => ['127.0.0.2', '192.0.2.1', '127.0.0.1'];
    expect((await connect(origin('several.test', port), { resolve })).remoteAddress).toBe('127.0.0.1');
  });

  it('says of every address why it failed', async () => {
    const port = await listen(createServer());
    const resolve = async (): Promise<string[]> => ['127.0.0.2', '127.0.0.3'];
    const failed = await failure(origin('down.test', port), { resolve });
    expect(failed.kind).toBe('connect');
    expect(failed.message).toBe(
      `cannot connect to down.test:${port}: connection refused (127.0.0.2), connection refused (127.0.0.3)`,
    );
  });

  it('says that a name has no address', async () => {
    const failed = await failure(origin('nowhere.test', 80), { resolve: async () => [] });
    expect(failed).toMatchObject({
      kind: 'connect',
      message: 'cannot connect to nowhere.test:80: the host name has no address',
    });
    const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
    const rejected = await failure(origin('nowhere.test', 80), { resolve: () => Promise.reject(unknown) });
    expect(rejected.message).toBe('cannot connect to nowhere.test:80: no such host name');
  });

  it('gives up after the timeout, whatever it waits for', async () => {
    const resolve = (): Promise<string[]> => new Promise(() => {});
    const failed = await failure(origin('slow.test', 80), { resolve, connectTimeoutMs: 50 });
    expect(failed).toMatchObject({ kind: 'connect', message: 'no connection to slow.test:80 within 50 ms' });

    const silent = await listen(createServer());
    const handshake = await failure(origin('127.0.0.1', silent, 'https:'), { connectTimeoutMs: 50 });
    expect(handshake).toMatchObject({ kind: 'connect', neverSent: true });
  });

  it('says nothing once it is cancelled', async () => {
    const port = await listen(createServer());
    const said: string[] = [];
    const listener = { connected: () => said.push('connected'), failed: () => said.push('failed') };
    const options = { policy, connectTimeoutMs: 30 };
    connectEgress(origin('127.0.0.1', port), options, listener).cancel();
    connectEgress(origin('127.0.0.1', 1), options, listener).cancel();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(said).toEqual([]);
  });

  it('connects to a Unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-egress-'));
    const socketPath = join(folder, 'upstream.sock');
    await listen(
      createServer((socket) => socket.end('hello')),
      socketPath,
    );
    const socket = await connect({ ...origin('', 0, 'unix:'), socketPath });
    expect(String(await new Promise((resolve) => socket.once('data', resolve)))).toBe('hello');
    const missing = await failure({ ...origin('', 0, 'unix:'), socketPath: join(folder, 'none.sock') });
    expect(missing.message).toMatch(/^cannot connect to .*none\.sock: there is no such socket$/);
    expect((await failure(origin('', 0, 'unix:'))).kind).toBe('connect');
    rmSync(folder, { recursive: true });
  });
});

describe('connectEgress with TLS', () => {
  const trusted = makeTestCertificate(['upstream.test', '127.0.0.1']);
  const resolve = async (): Promise<string[]> => ['127.0.0.1'];

  async function listenTls(
    certificate = trusted,
  ): Promise<{ port: number; serverNames: (string | false)[] }> {
    const serverNames: (string | false)[] = [];
    const server = createTlsServer({ ...certificate }, (socket) => {
      sockets.add(socket.on('error', () => {}));
      serverNames.push(socket.servername ?? false);
      socket.write('ready');
    });
    server.on('tlsClientError', () => {});
    return { port: await listen(server), serverNames };
  }

  const trusting = (cert: string): Partial<EgressOptions> => ({
    resolve,
    secureContext: createSecureContext({ ca: cert }),
  });

  it('sends the name and verifies the certificate against it', async () => {
    const { port, serverNames } = await listenTls();
    const socket = await connect(origin('upstream.test', port, 'https:'), trusting(trusted.cert));
    expect(socket).toBeInstanceOf(TLSSocket);
    expect((socket as TLSSocket).authorized).toBe(true);
    expect(String(await new Promise((ready) => socket.once('data', ready)))).toBe('ready');
    expect(serverNames).toEqual(['upstream.test']);
  });

  it('verifies an address, which is not sent as a name', async () => {
    const { port, serverNames } = await listenTls();
    const socket = await connect(origin('127.0.0.1', port, 'https:'), trusting(trusted.cert));
    await new Promise((ready) => socket.once('data', ready));
    expect(serverNames).toEqual([false]);
  });

  it.each([
    ['another name', 'other.test', trusted, trusted, /does not match|altnames/i],
    [
      'an unknown authority',
      'upstream.test',
      trusted,
      makeTestCertificate(['upstream.test']),
      /self-signed certificate; to trust it, start with NODE_EXTRA_CA_CERTS/,
    ],
  ])('refuses a certificate for %s', async (_, hostname, served, believed, message) => {
    const { port } = await listenTls(served);
    const failed = await failure(origin(hostname, port, 'https:'), trusting(believed.cert));
    expect(failed.kind).toBe('connect');
    expect(failed.message).toMatch(/^TLS with .* failed: /);
    expect(failed.message).toMatch(message);
  });

  it('refuses an expired certificate', async () => {
    const expired = makeTestCertificate(['upstream.test'], '20010101000000Z');
    const { port } = await listenTls(expired);
    const failed = await failure(origin('upstream.test', port, 'https:'), trusting(expired.cert));
    expect(failed.message).toMatch(/expired/);
  });

  it('cannot be told by the environment to trust everybody', async () => {
    const { port } = await listenTls();
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    const failed = await failure(origin('upstream.test', port, 'https:'), { resolve });
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    expect(failed.message).toMatch(/^TLS with /);
  });

  it('says that the other side does not speak TLS', async () => {
    const port = await listen(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const failed = await failure(origin('upstream.test', port, 'https:'), trusting(trusted.cert));
    expect(failed.message).toMatch(/^TLS with upstream\.test:\d+ failed: /);
  });
});
