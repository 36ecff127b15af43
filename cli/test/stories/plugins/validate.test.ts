import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { ShapedServer } from '../shaped-server.js';

/* "Nothing reaches my servers that they do not take, and nothing comes from them that they did not announce." */

const ERAS = ['legacy', 'modern'] as const;
const READ = {
  name: 'read',
  description: 'Reads a file.',
  inputSchema: {
    type: 'object',
    properties: { path: { type: 'string', pattern: '^/tmp/' }, lines: { type: 'integer', minimum: 1 } },
    required: ['path'],
    additionalProperties: false,
  },
  outputSchema: { type: 'object', properties: { size: { type: 'integer' } }, required: ['size'] },
};
const WEIRD = { name: 'weird', inputSchema: { type: 'object', $ref: 'https://example.com/schema.json' } };
const WIDE = { name: 'wide', inputSchema: { type: 'object' } };

const servers = { legacy: new ShapedServer('legacy'), modern: new ShapedServer('modern') };
let gateway: RunningGateway;

beforeAll(async () => {
  const upstreams = [];
  for (const era of ERAS) {
    servers[era].tools = [READ, WEIRD, WIDE];
    upstreams.push({ name: era, url: await servers[era].start() });
  }
  gateway = await startGateway({ config: { upstreams, plugins: [{ plugin: 'validate' }] } });
});

afterAll(async () => {
  await closeClients();
  await gateway?.stop();
  for (const era of ERAS) await servers[era].stop();
});

describe.each(ERAS)('in front of a %s server', (era) => {
  const server = servers[era];

  beforeEach(() => {
    server.calls.length = 0;
    server.tools = [READ, WEIRD, WIDE];
    server.result = () => ({ content: [], structuredContent: { size: 3 } });
  });

  describe.each(KINDS)('%s', (kind) => {
    it.each([`/mcp/${era}`, '/mcp'])('at %s is told what does not fit, and where', async (path) => {
      const name = (own: string) => (path === '/mcp' ? `${era}__${own}` : own);
      const client = await connect(kind, `${gateway.url}${path}`);
      const call = (own: string, args: Record<string, unknown>) => client.call(name(own), args);

      const result = await call('read', { path: '/tmp/a', lines: 2 });
      expect(result.structuredContent).toEqual({ size: 3 });
      expect(server.calls).toEqual([{ name: 'read', arguments: { path: '/tmp/a', lines: 2 } }]);

      // Legacy clients quote the whole answer, with its escapes.
      const unfit = (what: string) => new RegExp(`${era}:read.{1,2} do not fit its inputSchema: ${what}`);
      await expect(call('read', { path: 7 })).rejects.toThrow(unfit('/path must be string'));
      await expect(call('read', { path: '/etc/passwd' })).rejects.toThrow(unfit('/path must match pattern'));
      await expect(call('read', { path: '/tmp/a', mode: 'w' })).rejects.toThrow(
        unfit('they must NOT have additional properties: .{1,2}mode'),
      );
      await expect(call('weird', {})).rejects.toThrow(/cannot be used: can't resolve reference/);
      expect(server.calls).toHaveLength(1);

      server.result = () => ({ content: [], structuredContent: { size: 'three' } });
      await expect(call('read', { path: '/tmp/a' })).rejects.toThrow(
        /the call has run, and its result is held back: .*structuredContent\/size must be integer/,
      );
      server.result = () => ({ content: [{ type: 'text', text: 'no such file' }], isError: true });
      expect(await call('read', { path: '/tmp/a' })).toMatchObject({ isError: true });
    });
  });

  it.each(['SDK v1', 'SDK v2 2026-07-28'] as const)('%s that can be asked is told the same', async (kind) => {
    for (const path of [`/mcp/${era}`, '/mcp']) {
      const name = path === '/mcp' ? `${era}__read` : 'read';
      const client = await connect(kind, `${gateway.url}${path}`, {
        onElicit: () => ({ action: 'decline' }),
      });
      expect(await client.toolNames()).toContain(name);
      expect((await client.call(name, { path: '/tmp/a' })).structuredContent).toEqual({ size: 3 });
      await expect(client.call(name, { path: 7 })).rejects.toThrow('/path must be string');
    }
  });

  it('a schema that changes between list and call is the one that counts', async () => {
    const client = await connect(
      era === 'legacy' ? 'SDK v1' : 'SDK v2 2026-07-28',
      `${gateway.url}/mcp/${era}`,
    );
    server.result = () => ({ content: [] });
    await client.call('wide', { path: 'a' });
    server.change(READ, {
      ...WIDE,
      inputSchema: { type: 'object', properties: { path: { type: 'integer' } } },
    });
    await expect
      .poll(() => client.call('wide', { path: 'a' }).then(() => 'passed', String), { timeout: 10_000 })
      .toContain('/path must be integer');
  });

  it.each([
    ['arguments', '{"path":"/tmp/a","path":"/etc/passwd"}'],
    ['arguments, spelled in two ways', '{"path":"/tmp/a","p\\u0061th":"/etc/passwd"}'],
    ['calls', '{"path":"/tmp/a"},"arguments":{"path":"/etc/passwd"}'],
  ])('%s that are there twice reach nobody', async (_, text) => {
    const _meta =
      '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
    const answer = await fetch(`${gateway.url}/mcp/${era}`, {
      method: 'POST',
      headers: {
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': 'read',
      },
      body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":${text},${_meta}}}`,
    });
    expect(await answer.text()).toContain('stands twice in one object');
    expect(server.calls).toEqual([]);
  });
});

it('counts what did not fit', async () => {
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toMatch(/sluice_plugin_validate_unfit_total\{[^}]*what="arguments"[^}]*\} \d+/);
});
