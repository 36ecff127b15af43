import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { renderScreen } from '../../src/screen.js';
import { packageVersion } from '../../src/version.js';
import { type RunningGateway, startGateway } from '../gateway.js';
import { describeUnless } from '../servers/describe-unless.js';
import { missing } from '../servers/server-process.js';
import { type HttpServer, startDemo } from '../stories/upstreams.js';
import { allBlocks, blocksOf } from './pages.js';

/* "I paste a curl command of the documentation, and it answers." */

const ADDRESS = 'http://127.0.0.1:8080';
const commands = allBlocks().filter(
  ({ language, text }) => language === 'sh' && text.startsWith('curl ') && text.includes(ADDRESS),
);

/** What the README shows of `npm start`. */
const startUpOutput = blocksOf('README.md').find(({ text }) => text.includes(' serves on '))?.text ?? '';

let demo: HttpServer;
let gateway: RunningGateway;

beforeAll(async () => {
  demo = await startDemo();
  gateway = await startGateway({ config: { upstreams: [{ name: 'demo', url: demo.url }] } });
});
afterAll(async () => {
  await gateway?.stop();
  await demo?.kill();
});

async function answerTo(command: string): Promise<{ error?: unknown }> {
  const { stdout } = await promisify(execFile)('sh', ['-c', command.replaceAll(ADDRESS, gateway.url)]);
  // `-i` puts the head in front; a stream has the answer in its last event.
  const body = stdout.slice(stdout.startsWith('HTTP/') ? stdout.indexOf('\r\n\r\n') : 0).trim();
  return JSON.parse(body.slice(body.lastIndexOf('data: ') === -1 ? 0 : body.lastIndexOf('data: ') + 6));
}

describeUnless(missing('curl', 'curl'), 'curl commands', () => {
  it.each(commands)('$page:$line', async ({ text }) => {
    const answer = await answerTo(text);
    expect(answer).not.toHaveProperty('error');
    expect(Object.keys(answer)).not.toHaveLength(0);
  });

  it('list and call the tools of the demo', async () => {
    const list = startUpOutput.split('\n').find((line) => line.trim().startsWith('curl '));
    const call = blocksOf('README.md').find(({ text }) => text.startsWith('curl '))?.text;
    expect(JSON.stringify(await answerTo(list ?? ''))).toContain('"demo__echo"');
    expect(JSON.stringify(await answerTo(call ?? ''))).toContain('"hello"');
  });
});

it('the README has the start-up screen as it is printed', () => {
  const upstreams = [
    { name: 'everything', kind: 'stdio', toolCount: 13, promptCount: 4, resourceCount: 7 },
    { name: 'files', kind: 'stdio', toolCount: 14, promptCount: 0, resourceCount: 0 },
    { name: 'demo', kind: 'http', toolCount: 3, promptCount: 0, resourceCount: 0 },
  ].map((each) => ({
    ...each,
    id: each.name,
    kind: each.kind as 'stdio' | 'http',
    state: 'ready' as const,
    revision: each.kind === 'http' ? '2026-07-28' : '2025-11-25',
  }));
  const screen = renderScreen({ version: packageVersion(), url: ADDRESS, upstreams }, false);
  expect(startUpOutput.trimEnd().endsWith(screen.trimEnd())).toBe(true);
});
