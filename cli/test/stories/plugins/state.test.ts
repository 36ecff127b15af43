import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect } from '../official-client.js';
import { descendants } from '../processes.js';
import { type HttpServer, startPlain } from '../upstreams.js';
import { packCountingPlugin } from './counting-plugin.js';

/* "My own plugin counts calls, and goes on counting after the service was started again." */

const STORY_LIMIT_MS = 60_000;

let folder: string;
let hash: string;
let plain: HttpServer;
let gateway: RunningGateway | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-state-'));
  hash = await packCountingPlugin(join(folder, 'call-count'));
  plain = await startPlain();
});
afterEach(async () => {
  await closeClients();
  await gateway?.stop();
  gateway = undefined;
});
afterAll(async () => {
  await plain?.kill();
  await rm(folder, { recursive: true, force: true });
});

/** Starts the service, calls twice, and tells what the plugin counted. */
async function counted(isolation: string, stateDir?: string): Promise<string[]> {
  gateway = await startGateway({
    config: {
      ...(stateDir !== undefined && { gateway: { state_dir: stateDir } }),
      upstreams: [{ name: 'plain', url: plain.url }],
      plugins: [{ plugin: join(folder, 'call-count'), hash, isolation }],
    },
    workers: stateDir === undefined ? 2 : 1,
  });
  const client = await connect('SDK v2 auto', `${gateway.url}/mcp`);
  const said = [];
  for (const text of ['a', 'b']) said.push(await client.say('plain__echo', { text }));
  await closeClients();
  return said;
}

async function stop(): Promise<void> {
  expect(await gateway?.stop()).toBe(0);
}

/** The whole service at once, as when the machine takes it away. */
async function kill(): Promise<void> {
  const { pid } = gateway as RunningGateway;
  // The one that would start the others again goes first.
  for (const each of [pid, ...descendants(pid).map((child) => child.pid)]) {
    try {
      process.kill(each, 'SIGKILL');
    } catch (error) {
      // Some end by themselves when those that started them are gone.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  expect(await gateway?.stop()).toBeNull();
}

describe.each(['process', 'pool', 'inline'])('a plugin from elsewhere with isolation: %s', (isolation) => {
  it(
    'goes on with what it stored when the service was stopped, and when it was killed',
    async () => {
      const state = await mkdtemp(join(folder, 'state-'));
      expect(await counted(isolation, state)).toEqual(['call 1', 'call 2']);
      await stop();
      expect(await counted(isolation, state)).toEqual(['call 3', 'call 4']);
      await kill();
      expect(await counted(isolation, state)).toEqual(['call 5', 'call 6']);
    },
    STORY_LIMIT_MS,
  );

  it(
    'begins anew where the gateway has no folder for its state',
    async () => {
      expect(await counted(isolation)).toEqual(['call 1', 'call 2']);
      await stop();
      expect(await counted(isolation)).toEqual(['call 1', 'call 2']);
    },
    STORY_LIMIT_MS,
  );
});
