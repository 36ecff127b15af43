import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../fixture/start.js';
import { type RunningGateway, startGateway } from '../gateway.js';
import { itServesClients } from './client-cases.js';
import { itConforms } from './conformance-cases.js';
import { runConformance } from './run.mjs';

/** It asserts a key of `inputRequests` that the legacy wire does not carry; a private hint would be cheating. */
const CANNOT_CROSS = 'input-required-result-basic-elicitation';

function gatewayBefore(era: 'modern' | 'legacy', workers: number) {
  let fixture: Fixture;
  let gateway: RunningGateway;
  beforeAll(async () => {
    fixture = await startFixture({ era });
    gateway = await startGateway({
      workers,
      config: {
        gateway: { naming: { mode: 'when_needed' } },
        upstreams: [{ name: 'fixture', http: { url: fixture.url } }],
      },
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await fixture?.stop();
  });
  return (path: string) => gateway.url + path;
}

describe('legacy clients reach an upstream that speaks only 2026-07-28', () => {
  const url = gatewayBefore('modern', 1);
  describe.each(['/mcp/fixture', '/mcp'])('on %s', (path) => {
    itConforms(() => url(path), ['2025-06-18', '2025-11-25']);
    itServesClients(() => url(path), ['legacy']);
  });
});

describe.each([{ workers: 1 }, { workers: 2 }])(
  'clients of 2026-07-28 reach an upstream that speaks only older revisions, with $workers worker(s)',
  ({ workers }) => {
    const url = gatewayBefore('legacy', workers);
    describe.each(['/mcp/fixture', '/mcp'])('on %s', (path) => {
      it('passes every scenario but the one that cannot cross', async () => {
        const { required } = await runConformance({ url: url(path), set: '2026-07-28' });
        const failed = required.filter(({ isPassed }) => !isPassed).map(({ scenario }) => scenario);
        expect(failed).toEqual([CANNOT_CROSS]);
        expect(required).toHaveLength(37);
      }, 120_000);
      itServesClients(() => url(path), ['modern']);
    });
  },
);
