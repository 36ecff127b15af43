import { afterAll, beforeAll, describe } from 'vitest';
import { type Fixture, startFixture } from '../fixture/start.js';
import { itServesClients } from './client-cases.js';
import { itConforms } from './conformance-cases.js';

describe.each([
  { era: 'both', clients: ['legacy', 'modern'], sets: ['2025-06-18', '2025-11-25', '2026-07-28'] },
  { era: 'legacy', clients: ['legacy'], sets: ['2025-06-18', '2025-11-25'] },
  { era: 'modern', clients: ['modern'], sets: ['2026-07-28'] },
] as const)('the fixture by itself, era $era', ({ era, clients, sets }) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await startFixture({ era });
  });
  afterAll(() => fixture.stop());

  itConforms(() => fixture.url, sets);
  itServesClients(() => fixture.url, clients);
});
