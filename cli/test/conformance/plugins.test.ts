import { afterAll, beforeAll, describe } from 'vitest';
import { type Fixture, startFixture } from '../fixture/start.js';
import { type RunningGateway, startGateway } from '../gateway.js';
import { itServesClients } from './client-cases.js';
import { itConforms } from './conformance-cases.js';

/** Every phase has something in it, and nothing that a client could see: whoever is let through finds the same server. */
const PLUGINS = [
  { plugin: 'security-headers' },
  { plugin: 'request-limit', config: { max_body_bytes: 1_000_000 } },
  { plugin: 'anonymous' },
  { plugin: 'authorize', config: { permissions: { '*:*': [] }, methods: { '*': [] } } },
  { plugin: 'ratelimit', config: { limits: [{ name: 'all', rate: 100_000, per: 'second' }] } },
];

describe('the fixture through a gateway with plugins that let everything through', () => {
  let fixture: Fixture;
  let gateway: RunningGateway;

  beforeAll(async () => {
    fixture = await startFixture();
    gateway = await startGateway({
      config: {
        // The suite calls tools by the fixture's own names.
        gateway: { naming: { mode: 'when_needed' } },
        upstreams: [{ name: 'fixture', http: { url: fixture.url } }],
        plugins: PLUGINS,
      },
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await fixture?.stop();
  });

  describe.each(['/mcp/fixture', '/mcp'])('on %s', (path) => {
    itConforms(() => gateway.url + path);
    itServesClients(() => gateway.url + path);
  });
});
