import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { makeTestCertificate } from '../../../../data-plane/src/upstream/transport/test-certificate.js';
import { describeUnless } from '../../servers/describe-unless.js';
import { NO_NATS } from '../../servers/nats.js';
import { natsUser } from '../../servers/nats-users.js';
import { closeClients, connect, KINDS, LEGACY_KINDS } from '../official-client.js';
import { beginSession, events, lastMessage, postModern, type RawSession } from '../raw-http.js';
import { SOON } from './control-plane.js';
import { KEY, murder, startNode } from './node.js';
import { SharingNodes, type StoryNode, type Wish } from './sharing-nodes.js';

/* "I run two nodes of a cluster behind a balancer, and one of them dies, or NATS does." */

const onElicit = () => ({ action: 'accept', content: { name: 'Ada' } });
const ELICITATION = {
  method: 'elicitation/create',
  params: {
    message: 'Your name?',
    requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
  },
};

let sharing: SharingNodes | undefined;

afterEach(async () => {
  await closeClients();
  await sharing?.stop();
  sharing = undefined;
});

async function begin(wish: Wish = {}): Promise<SharingNodes> {
  sharing = await SharingNodes.begin(wish);
  return sharing;
}

/** The same session, asked at another node. */
function at(session: RawSession, node: StoryNode): RawSession['post'] {
  const { pathname } = new URL(session.url);
  return (body, init) =>
    fetch(node.url + pathname, {
      method: 'POST',
      headers: session.headers,
      body: JSON.stringify(body),
      ...init,
    });
}

const call = (id: number | string, name: string, args: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});
const textOf = async (response: Response) => (await lastMessage(response)).result?.content[0].text;

describeUnless(NO_NATS, 'two nodes that share sessions', () => {
  it.each(KINDS)('%s works, wherever its requests land', async (kind) => {
    const url = await (await begin()).url();
    const client = await connect(kind, `${url}/mcp/remote`, { onElicit });
    for (let i = 0; i < 6; i++) {
      expect(await client.say('echo', { text: `${i}` })).toBe(`${i}`);
      expect(await client.say('ask', ELICITATION)).toContain('Ada');
    }
    const stop = new AbortController();
    const cancelled = client.call('wait', { key: 'k' }, { signal: stop.signal }).catch(() => 'cancelled');
    const waits = async () => JSON.parse(await client.say('waits'));
    await vi.waitFor(async () => expect((await waits()).waiting).toContain('k'), SOON);
    stop.abort();
    expect(await cancelled).toBe('cancelled');
    await vi.waitFor(async () => expect((await waits()).interrupted).toContain('k'), SOON);
  });

  it('a call at one node asks what is answered there, in a session of the other, which has the stream', async () => {
    const { n1, n2 } = await begin();
    const session = await beginSession(`${n1.url}/mcp/remote`, { capabilities: { elicitation: {} } });
    const post = at(session, n2);
    const asking = await post(call(1, 'ask', ELICITATION));
    for await (const { message } of events(asking)) {
      if (message?.method === 'elicitation/create') {
        await (await post({ jsonrpc: '2.0', id: message.id, result: onElicit() })).arrayBuffer();
      } else if (message !== undefined) {
        expect(message.result.content[0].text).toContain('Ada');
      }
    }
    const stream = events(await session.listen());
    await (await post(call('grow', 'add_tool', { name: 'grown' }))).arrayBuffer();
    for await (const { message } of stream) {
      if (message === undefined) continue;
      expect(message.method).toBe('notifications/tools/list_changed');
      break;
    }
    expect(await textOf(await session.post(call(2, 'count')))).toBe('1');
    expect(await textOf(await post(call(3, 'count')))).toBe('2');
  });

  it.each(LEGACY_KINDS)('%s goes on when the node of its session is killed', async (kind) => {
    const begun = await begin();
    const { n1 } = begun;
    const url = await begun.url();
    const client = await connect(kind, `${url}/mcp/remote`, { onElicit });
    expect(await client.say('echo', { text: 'before' })).toBe('before');
    // What is put down is written within a moment, which a kill may be quicker than.
    await vi.waitFor(async () => expect(await n1.metric('sluice_session_writes_waiting')).toBe(0), SOON);
    await murder(n1);
    await vi.waitFor(async () => expect(await client.say('echo', { text: 'after' })).toBe('after'), SOON);
    expect(await client.say('ask', ELICITATION)).toContain('Ada');
  });

  it('a node that drains loses no call, and its sessions go on at the other', async () => {
    const { n1, n2 } = await begin();
    const sessions = await Promise.all([1, 2, 3, 4].map(() => beginSession(`${n1.url}/mcp/remote`)));
    let isOver = false;
    const callers = sessions.map(async (session) => {
      const post = at(session, n2);
      const said: (string | undefined)[] = [];
      for (let id = 0; !isOver; id++) said.push(await textOf(await post(call(id, 'echo', { text: 'x' }))));
      return said;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await n1.stop()).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    isOver = true;
    for (const said of await Promise.all(callers)) {
      expect(said.length).toBeGreaterThan(5);
      expect(new Set(said)).toEqual(new Set(['x']));
    }
  });

  it('everything is served while NATS is away, which is said, and shared again afterwards', async () => {
    const { n1, n2, nats, nodes } = await begin();
    const session = await beginSession(`${n1.url}/mcp/remote`);
    const asked = await lastMessage(
      await postModern(
        `${n1.url}/mcp/remote`,
        'tools/call',
        { name: 'ask', arguments: ELICITATION },
        { elicitation: {} },
      ),
    );
    const answer = (node: StoryNode) =>
      postModern(
        `${node.url}/mcp/remote`,
        'tools/call',
        {
          name: 'ask',
          arguments: ELICITATION,
          requestState: asked.result.requestState,
          inputResponses: Object.fromEntries(
            Object.keys(asked.result.inputRequests).map((key) => [key, onElicit()]),
          ),
        },
        { elicitation: {} },
      );
    await nats.kill();
    await vi.waitFor(async () => {
      for (const node of nodes) {
        expect(await node.metric('sluice_nats_up')).toBe(0);
        expect(await node.metric('sluice_bus_pipes')).toBe(0);
        expect(node.logs()).toContain('NATS is away');
      }
    }, SOON);
    expect(await textOf(await session.post(call(1, 'echo', { text: 'here' })))).toBe('here');
    // Another node knows what it followed, and goes on as if the first were gone.
    expect(await textOf(await at(session, n2)(call(2, 'echo', { text: 'there' })))).toBe('there');
    // A call that is parked waits at its own node, and nowhere else.
    expect((await lastMessage(await answer(n2))).error?.message).toContain('gone');
    expect(await textOf(await answer(n1))).toContain('Ada');
    const fresh = await beginSession(`${n2.url}/mcp/remote`);
    await nats.restart();
    for (const node of nodes)
      await vi.waitFor(async () => expect(await node.metric('sluice_bus_pipes')).toBe(2), SOON);
    await vi.waitFor(
      async () => expect(await textOf(await at(fresh, n1)(call(3, 'echo', { text: 'again' })))).toBe('again'),
      SOON,
    );
    expect(await textOf(await at(session, n1)(call(4, 'echo', { text: 'one' })))).toBe('one');
    expect(await textOf(await at(session, n2)(call(5, 'echo', { text: 'one' })))).toBe('one');
  });

  it('a node starts and serves while NATS is away, and meets the others when it is back', async () => {
    sharing = await SharingNodes.prepare();
    const { nats } = sharing;
    await nats.kill();
    const [n1, n2] = await Promise.all(
      ['n1', 'n2'].map((name) => sharing?.start(name, ['--nats', nats.url], { SLUICE_NODE_KEY: KEY })),
    );
    for (const node of sharing.nodes)
      await vi.waitFor(async () => expect((await fetch(`${node.url}/ready`)).status).toBe(200), SOON);
    const session = await beginSession(`${n1?.url}/mcp/remote`);
    expect(await textOf(await session.post(call(1, 'count')))).toBe('1');
    await nats.restart();
    await vi.waitFor(async () => expect(await n2?.metric('sluice_bus_pipes')).toBe(1), SOON);
    expect(await textOf(await at(session, n2 as StoryNode)(call(2, 'count')))).toBe('2');
  });

  it('without a key that both have, a session of one is unknown at the other, and both say why', async () => {
    const { n1, n2, nodes } = await begin({ env: {} });
    const session = await beginSession(`${n1.url}/mcp/remote`);
    expect((await at(session, n2)(call(1, 'count'))).status).toBe(404);
    for (const node of nodes) expect(node.logs()).toContain('sessions of other nodes cannot be opened here');
  });
});

describeUnless(NO_NATS, 'nodes reach a NATS that asks who they are', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-secrets-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function works(wish: Wish): Promise<void> {
    const { n1, n2, nodes } = await begin(wish);
    const session = await beginSession(`${n1.url}/mcp/remote`);
    expect(await textOf(await session.post(call(1, 'count')))).toBe('1');
    expect(await textOf(await at(session, n2)(call(2, 'count')))).toBe('2');
    for (const node of nodes) expect(node.logs()).not.toContain('hunter2');
  }

  it('with user and password in the address', () =>
    works({
      nats: { config: 'authorization { user: sluice, password: "hunter2/@" }' },
      address: (port) => `nats://sluice:hunter2%2F%40@127.0.0.1:${port}`,
    }));

  it('with user and password in variables, over TLS, and with a certificate of their own', async () => {
    const { cert, key } = makeTestCertificate(['localhost']);
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    await Promise.all([writeFile(certFile, cert), writeFile(keyFile, key)]);
    await works({
      nats: {
        config: `authorization { user: sluice, password: hunter2 }
          tls { cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${certFile}", verify: true }`,
      },
      address: (port) => `tls://localhost:${port}`,
      args: ['--nats-ca', certFile, '--nats-cert', certFile, '--nats-key', keyFile],
      env: {
        SLUICE_NODE_KEY: KEY,
        SLUICE_NODE_NATS_USER: 'sluice',
        SLUICE_NODE_NATS_PASSWORD: 'hunter2',
      },
    });
  });

  it('with credentials, and with the key of the cluster in a file', async () => {
    const { config, credentials } = natsUser();
    const [file, keyFile] = [join(folder, 'node.creds'), join(folder, 'cluster.key')];
    await Promise.all([writeFile(file, credentials), writeFile(keyFile, `${KEY}\n`)]);
    await works({ nats: { config }, args: ['--nats-credentials', file, '--key-file', keyFile], env: {} });
  });

  it('and say so when it refuses them, and serve', async () => {
    sharing = await SharingNodes.prepare({
      nats: { config: 'authorization { user: sluice, password: hunter2 }' },
    });
    const node = await sharing.start('n1', ['--nats', sharing.nats.url], { SLUICE_NODE_KEY: KEY });
    await vi.waitFor(async () => expect((await fetch(`${node.url}/ready`)).status).toBe(200), SOON);
    expect(node.logs()).toMatch(/NATS cannot be reached.*\n?/);
    expect(node.logs()).toContain('Authorization Violation');
    expect(await node.metric('sluice_nats_up')).toBe(0);
  });
});

describe('a key of the cluster', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-secrets-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it.each([
    [
      'too short',
      async () => writeFile(join(folder, 'key'), 'short\n'),
      /key has 5 bytes; the nodes of a cluster need/,
    ],
    ['not there', async () => {}, /key cannot be read: ENOENT/],
  ])('that is %s ends the start', async (_, prepare, said) => {
    await prepare();
    const node = startNode(['--control-plane', '127.0.0.1:1', '--key-file', join(folder, 'key')]);
    expect(await node.ended).not.toBe(0);
    expect(node.logs()).toMatch(said);
  });
});
