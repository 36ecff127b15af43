import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run, SluiceProcess } from '../cli/sluice-process.js';
import { closeClients, connect } from '../stories/official-client.js';
import { freePort, type HttpServer, startPlain } from '../stories/upstreams.js';
import { blocksOf } from './pages.js';

/* "I type the five commands of the page, and have a cluster." */

const PAGE = 'docs/operating/cluster.md';
const UPSTREAM = 'http://127.0.0.1:3001/mcp';
const COMMAND_LIMIT_MS = 60_000;

let folder: string;
let upstream: HttpServer;
const staying: SluiceProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-first-cluster-'));
  upstream = await startPlain();
});
afterAll(async () => {
  await closeClients();
  for (const each of staying) each.child.kill('SIGTERM');
  await Promise.all(staying.map(({ ended }) => ended));
  await upstream?.kill();
  await rm(folder, { recursive: true, force: true });
});

it(
  'the commands of a first cluster make one',
  async () => {
    const blocks = blocksOf(PAGE);
    const yaml = blocks.find(({ language }) => language === 'yaml')?.text ?? '';
    await writeFile(join(folder, 'sluice.yaml'), yaml.replace(UPSTREAM, upstream.url));
    const commands = blocks
      .filter(({ language }) => language === 'sh')
      .flatMap(({ text }) => text.trim().split('\n'));
    expect(commands).toHaveLength(5);
    // Whatever is at these ports on this machine is somebody else's.
    const ports = new Map<string, number>();
    for (const port of ['7070', '7080', '7090', '8081', '8082']) ports.set(port, await freePort());
    const at = (port: string) => `127.0.0.1:${ports.get(port)}`;
    const env: Record<string, string> = {
      SLUICE_CP_LISTEN: at('7080'),
      SLUICE_CP_ADMIN_LISTEN: at('7070'),
      SLUICE_CP_HEALTH_LISTEN: at('7090'),
      SLUICE_ADMIN_SERVER: at('7070'),
    };
    for (const command of commands) {
      const [program, ...args] = command.replace(/\b\d{4}\b/g, (port) => `${ports.get(port)}`).split(' ');
      expect(program).toBe('sluice');
      if (args[0] === 'control-plane' || args[0] === 'data-plane') {
        const process = new SluiceProcess(args, env, folder);
        staying.push(process);
        if (args[0] === 'data-plane') continue;
        for (const kind of ['node', 'admin'])
          env[`SLUICE_${kind.toUpperCase()}_TOKEN`] = await process.until(`the token of kind ${kind}`, () => {
            const file = process.stdout.match(new RegExp(`cat '(.+/first-${kind}-token)'`))?.[1];
            return file && readFileSync(resolve(folder, file), 'utf8').trim();
          });
        continue;
      }
      if (args[1] === 'apply') await nodesAre(env, 2);
      const { code, stdout, stderr } = await run(args, env, folder);
      expect([code, stderr]).toEqual([0, '']);
      if (args[0] === 'nodes') expect(stdout).toMatch(/one[^]*two/);
    }
    for (const port of ['8081', '8082']) {
      const client = await connect('SDK v2 auto', `http://${at(port)}/mcp`);
      expect(await client.toolNames()).toContain('time__slow');
    }
  },
  COMMAND_LIMIT_MS,
);

async function nodesAre(env: Record<string, string>, count: number): Promise<void> {
  const [plane] = staying;
  await plane?.until(`${count} nodes`, async () => {
    const { stdout } = await run(['nodes', '-o', 'name'], env, folder);
    return stdout.trim().split('\n').length === count ? true : undefined;
  });
}
