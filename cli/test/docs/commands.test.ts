import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderScreen } from '../../src/screen.js';
import { type RunningGateway, startGateway } from '../gateway.js';
import { type HttpServer, startDemo } from '../stories/upstreams.js';
import { allBlocks, blocksOf } from './pages.js';

/* "I paste a curl command of the documentation, and it answers." */

const ADDRESS = 'http://127.0.0.1:8080';
const hasCurl = spawnSync('curl', ['--version']).status === 0;
const commands = allBlocks().filter(
  ({ language, text }) => language === 'sh' && text.startsWith('curl ') && text.includes(ADDRESS),
);

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

describe.skipIf(!hasCurl)('curl commands', () => {
  it.each(commands)('$page:$line', async ({ text }) => {
    const answer = await answerTo(text);
    expect(answer).not.toHaveProperty('error');
    expect(Object.keys(answer)).not.toHaveLength(0);
  });

  it('list and call the tools of the demo', async () => {
    const [list, call] = blocksOf('README.md').filter(({ text }) => text.startsWith('curl '));
    expect(JSON.stringify(await answerTo(list?.text ?? ''))).toContain('"demo__echo"');
    expect(JSON.stringify(await answerTo(call?.text ?? ''))).toContain('"hello"');
  });
});

it('the README has the command of the start-up screen', () => {
  const [first] = blocksOf('README.md').filter(({ text }) => text.startsWith('curl '));
  const screen = renderScreen({ version: '0.1.0', url: ADDRESS, upstreams: [] }, false);
  expect(screen).toContain((first?.text ?? '').trim());
});
