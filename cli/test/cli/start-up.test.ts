import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { run, serve, writeFile } from './sluice-process.js';

const DEMO_SERVER = fileURLToPath(new URL('../../examples/demo-server.mjs', import.meta.url));
const shell = promisify(execFile);
const hasCurl = await shell('curl', ['--version']).then(
  () => true,
  () => false,
);

async function startDemoServer(): Promise<string> {
  const server = fork(DEMO_SERVER, ['--port', '0'], { silent: true });
  onTestFinished(() => void server.kill());
  const [line] = await once(server.stdout as NodeJS.ReadableStream, 'data');
  return JSON.parse(String(line)).listening;
}

async function screenOf(configuration: string): Promise<string> {
  const { sluice } = await serve(configuration, '--screen');
  return sluice.until('the start-up screen', () => {
    return sluice.stdout.includes('Paste into an MCP client') ? sluice.stdout : undefined;
  });
}

test('the screen shows what an upstream offers, and the curl command on it works as printed', async () => {
  const screen = await screenOf(`upstreams: [{ name: demo, url: "${await startDemoServer()}" }]`);
  expect(screen).toMatch(/\n +demo +http +ready +2026-07-28 +3 tools /);
  if (!hasCurl) return;
  const command = screen.split('\n').find((line) => line.trim().startsWith('curl ')) ?? '';
  const { stdout } = await shell('sh', ['-c', command]);
  const { result } = JSON.parse(stdout);
  expect(result.tools.map(({ name }: { name: string }) => name)).toEqual([
    'demo__time',
    'demo__calculator',
    'demo__echo',
  ]);
});

test('an upstream that failed is shown with its reason', async () => {
  const screen = await screenOf('upstreams: [{ name: gone, url: "http://127.0.0.1:9/mcp" }]');
  expect(screen).toMatch(/\n +gone +http +failed\n +\S.*cannot be reached/);
});

describe('a gateway whose port is taken', () => {
  const taken = async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    return (server.address() as { port: number }).port;
  };

  test.each([
    ['for clients', (port: number) => ({ listen: { port } })],
    ['for clients, of two workers', (port: number) => ({ listen: { port, workers: 2 } })],
    ['for metrics', (port: number) => ({ metrics: { port }, listen: { port: 0 } })],
  ])('%s ends before it has started any process', async (_, gateway) => {
    const file = writeFile('sluice.json', '');
    const started = join(dirname(file), 'started');
    const marks = { name: 'marks', stdio: { command: 'sh', args: ['-c', `: > '${started}'; exec cat`] } };
    writeFileSync(file, JSON.stringify({ gateway: gateway(await taken()), upstreams: [marks] }));
    const { code, stderr } = await run(['serve', '--config', file]);
    expect(stderr).toContain('cannot listen on 127.0.0.1:');
    expect(code).not.toBe(0);
    expect(existsSync(started)).toBe(false);
  });
});

test('without a terminal and without being asked for it, stdout stays empty', async () => {
  const { sluice } = await serve('upstreams: [{ name: gone, url: "http://127.0.0.1:9/mcp" }]');
  sluice.child.kill('SIGTERM');
  await sluice.ended;
  expect(sluice.stdout).toBe('');
});
