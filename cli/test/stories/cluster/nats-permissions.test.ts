import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import {
  AnnouncementSchema,
  ConnectRequestSchema,
  create,
  NodeState,
  Presence,
  toBinary,
  viewId,
} from '@sluice/proto/cluster';
import { afterEach, expect, it, vi } from 'vitest';
import { describeUnless } from '../../servers/describe-unless.js';
import { NO_NATS, startNats } from '../../servers/nats.js';
import { freePort } from '../upstreams.js';
import { NODE_TOKEN, SOON, startControlPlane, tokenFiles } from './control-plane.js';
import { startNode } from './node.js';

/* "I gave NATS to my nodes, and one of them is not what I think." */

const PAGE = new URL('../../../../docs/operating/cluster-sharing.md', import.meta.url);
const CLUSTER = 'production';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** The configuration of nats-server that the page gives. */
async function permissions(): Promise<string> {
  const [, config] = /```\n(# nats-server\.conf[\s\S]*?)```/.exec(await readFile(PAGE, 'utf8')) ?? [];
  if (config === undefined) throw new Error('the page has no configuration of nats-server');
  return config;
}

async function cluster() {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-permissions-'));
  endings.push(() => rm(folder, { recursive: true, force: true }));
  const nats = await startNats({ config: await permissions() });
  endings.push(() => nats.close());
  const plane = await startControlPlane(
    [
      '--state-dir',
      join(folder, 'cp'),
      '--cluster',
      CLUSTER,
      '--nats',
      nats.url,
      ...(await tokenFiles(folder)),
    ],
    { env: { SLUICE_CP_NATS_USER: 'control', SLUICE_CP_NATS_PASSWORD: 'change-me-control' } },
  );
  endings.push(() => plane.stop());
  await plane.isReady();
  const node = startNode(
    [
      ...['--control-plane', plane.nodes, '--node', 'eu-1', '--state-dir', join(folder, 'eu-1')],
      ...['--nats', nats.url, '--cluster', CLUSTER, '--port', String(await freePort())],
    ],
    {
      SLUICE_NODE_TOKEN: NODE_TOKEN,
      SLUICE_NODE_NATS_USER: 'eu-1',
      SLUICE_NODE_NATS_PASSWORD: 'change-me-eu-1',
    },
  );
  endings.push(() => node.stop());
  return { nats, plane, node };
}

/** What NATS says of a message that is published with these credentials; undefined when it takes it. */
async function refusal(connection: NatsConnection, subject: string, bytes: Uint8Array) {
  const refused: string[] = [];
  void (async () => {
    for await (const status of connection.status())
      if (status.type === 'error') refused.push(status.error.message);
  })();
  connection.publish(subject, bytes);
  await connection.flush();
  await connection.flush();
  return refused[0];
}

describeUnless(NO_NATS, 'NATS with the permissions of the page', () => {
  it('brings changes to a node, and keeps others from speaking for it', { timeout: 60_000 }, async () => {
    const { nats, plane, node } = await cluster();
    const known = async () => (await plane.client.fleet.listNodes({})).nodes[0];
    await vi.waitFor(
      async () => expect(await known()).toMatchObject({ hello: { hearsAnnouncements: true } }),
      SOON,
    );
    await plane.client.configuration.apply({
      resources: [{ spec: { case: 'consumer', value: { name: 'ann' } } }],
    });
    await vi.waitFor(
      async () => expect(await known()).toMatchObject({ health: { position: { revision: 1n } } }),
      SOON,
    );
    const { hello } = (await known()) ?? {};
    const { incarnation = '' } = hello ?? {};
    const stopped = toBinary(
      ConnectRequestSchema,
      create(ConnectRequestSchema, {
        content: { case: 'health', value: { node: 'eu-1', incarnation, state: NodeState.STOPPED } },
      }),
    );
    const evil = await connect({ servers: nats.url, user: 'eu-2', pass: 'change-me-eu-2' });
    endings.push(() => evil.close());
    const reports = `sluice.${CLUSTER}.nodes.report`;
    expect(await refusal(evil, `${reports}.eu-1`, stopped)).toMatch(/permissions violation/i);
    // It may speak on its own subject, and is not heard there for another.
    expect(await refusal(evil, `${reports}.eu-2`, stopped)).toBeUndefined();
    const subject = `sluice.${CLUSTER}.config.${viewId({ region: '', tenants: undefined })}`;
    expect(await refusal(evil, subject, new Uint8Array(1))).toMatch(/permissions violation/i);

    // Whoever has the user of the control plane can say something there, which is not believed.
    const stolen = await connect({ servers: nats.url, user: 'control', pass: 'change-me-control' });
    endings.push(() => stolen.close());
    const position = { storeId: 'forged', revision: 99n, digest: new Uint8Array(32) };
    const forged = toBinary(AnnouncementSchema, create(AnnouncementSchema, { position }));
    expect(await refusal(stolen, subject, forged)).toBeUndefined();
    await plane.client.configuration.apply({
      resources: [{ spec: { case: 'consumer', value: { name: 'bob' } } }],
    });
    await vi.waitFor(
      async () =>
        expect(await known()).toMatchObject({
          presence: Presence.PRESENT,
          health: { position: { revision: 2n } },
        }),
      SOON,
    );
    expect(`${node.logs()}${plane.logs()}`).not.toMatch(
      /permissions violation|NATS refused|does not let|key-value is away/i,
    );
  });
});
