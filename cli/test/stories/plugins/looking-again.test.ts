import { rename, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS, type OfficialClient } from '../official-client.js';
import { type HttpServer, startFixtureOn } from '../upstreams.js';

/* "When I change who may see what, every client looks again, and is not told so over and over." */

const PATIENCE = { timeout: 15_000 };
const EACH_ONCE = ['tools', 'prompts', 'resources'].map((kind) => `notifications/${kind}/list_changed`);

let legacy: HttpServer;
let both: HttpServer;
let gateway: RunningGateway;
let edition = 0;

/** Each time something else may be used, of the same upstreams. */
const configuration = () => ({
  upstreams: [
    { name: 'legacy', url: legacy.url },
    { name: 'both', url: both.url },
  ],
  plugins: [{ plugin: 'authorize', config: { permissions: { '*:*': [], [`both:none_${edition}`]: [] } } }],
});

async function change(): Promise<void> {
  edition++;
  await writeFile(`${gateway.configFile}.new`, JSON.stringify(configuration()));
  await rename(`${gateway.configFile}.new`, gateway.configFile);
}

beforeAll(async () => {
  legacy = await startFixtureOn(0, 'legacy');
  both = await startFixtureOn(0, 'both');
  gateway = await startGateway({ config: configuration() });
});
afterEach(closeClients);
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([legacy?.kill(), both?.kill()]);
});

const told = (client: OfficialClient) =>
  client.heard.map(({ method }) => method).filter((method) => method.endsWith('/list_changed'));

// Behind the last one a modern server answers the subscriptions of modern clients.
describe.each(['/mcp', '/mcp/legacy', '/mcp/both'])('at %s', (path) => {
  it.each(KINDS)('%s is told of each list once for each change of the plugins', async (kind) => {
    const client = await connect(kind, `${gateway.url}${path}`);
    await client.toolNames();
    if (client.isModern)
      await client.v2?.listen({
        toolsListChanged: true,
        promptsListChanged: true,
        resourcesListChanged: true,
      });
    await change();
    await expect.poll(() => told(client), PATIENCE).toContain(EACH_ONCE[2]);
    await change();
    // What the second change begins with ends what the first one said, on the same stream.
    await expect.poll(() => told(client).length, PATIENCE).toBeGreaterThan(EACH_ONCE.length);
    expect(told(client).slice(0, EACH_ONCE.length + 1)).toEqual([...EACH_ONCE, EACH_ONCE[0]]);
  });
});
