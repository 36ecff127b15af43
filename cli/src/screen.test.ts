import type { UpstreamStatus } from '@sluice/data-plane';
import { expect, test } from 'vitest';
import { renderScreen } from './screen.js';

const upstream = (fields: Partial<UpstreamStatus>): UpstreamStatus => ({
  name: 'files',
  id: 'files',
  kind: 'stdio',
  state: 'ready',
  revision: '2025-11-25',
  toolCount: 14,
  promptCount: 0,
  resourceCount: 0,
  ...fields,
});
const screen = (upstreams: UpstreamStatus[], url = 'http://127.0.0.1:8080') =>
  renderScreen({ version: '1.2.3', url, upstreams }, false);

test('endpoints, upstreams with counts, and something to paste', () => {
  const everything = { name: 'everything', toolCount: 1, promptCount: 4, resourceCount: 100 };
  expect(screen([upstream(everything), upstream({})])).toMatchInlineSnapshot(`
    "
      Sluice 1.2.3 serves on http://127.0.0.1:8080

      Endpoints
        all upstreams as one     http://127.0.0.1:8080/mcp
        one upstream, as it is   http://127.0.0.1:8080/mcp/everything
                                 http://127.0.0.1:8080/mcp/files
        health                   http://127.0.0.1:8080/health
        metrics                  http://127.0.0.1:8080/metrics

      Upstreams
        everything   stdio   ready   2025-11-25    1 tool    4 prompts   100 resources
        files        stdio   ready   2025-11-25   14 tools   0 prompts     0 resources

      Try it
        curl -s -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/list' -d '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}' http://127.0.0.1:8080/mcp

      Paste into an MCP client
        {
          "mcpServers": {
            "sluice": { "type": "http", "url": "http://127.0.0.1:8080/mcp" }
          }
        }

    "
  `);
});

test('an upstream that failed says why, and has no counts', () => {
  const failed = upstream({ name: 'demo', kind: 'http', state: 'failed', error: 'connection refused' });
  const text = screen([failed]);
  expect(text).toMatch(/demo {3}http {3}failed\n +connection refused\n/);
  expect(text).not.toMatch(/\d tools/);
});

test('an upstream that is not ready yet is not called ready', () => {
  expect(screen([upstream({ state: 'starting' })])).toMatch(/files {3}stdio {3}starting\n/);
});

test('an address that stands for all interfaces becomes one that can be connected to', () => {
  const text = screen([], 'http://0.0.0.0:9000');
  expect(text).toContain('http://127.0.0.1:9000/mcp');
  expect(text).not.toContain('0.0.0.0');
});

test('health and metrics are shown where they listen', () => {
  const content = { version: '1', url: 'http://127.0.0.1:1', upstreams: [] };
  const text = renderScreen({ ...content, metricsUrl: 'http://127.0.0.1:9090', healthUrl: undefined }, false);
  expect(text).toContain('http://127.0.0.1:9090/metrics');
  expect(text).toContain('http://127.0.0.1:1/health');
});

test('the request to paste is one line, and the configuration is JSON', () => {
  const text = screen([]);
  const curl = text.split('\n').find((line) => line.trim().startsWith('curl ')) ?? '';
  const body = JSON.parse(/-d '([^']+)'/.exec(curl)?.[1] ?? '');
  expect(body).toMatchObject({ jsonrpc: '2.0', method: 'tools/list' });
  expect(curl).toContain(
    `MCP-Protocol-Version: ${body.params._meta['io.modelcontextprotocol/protocolVersion']}`,
  );
  const configuration = JSON.parse(text.slice(text.indexOf('{\n')));
  expect(configuration.mcpServers.sluice.url).toBe('http://127.0.0.1:8080/mcp');
});

test('an admin API is shown where there is one', () => {
  const content = { version: '1.2.3', url: 'http://127.0.0.1:8080', upstreams: [] };
  expect(renderScreen(content, false)).not.toContain('admin');
  const text = renderScreen({ ...content, adminUrl: 'http://127.0.0.1:9092' }, false);
  expect(text).toMatch(/admin +http:\/\/127\.0\.0\.1:9092\/api\/v1\/status\n/);
});
