import { writeFile } from 'node:fs/promises';
import { request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import { join } from 'node:path';
import {
  makeTestCertificate,
  type TestCertificate,
} from '../../../data-plane/src/upstream/transport/test-certificate.js';
import { missing, startServer, type TestServer } from './server-process.js';

/** Why tests that need etcd are skipped; undefined when they are not. */
export const NO_ETCD = missing('etcd', 'etcd-server');

/** The database; to be copied, deleted or put back while the server is killed. */
export const ETCD_DATA_FOLDER = 'data';

const ROOT = 'root';

export interface EtcdOptions {
  /** Whether it talks TLS only, and to those only who show the certificate. */
  readonly tls?: boolean;
  /** The password of `root`, without whom nothing can be read. */
  readonly auth?: { readonly password: string };
}

export interface EtcdServer extends TestServer {
  /** Its own, its authority's, and the one that clients show; undefined without TLS. */
  readonly certificate: TestCertificate | undefined;
  /** Calls its JSON gateway, such as `kv/put` or `kv/compaction`. Rejects with what it said when it refuses. */
  call(method: string, body: object): Promise<any>;
}

export async function startEtcd({ tls = false, auth }: EtcdOptions = {}): Promise<EtcdServer> {
  const certificate = tls ? makeTestCertificate(['127.0.0.1', 'localhost']) : undefined;
  const scheme = tls ? 'https' : 'http';
  const server = await startServer({
    program: 'etcd',
    morePortsCount: 1,
    async prepare(folder, [port, peerPort]) {
      const url = `${scheme}://127.0.0.1:${port}`;
      const peerUrl = `http://127.0.0.1:${peerPort}`;
      return [
        ...['--name', 'test', '--data-dir', join(folder, ETCD_DATA_FOLDER), '--log-level', 'error'],
        ...['--listen-client-urls', url, '--advertise-client-urls', url],
        ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
        ...['--initial-cluster', `test=${peerUrl}`],
        // It elects itself, so there is nobody to wait for.
        ...['--heartbeat-interval', '20', '--election-timeout', '200'],
        ...(certificate ? await tlsArguments(folder, certificate) : []),
      ];
    },
    url: (port) => `${scheme}://127.0.0.1:${port}`,
    isReady: (port) => isHealthy(`${scheme}://127.0.0.1:${port}`, certificate),
  });
  const call = (method: string, body: object) =>
    send(`${server.url}/v3/${method}`, certificate, JSON.stringify(body));
  if (auth !== undefined) {
    await call('auth/user/add', { name: ROOT, password: auth.password });
    await call('auth/role/add', { name: ROOT });
    await call('auth/user/grant', { user: ROOT, role: ROOT });
    await call('auth/enable', {});
  }
  return Object.defineProperties(server, {
    certificate: { value: certificate },
    call: { value: call },
  }) as EtcdServer;
}

async function tlsArguments(folder: string, { cert, key }: TestCertificate): Promise<string[]> {
  const certFile = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  await Promise.all([writeFile(certFile, cert), writeFile(keyFile, key)]);
  return [
    ...['--cert-file', certFile, '--key-file', keyFile],
    ...['--trusted-ca-file', certFile, '--client-cert-auth'],
  ];
}

/** Whether it has a leader and answers. Asked with a password set, health is still said. */
function isHealthy(url: string, certificate: TestCertificate | undefined): Promise<boolean> {
  return send(`${url}/health`, certificate).then(
    ({ health }) => health === 'true',
    () => false,
  );
}

function send(url: string, certificate: TestCertificate | undefined, body?: string): Promise<any> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const options = { method, agent: false as const };
    const request = certificate
      ? secureRequest(url, { ...options, ...certificate, ca: certificate.cert })
      : plainRequest(url, options);
    request.once('error', reject);
    request.once('response', async (response) => {
      try {
        let text = '';
        for await (const chunk of response) text += chunk;
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${url} answered ${response.statusCode}: ${text}`));
      } catch (error) {
        reject(error);
      }
    });
    request.end(body);
  });
}
