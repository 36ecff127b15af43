import { afterAll, beforeAll, describe } from 'vitest';
import { type Fixture, startFixture } from '../fixture/start.js';
import { type RunningGateway, startGateway } from '../gateway.js';
import { itServesClients } from './client-cases.js';
import { itConforms } from './conformance-cases.js';

describe.each([{ workers: 1 }, { workers: 2 }])(
  'the fixture through a gateway with $workers worker(s)',
  ({ workers }) => {
    let fixture: Fixture;
    let gateway: RunningGateway;

    beforeAll(async () => {
      fixture = await startFixture();
      gateway = await startGateway({
        workers,
        config: {
          // The suite calls tools by the fixture's own names.
          gateway: { naming: { mode: 'when_needed' } },
          upstreams: [{ name: 'fixture', http: { url: fixture.url } }],
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
  },
);
