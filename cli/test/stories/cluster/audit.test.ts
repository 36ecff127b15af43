import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect as connectNats } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { resource } from '../../../../control-plane/test/delivering.js';
import { describeUnless } from '../../servers/describe-unless.js';
import { NO_NATS } from '../../servers/nats.js';
import { closeClients, connect } from '../official-client.js';
import { SOON } from './control-plane.js';
import { KEY } from './node.js';
import { SharingNodes } from './sharing-nodes.js';

/* "What all nodes record is in one place, and nothing is lost while nobody collects it." */

const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));

let sharing: SharingNodes;
let file: string;
let collector: ChildProcess | undefined;

function collect(): ChildProcess {
  return spawn(process.execPath, [COMMAND, 'audit', 'collect', '--file', file, '--nats', sharing.nats.url], {
    env: { ...process.env, SLUICE_NODE_KEY: KEY },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

function recorded(...args: string[]): any[] {
  if (!existsSync(file)) return [];
  const { stdout } = spawnSync(
    process.execPath,
    [COMMAND, 'audit', 'query', '--file', file, '-o', 'json', '--limit', '1000', ...args],
    { encoding: 'utf8' },
  );
  return stdout === '' ? [] : JSON.parse(stdout);
}

const texts = () => recorded('--tool', 'remote:echo').map((record) => [record.node, record.arguments?.text]);

describeUnless(NO_NATS, 'audit records of a cluster', () => {
  beforeAll(async () => {
    sharing = await SharingNodes.begin({
      resources: [
        resource({
          spec: {
            case: 'plugin',
            value: { plugin: 'audit', config: { to: 'cluster', durability: 'none_lost' } },
          },
        }),
      ],
    });
    file = join(sharing.folder, 'collected.sqlite');
  });

  afterAll(async () => {
    collector?.kill('SIGKILL');
    await closeClients();
    await sharing?.stop();
  });

  it('are collected from all nodes and workers, also those of before, each once', async () => {
    const { n1, n2 } = sharing;
    for (const [node, text] of [
      [n1, 'one'],
      [n2, 'two'],
      [n1, 'three'],
    ] as const) {
      const client = await connect('SDK v2 2026-07-28', `${node.url}/mcp/remote`);
      expect(await client.say('echo', { text })).toBe(text);
    }
    collector = collect();
    await vi.waitFor(() => expect(texts()).toHaveLength(3), SOON);
    // Without a word, in the middle of it.
    collector.kill('SIGKILL');
    await once(collector, 'exit');
    const legacy = await connect('SDK v1', `${n2.url}/mcp/remote`);
    expect(await legacy.say('echo', { text: 'four' })).toBe('four');
    collector = collect();
    await vi.waitFor(() => expect(texts()).toHaveLength(4), SOON);
    expect(new Set(texts().map((each) => each.join()))).toEqual(
      new Set(['n1,one', 'n2,two', 'n1,three', 'n2,four']),
    );
  }, 60_000);

  it('are none of others who can publish on NATS', async () => {
    const connection = await connectNats({ servers: sharing.nats.url });
    const batch = JSON.stringify([
      ['x', 0, '{"kind":"exchange","id":"x","time":"1970-01-01T00:00:00.000Z"}', null],
    ]);
    connection.publish('sluice.default.records.n1', JSON.stringify({ node: 'n1', binding: 'audit', batch }));
    await connection.flush();
    await connection.close();
    let said = '';
    collector?.stderr?.on('data', (chunk) => (said += chunk));
    await vi.waitFor(() => expect(said).toMatch('no node of this cluster sent it'), SOON);
    expect(recorded().some(({ id }) => id === 'x')).toBe(false);
  });

  it('make a chain that verifies, and stop with the collector in order', async () => {
    collector?.kill('SIGTERM');
    const [code] = await once(collector as ChildProcess, 'exit');
    expect(code).toBe(0);
    const { status, stdout } = spawnSync(process.execPath, [COMMAND, 'audit', 'verify', '--file', file], {
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([0, expect.stringMatching('all records are what they were')]);
  });
});
