import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { everything, filesystem, type HttpServer, PLAIN, startDemo } from './upstreams.js';

/* "I have the file of my desktop client. I want to hand it over as it is." */

let folder: string;
let demo: HttpServer;
let gateway: RunningGateway;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-stories-'));
  await writeFile(join(folder, 'hello.txt'), 'hello');
  demo = await startDemo();
  gateway = await startGateway({
    // What desktop clients write: names with spaces, types in several spellings, servers that are switched off.
    config: {
      globalShortcut: 'Ctrl+Space',
      mcpServers: {
        filesystem: filesystem(folder).stdio,
        'Everything else': { type: 'stdio', ...(everything({}).stdio as object) },
        greeter: {
          command: process.execPath,
          args: [PLAIN, '--name', 'greeter'],
          env: { GREETING: 'hello' },
          disabled: false,
        },
        demo: { type: 'http', url: demo.url, headers: { 'X-Client': 'desktop' } },
        'off for now': { command: 'does-not-exist', disabled: true },
      },
    },
  });
});
afterEach(closeClients);
afterAll(async () => {
  await gateway?.stop();
  await demo?.kill();
  await rm(folder, { recursive: true, force: true });
});

it.each(KINDS)('%s finds every server of the file at one address', async (kind) => {
  const client = await connect(kind, `${gateway.url}/mcp`);
  expect(await client.toolNames()).toEqual(
    expect.arrayContaining([
      'filesystem__read_text_file',
      'Everything-else__echo',
      'greeter__echo',
      'demo__time',
    ]),
  );
  const path = join(folder, 'hello.txt');
  expect(await client.say('filesystem__read_text_file', { path })).toBe('hello');
  expect(await client.say('Everything-else__echo', { message: 'hi' })).toBe('Echo: hi');
  expect(await client.say('demo__echo', { text: 'hi' })).toBe('hi');
});

it('each server has its own address too, and one that is switched off has none', async () => {
  const client = await connect('SDK v2 auto', `${gateway.url}/mcp/Everything-else`);
  expect(await client.toolNames()).toContain('echo');
  await expect(connect('SDK v2 legacy', `${gateway.url}/mcp/off-for-now`)).rejects.toThrow(/no upstream/);
});
