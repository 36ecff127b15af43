import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testPlugin } from '@sluice/sdk/testing';
import plugin from './index.js';

test('sends the tenant', async () => {
  const gateway = testPlugin(plugin);
  await gateway.call({ tool: 'files:read', as: { tenant: 'acme' } });
  assert.deepEqual(gateway.reached[0]?.headers, { 'x-tenant': 'acme' });
  assert.equal(gateway.counted.get('calls_total{tenant="acme"}'), 1);
});

test('refuses who has none, and reaches nobody', async () => {
  const gateway = testPlugin(plugin);
  assert.equal((await gateway.call({ tool: 'files:read' })).status, 403);
  assert.equal(gateway.reached.length, 0);
});

test('or lets them through without', async () => {
  const gateway = testPlugin(plugin, { config: { required: false } });
  assert.equal((await gateway.call({ tool: 'files:read' })).status, 200);
  assert.deepEqual(gateway.reached[0]?.headers, {});
});
