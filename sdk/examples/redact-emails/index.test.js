import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configProblems, testPlugin } from '@sluice/sdk/testing';
import plugin from './index.js';

const answering = (text) => () => ({ content: [{ type: 'text', text }] });

test('hides addresses, and counts them', async () => {
  const gateway = testPlugin(plugin, { upstream: answering('ask ada@example.com or ben@example.org') });
  const { outcome } = await gateway.call({ tool: 'files:read' });
  assert.deepEqual(outcome.result?.content, [{ type: 'text', text: 'ask [address] or [address]' }]);
  assert.equal(gateway.counted.get('redacted_total'), 2);
});

test('keeps those of domains that may be seen', async () => {
  const config = { keep_domains: ['Example.com'] };
  const gateway = testPlugin(plugin, { config, upstream: answering('ada@example.com, ben@example.org') });
  const { outcome } = await gateway.call({ tool: 'files:read' });
  assert.deepEqual(outcome.result?.content, [{ type: 'text', text: 'ada@example.com, [address]' }]);
});

test('leaves alone what has none', async () => {
  const gateway = testPlugin(plugin, { upstream: answering('nothing @ all') });
  const { outcome } = await gateway.call({ tool: 'files:read' });
  assert.deepEqual(outcome.result?.content, [{ type: 'text', text: 'nothing @ all' }]);
});

test('says what is wrong with a configuration', () => {
  assert.equal(configProblems(plugin, { keep_domains: 'example.com' })[0]?.path, 'keep_domains');
});
