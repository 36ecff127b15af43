import { rename, writeFile } from 'node:fs/promises';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, type OfficialClient } from '../official-client.js';
import { startFixtureOn } from '../upstreams.js';

const PATIENCE = { timeout: 20_000 };
const STORY = { timeout: 30_000 };
const SECRET = 'a secret of at least thirty-two characters';
const { key, prefix, hash } = createApiKey(SECRET);

let fixture: Awaited<ReturnType<typeof startFixtureOn>>;
let gateway: RunningGateway;
let client: OfficialClient;

const configuration = (
  tools: Record<string, string[]>,
  keys = [{ prefix, hash, consumer: 'ada', scopes: ['a'] }],
) => ({
  upstreams: [{ name: 'fixture', url: fixture.url }],
  plugins: [
    { plugin: 'auth-api-key', config: { hash_key: SECRET, keys } },
    { plugin: 'authorize', config: { permissions: tools } },
  ],
});

async function change(config: object): Promise<void> {
  const file = `${gateway.configFile}.new`;
  await writeFile(file, JSON.stringify(config));
  await rename(file, gateway.configFile);
}

beforeAll(async () => {
  fixture = await startFixtureOn(0, 'both');
  gateway = await startGateway({ config: configuration({ 'fixture:*': ['a'] }) });
  client = await connect('SDK v1', `${gateway.url}/mcp/fixture`, { headers: { 'X-API-Key': key } });
});
afterAll(async () => {
  await closeClients();
  await gateway?.stop();
  await fixture?.kill();
});

it('what a caller may use changes in the middle of a session, which hears of it', STORY, async () => {
  const before = await client.toolNames();
  expect(before.length).toBeGreaterThan(3);
  const [first] = before as [string];
  await change(configuration({ [`fixture:${first}`]: ['a'] }));
  await expect
    .poll(() => client.heard.map(({ method }) => method), PATIENCE)
    .toContain('notifications/tools/list_changed');
  expect(await client.toolNames()).toEqual([first]);
});

it('a broken change is refused, and what held goes on', STORY, async () => {
  const before = await client.toolNames();
  await change(configuration({ 'no-colon': ['a'] }));
  await expect.poll(() => gateway.logs(), PATIENCE).toContain('plugins[1].config.permissions');
  expect(await client.toolNames()).toEqual(before);
});

it('a key that was taken away opens nothing from then on', STORY, async () => {
  await change(configuration({ 'fixture:*': ['a'] }, []));
  await expect
    .poll(
      () =>
        client.toolNames().then(
          () => 'in',
          () => 'out',
        ),
      PATIENCE,
    )
    .toBe('out');
});
