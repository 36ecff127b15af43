import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Isolation } from '@sluice/proto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { resource } from '../../../../control-plane/test/delivering.js';
import { describeUnless } from '../../servers/describe-unless.js';
import { NO_NATS } from '../../servers/nats.js';
import { closeClients, connect } from '../official-client.js';
import { packCountingPlugin } from '../plugins/counting-plugin.js';
import { murder } from './node.js';
import { SharingNodes } from './sharing-nodes.js';

/* "What my plugin stored at one node is there at all of them." */

let folder: string;
let sharing: SharingNodes | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-store-'));
});
afterEach(async () => {
  await closeClients();
  await sharing?.stop();
  sharing = undefined;
  await rm(folder, { recursive: true, force: true });
});

describeUnless(NO_NATS, 'what a plugin stores', () => {
  it.each([
    ['inline', Isolation.INLINE],
    ['in a process', Isolation.PROCESS],
  ])('is one for all nodes and workers, and outlives them: %s', async (_, isolation) => {
    const plugin = join(folder, 'call-count');
    const hash = await packCountingPlugin(plugin);
    sharing = await SharingNodes.begin({
      resources: [resource({ spec: { case: 'plugin', value: { name: 'count', plugin, hash, isolation } } })],
    });
    const { n1, n2 } = sharing;
    const said = async (url: string) => {
      const client = await connect('SDK v2 2026-07-28', `${url}/mcp/remote`);
      return client.say('echo', { text: 'x' });
    };
    expect(await said(n1.url)).toBe('call 1');
    expect(await said(n2.url)).toBe('call 2');
    expect(await said(n1.url)).toBe('call 3');
    await closeClients();
    await murder(n1);
    expect(await said(n2.url)).toBe('call 4');
  });
});
