/** The files of a new plugin: it does something small, and its test runs that in the real chain. */
export function skeleton(name: string): ReadonlyMap<string, string> {
  const manifest = {
    name: `sluice-plugin-${name}`,
    version: '0.1.0',
    private: true,
    type: 'module',
    exports: './index.js',
  };
  return new Map([
    ['package.json', `${JSON.stringify(manifest, undefined, 2)}\n`],
    ['.gitignore', 'node_modules/\n'],
    ['index.js', module(name)],
    ['index.test.js', test()],
  ]);
}

function module(name: string): string {
  return `// @ts-check
import { definePlugin, Refusal, Type } from '@sluice/sdk';

export default definePlugin({
  name: '${name}',
  version: '0.1.0',
  description: 'Refuses calls with a word in their arguments.',
  // Outermost first: record, door, identity, decision, limit, shape, cache.
  phase: 'shape',
  // Type, defaults, validation and documentation of the configuration, in one.
  config: Type.Object(
    { word: Type.String({ default: 'secret', minLength: 1, description: 'The word that is refused.' }) },
    { additionalProperties: false },
  ),
  // What hooks are given; what is not declared cannot be read.
  reads: ['arguments'],
  changes: [],
  // Called once for each configuration; hooks are called for each request and stay small.
  hooks: ({ word }, host) => {
    const refusal = new Refusal('forbidden', 'the arguments hold a word that is not let through');
    return {
      exchange: (ctx, next) => {
        if (!JSON.stringify(ctx.arguments).includes(word)) return next();
        host.metrics.count('refused_total', 'Calls that were refused');
        return refusal;
      },
    };
  },
});
`;
}

function test(): string {
  return `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testPlugin } from '@sluice/sdk/testing';
import plugin from './index.js';

test('lets calls through', async () => {
  const gateway = testPlugin(plugin);
  const { status } = await gateway.call({ tool: 'files:read', arguments: { path: 'notes' } });
  assert.equal(status, 200);
});

test('refuses the word, and reaches nobody', async () => {
  const gateway = testPlugin(plugin, { config: { word: 'hidden' } });
  const { status } = await gateway.call({ tool: 'files:read', arguments: { path: 'hidden/a' } });
  assert.equal(status, 403);
  assert.equal(gateway.reached.length, 0);
});
`;
}
