import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { lastMessage, postModern } from '../raw-http.js';
import { type HttpServer, startPlain } from '../upstreams.js';

/* "What I said to a question holds once, whoever sends it again, and also when the gateway has crashed meanwhile." */

const folder = mkdtempSync(join(tmpdir(), 'sluice-approvals-story-'));
const CAPABILITIES = { elicitation: { form: {} } };
let server: HttpServer;
let gateway: RunningGateway;

beforeAll(async () => {
  server = await startPlain(['--era', 'modern']);
  const ask = { message: 'May {{arguments.text}} be said?' };
  gateway = await startGateway({
    workers: 2,
    config: {
      gateway: { state_dir: folder },
      upstreams: [{ name: 'plain', url: server.url }],
      plugins: [
        { plugin: 'policy', config: { default: 'allow', rules: [{ id: 'confirm', outcome: 'ask', ask }] } },
      ],
    },
  });
});

afterAll(async () => {
  await gateway?.stop();
  await server?.kill();
  rmSync(folder, { recursive: true, force: true });
});

async function say(text: string, more: object = {}) {
  const params = { name: 'echo', arguments: { text }, ...more };
  const response = await postModern(`${gateway.url}/mcp/plain`, 'tools/call', params, CAPABILITIES);
  return { status: response.status, message: await lastMessage(response) };
}

/** The question about a call, and how its answers are sent. */
async function asked(text: string) {
  const { inputRequests, requestState } = (await say(text)).message.result;
  const [key] = Object.keys(inputRequests) as [string];
  return (action: 'accept' | 'decline') =>
    say(text, { requestState, inputResponses: { [key]: { action, content: {} } } });
}

const ANSWERED = {
  status: 403,
  message: { error: { message: expect.stringContaining('has been answered already') } },
};

it('an answer counts once, also after a crash', async () => {
  const [approved, declined] = [await asked('a'), await asked('b')];
  expect((await approved('accept')).status).toBe(200);
  expect(await approved('accept')).toMatchObject(ANSWERED);
  expect((await declined('decline')).message.error?.message).toContain('has declined');
  expect(await declined('accept')).toMatchObject(ANSWERED);

  const [child] = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8').trim().split(' ');
  process.kill(Number(child), 'SIGKILL');
  const isBack = () =>
    asked('c').then(
      () => true,
      () => false,
    );
  await expect.poll(isBack, { timeout: 20_000 }).toBe(true);
  expect(await approved('accept')).toMatchObject(ANSWERED);
  expect(await declined('accept')).toMatchObject(ANSWERED);
}, 60_000);
