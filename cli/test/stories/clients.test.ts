import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inspect, inspectConfigured } from './inspector.js';
import { closeClients, connect, type Kind } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { type RealGateway, startRealGateway } from './real-gateway.js';

/* "I paste the URL into the client that I have, whatever its age, and it connects." */

const IS_FULL = process.env.SLUICE_TEST_FULL === '1';

const MODERN = '2026-07-28';
const LATEST_LEGACY = '2025-11-25';
const SHOWN_CONFIGURATION = fileURLToPath(new URL('../../../docs/examples/inspector.json', import.meta.url));

let gateway: RealGateway;

beforeAll(async () => {
  gateway = await startRealGateway();
});
afterEach(closeClients);
afterAll(() => gateway?.stop());

describe('each client settles on the newest revision that it knows', () => {
  const expected: Record<Kind, string> = {
    'SDK v2 legacy': LATEST_LEGACY,
    'SDK v2 auto': MODERN,
    'SDK v2 2026-07-28': MODERN,
    'SDK v1': LATEST_LEGACY,
  };
  // The legacy upstreams say by themselves what they speak, so the era is the client's and not the server's.
  describe.each(['/mcp', '/mcp/demo', '/mcp/everything', '/mcp/files', '/mcp/fixture'])('on %s', (path) => {
    it.each(Object.entries(expected) as [Kind, string][])('%s: %s', async (kind, revision) => {
      const client = await connect(kind, gateway.url + path);
      expect(client.revision()).toBe(revision);
    });
  });

  it('whoever asks for an old revision gets it, and whoever asks for an unknown one the latest', async () => {
    for (const [asked, given] of [
      ['2024-11-05', '2024-11-05'],
      ['2025-03-26', '2025-03-26'],
      ['2025-06-18', '2025-06-18'],
      ['1999-01-01', LATEST_LEGACY],
    ]) {
      const response = await fetch(`${gateway.url}/mcp`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'initialize',
          params: { protocolVersion: asked, capabilities: {}, clientInfo: { name: 'old', version: '1' } },
        }),
      });
      expect(await response.json()).toMatchObject({ result: { protocolVersion: given } });
    }
  });
});

describe('who a client talks to', () => {
  it('is the upstream on its own path, and the gateway on the path of all', async () => {
    for (const kind of ['SDK v2 legacy', 'SDK v2 auto'] as const) {
      const one = await connect(kind, `${gateway.url}/mcp/everything`);
      expect(one.serverInfo()?.name).toBe('mcp-servers/everything');
      const all = await connect(kind, `${gateway.url}/mcp`);
      expect(all.serverInfo()?.name).toBe('sluice');
      expect(all.capabilities()).toMatchObject({ tools: {}, prompts: {}, resources: {}, completions: {} });
    }
  });
});

describe('the official inspector, from the command line', () => {
  const CALLS: Record<string, { tool: string; args: Record<string, string>; says: RegExp }> = {
    everything: { tool: 'get-sum', args: { a: '2', b: '40' }, says: /42/ },
    'everything-http': { tool: 'echo', args: { message: 'hi' }, says: /Echo: hi/ },
    files: { tool: 'list_allowed_directories', args: {}, says: /sluice-stories-/ },
    memory: { tool: 'read_graph', args: {}, says: /entities/ },
    thinking: {
      tool: 'sequentialthinking',
      args: { thought: 'first', nextThoughtNeeded: 'false', thoughtNumber: '1', totalThoughts: '1' },
      says: /"thoughtNumber": 1/,
    },
    fixture: { tool: 'test_simple_text', args: {}, says: /simple text response/ },
    demo: { tool: 'calculator', args: { operation: 'add', a: '1', b: '2' }, says: /3/ },
  };

  // Each run takes a second of processor time, so that not every pair is tried every time.
  const servers = (place: string) =>
    place === 'its own path' && !IS_FULL ? ['everything', 'demo'] : Object.keys(CALLS);

  it('takes the configuration that the documentation has for it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-stories-'));
    try {
      const shown = await readFile(SHOWN_CONFIGURATION, 'utf8');
      const file = join(folder, 'inspector.json');
      await writeFile(file, shown.replace('http://127.0.0.1:8080', gateway.url));
      const { tools } = await inspectConfigured(file, '--method', 'tools/list');
      const names = tools.map((tool: { name: string }) => tool.name);
      expect(names).toContain('files__read_text_file');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  describe.each(PLACE_NAMES)('on %s', (place) => {
    const { path, name } = PLACES[place];

    it('lists the tools', async () => {
      const { tools } = await inspect(gateway.url + path('files'), '--method', 'tools/list');
      const names = tools.map((tool: { name: string }) => tool.name);
      expect(names).toContain(name('files', 'read_text_file'));
    });

    it.each(servers(place))('calls a tool of %s', async (upstream) => {
      const { tool, args, says } = CALLS[upstream] as (typeof CALLS)[string];
      const toolArgs = Object.entries(args).flatMap(([key, value]) => ['--tool-arg', `${key}=${value}`]);
      const call = ['--method', 'tools/call', '--tool-name', name(upstream, tool), ...toolArgs];
      const { content, isError } = await inspect(gateway.url + path(upstream), ...call);
      expect(isError ?? false).toBe(false);
      expect(content[0].text).toMatch(says);
    });
  });
});
