import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SERVER = fileURLToPath(new URL('../examples/demo-server.mjs', import.meta.url));

describe.each([{ mode: 'legacy' }, { mode: { pin: '2026-07-28' } }] as const)(
  'the demo server, client mode $mode',
  ({ mode }) => {
    let server: ChildProcess;
    let client: Client;

    beforeAll(async () => {
      server = fork(SERVER, ['--port', '0'], { silent: true });
      const [line] = await once(server.stdout as NodeJS.ReadableStream, 'data');
      client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode } });
      await client.connect(new StreamableHTTPClientTransport(new URL(JSON.parse(String(line)).listening)));
    });
    afterAll(async () => {
      await client?.close();
      server.kill();
      await once(server, 'exit');
    });

    it('lists its three tools', async () => {
      const { tools } = await client.listTools();
      expect(tools.map((tool) => tool.name)).toEqual(['time', 'calculator', 'echo']);
    });

    it('tells the time in a place', async () => {
      const { content } = await client.callTool({ name: 'time', arguments: { timeZone: 'Asia/Tokyo' } });
      expect(JSON.stringify(content)).toMatch(/GMT\+9|JST/);
    });

    it.each([
      ['add', 5],
      ['subtract', -1],
      ['multiply', 6],
      ['divide', 2 / 3],
    ])('calculates: %s', async (operation, result) => {
      const { structuredContent } = await client.callTool({
        name: 'calculator',
        arguments: { operation, a: 2, b: 3 },
      });
      expect(structuredContent).toEqual({ result });
    });

    it('fails as a tool fails when it cannot calculate', async () => {
      const result = await client.callTool({
        name: 'calculator',
        arguments: { operation: 'divide', a: 1, b: 0 },
      });
      expect(result.isError).toBe(true);
      expect(JSON.stringify(result.content)).toContain('divided by zero');
    });

    it('echoes', async () => {
      const { content } = await client.callTool({ name: 'echo', arguments: { text: 'hello' } });
      expect(content).toEqual([{ type: 'text', text: 'hello' }]);
    });
  },
);
