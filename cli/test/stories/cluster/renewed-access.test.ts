import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { type AdminClient, connectAdmin } from '@sluice/sdk/admin';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  makeTestCertificate,
  type TestCertificate,
} from '../../../../data-plane/src/upstream/transport/test-certificate.js';
import {
  ADMIN_TOKEN,
  NODE_TOKEN,
  type RunningControlPlane,
  SOON,
  sha256,
  startControlPlane,
  tokenFiles,
} from './control-plane.js';
import { type RunningNode, startNode } from './node.js';

/* "Certificates of my cluster are renewed every month, and tokens taken away, and nothing is restarted for that." */

/** A name in the certificates, which is a node's too. */
const NODE = 'localhost';
const LAST_YEAR = '20200101000000Z';

let folder: string;
let plane: RunningControlPlane;
const nodes: RunningNode[] = [];
const clients: AdminClient[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-renewed-'));
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all([...nodes.splice(0), plane].map((each) => each?.stop()));
  await rm(folder, { recursive: true, force: true });
});

const file = (name: string) => join(folder, name);
const certificate = (notAfter?: string) => makeTestCertificate(['127.0.0.1', NODE], notAfter);

async function write(name: string, { cert, key }: TestCertificate): Promise<void> {
  await Promise.all([writeFile(file(`${name}.pem`), cert), writeFile(file(`${name}.key`), key)]);
}

async function start(args: readonly string[]): Promise<void> {
  plane = await startControlPlane(['--state-dir', file('state'), ...(await tokenFiles(folder)), ...args]);
  await plane.isReady();
}

function joined(name: string, args: readonly string[], token?: string): RunningNode {
  const node = startNode(
    ['--node', name, '--control-plane', plane.nodes, '--port', '0', ...args],
    token === undefined ? {} : { SLUICE_NODE_TOKEN: token },
  );
  nodes.push(node);
  return node;
}

/** The fingerprint of the certificate that is shown at an address. */
function shownAt(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const [host, port] = address.split(':');
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    socket.once('secureConnect', () => {
      resolve(socket.getPeerCertificate().raw.toString('base64'));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

const derOf = ({ cert }: TestCertificate) => cert.replace(/-----[A-Z ]+-----|\s/g, '');

it('shows renewed certificates to nodes and callers, and refuses those that cannot be used', async () => {
  const [first, second] = [certificate(), certificate()];
  await write('nodes', first);
  await write('admin', first);
  await start([
    ...['--listen-cert', file('nodes.pem'), '--listen-key', file('nodes.key')],
    ...['--admin-cert', file('admin.pem'), '--admin-key', file('admin.key')],
  ]);
  expect([await shownAt(plane.nodes), await shownAt(plane.admin)]).toEqual([derOf(first), derOf(first)]);
  joined('n1', ['--tls-ca', file('nodes.pem')], NODE_TOKEN);
  const admin = () => {
    const client = connectAdmin({
      address: plane.admin,
      token: ADMIN_TOKEN,
      tls: { ca: Buffer.from(first.cert) },
    });
    clients.push(client);
    return client;
  };
  const known = async (client: AdminClient) => (await client.fleet.listNodes({})).nodes;
  const open = admin();
  await vi.waitFor(async () => expect(await known(open)).toHaveLength(1), SOON);

  await writeFile(file('nodes.pem'), 'no certificate');
  await vi.waitFor(() => expect(plane.logs()).toContain('is not taken, what was good stays'), SOON);
  expect(await shownAt(plane.nodes)).toBe(derOf(first));
  await write('nodes', second);
  await write('admin', second);
  await vi.waitFor(async () => {
    expect([await shownAt(plane.nodes), await shownAt(plane.admin)]).toEqual([derOf(second), derOf(second)]);
  }, SOON);
  // Whoever is connected goes on, and the node of before was never away.
  expect((await known(open))[0]).toMatchObject({ hello: { node: 'n1' }, presence: 1 });
  // The node's file was renewed with the certificate: it comes again by what it holds now.
  joined('n2', ['--tls-ca', file('nodes.pem')], NODE_TOKEN);
  await vi.waitFor(async () => expect(await known(open)).toHaveLength(2), SOON);
}, 60_000);

it('takes away what tokens open, from streams that stand too, and gives it to others', async () => {
  const [grants, admins] = [file('nodes.yaml'), file('admins.yaml')];
  const [second, secondAdmin] = [
    'second-node-token-0123456789abcdef-0123',
    'second-admin-token-0123456789abcdef-01',
  ];
  await start([]);
  const other = connectAdmin({ address: plane.admin, token: secondAdmin });
  clients.push(other);
  const node = joined('n1', [], NODE_TOKEN);
  await vi.waitFor(async () => expect((await plane.client.fleet.listNodes({})).nodes).toHaveLength(1), SOON);
  await expect(other.fleet.listNodes({})).rejects.toThrow('the token is none that is known here');
  await writeFile(grants, `- { node: "*", token_sha256: "${sha256(second)}" }\n`);
  await writeFile(admins, `- { name: other, token_sha256: "${sha256(secondAdmin)}", role: admin }\n`);
  await vi.waitFor(
    () => expect(node.logs()).toContain('neither the token nor the certificate is that of a node'),
    SOON,
  );
  await vi.waitFor(async () => expect((await other.fleet.listNodes({})).nodes).toHaveLength(1), SOON);
  await expect(plane.client.fleet.listNodes({})).rejects.toThrow('the token is none that is known here');
  joined('n2', [], second);
  await vi.waitFor(async () => expect((await other.fleet.listNodes({})).nodes).toHaveLength(2), SOON);
  // A file that lets nobody in is a mistake.
  await writeFile(admins, '[]\n');
  await vi.waitFor(() => expect(plane.logs()).toContain('nobody could come in'), SOON);
  expect((await other.fleet.listNodes({})).nodes).toHaveLength(2);
}, 60_000);

it('does not let in who shows a certificate that has expired, says so, and lets in with the next one', async () => {
  const authority = certificate();
  await write('plane', authority);
  const old = certificate(LAST_YEAR);
  await write('node', old);
  await writeFile(file('clients.pem'), old.cert);
  await start([
    ...['--listen-cert', file('plane.pem'), '--listen-key', file('plane.key')],
    ...['--listen-client-ca', file('clients.pem')],
  ]);
  const own = ['--tls-cert', file('node.pem'), '--tls-key', file('node.key')];
  const node = joined(NODE, ['--tls-ca', file('plane.pem'), ...own], NODE_TOKEN);
  await vi.waitFor(() => expect(node.logs()).toMatch(/cannot be reached: .*(expired|certificate)/i), SOON);
  expect((await plane.client.fleet.listNodes({})).nodes).toEqual([]);
  const next = certificate();
  await write('node', next);
  await writeFile(file('clients.pem'), next.cert);
  await vi.waitFor(async () => expect((await plane.client.fleet.listNodes({})).nodes).toHaveLength(1), SOON);
  // Nor does a node go to a control plane whose own has expired.
  await write('plane', certificate(LAST_YEAR));
  await vi.waitFor(() => expect(plane.logs()).toContain('plane.key was read again'), SOON);
  await writeFile(file('other-clients.pem'), next.cert);
  const other = joined('n2', ['--tls-ca', file('plane.pem'), ...own], NODE_TOKEN);
  await vi.waitFor(() => expect(other.logs()).toMatch(/cannot be reached: .*expired/i), SOON);
  expect((await plane.client.fleet.listNodes({})).nodes).toHaveLength(1);
}, 60_000);
