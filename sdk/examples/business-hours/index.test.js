import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configProblems, testPlugin } from '@sluice/sdk/testing';
import plugin from './index.js';

const HOUR_MS = 3_600_000;
const friday = Date.UTC(2026, 10, 20, 17, 30);

test('lets calls through until the day ends', async () => {
  const gateway = testPlugin(plugin, { nowMs: friday });
  assert.equal((await gateway.call({ tool: 'files:read' })).status, 200);
  gateway.clock.advance(HOUR_MS);
  const late = await gateway.call({ tool: 'files:read' });
  assert.equal(late.status, 403);
  assert.match(late.outcome.refusal?.message ?? '', /from 8:00 to 18:00 \(UTC\+0\)/);
  assert.equal(gateway.reached.length, 1);
});

test('is closed at the weekend', async () => {
  const gateway = testPlugin(plugin, { nowMs: friday + 18 * HOUR_MS });
  assert.equal((await gateway.call({ tool: 'files:read' })).status, 403);
});

test('goes by the time of the place', async () => {
  const gateway = testPlugin(plugin, { nowMs: friday, config: { utc_offset_hours: 1 } });
  assert.equal((await gateway.call({ tool: 'files:read' })).status, 403);
});

test('wants a day to end after it began', () => {
  assert.equal(configProblems(plugin, { from_hour: 9, to_hour: 9 })[0]?.path, 'to_hour');
});
