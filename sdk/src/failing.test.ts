import { describe, expect, it } from 'vitest';
import { definePlugin, type Hooks, type Phase, Type } from './index.js';
import { type TestRequest, testPlugin } from './testing.js';

/* What docs/concepts/plugins.md says under "What fails closed". */

function failing(phase: Phase, hook: keyof Hooks, more: Hooks = {}) {
  const fail = () => {
    throw new Error('a secret of the plugin');
  };
  return definePlugin({
    name: 'failing',
    version: '1.0.0',
    description: 'For a test.',
    phase,
    config: Type.Object({}),
    reads: [],
    changes: [],
    hooks: () => ({ ...more, [hook]: fail }),
  });
}

const CALL: TestRequest = { tool: 'files:read' };
const upstream = () => ({ tools: [{ name: 'files:read' }, { name: 'files:write' }] });
const passAfter: Hooks = { outcome: (_, outcome) => outcome };

/** Phase, hook, request, and the status where it denies and where it allows. */
const ROWS: readonly [Phase, keyof Hooks, TestRequest, number, number][] = [
  ['door', 'head', CALL, 503, 200],
  ['door', 'admission', CALL, 503, 200],
  ['identity', 'identify', CALL, 503, 401],
  ['decision', 'decide', CALL, 503, 200],
  ['limit', 'exchange', CALL, 503, 200],
  ['shape', 'outcome', CALL, 503, 200],
  ['shape', 'entries', {}, 503, 200],
];

describe('a plugin that fails', () => {
  it.each(ROWS)('in %s, %s: %j', async (phase, hook, request, denied, allowed) => {
    const plugin = failing(phase, hook, hook === 'outcome' ? {} : passAfter);
    const closed = await testPlugin(plugin, { upstream }).call(request);
    const open = await testPlugin(plugin, { upstream, onFailure: 'allow' }).call(request);
    expect([closed.status, open.status]).toEqual([denied, allowed]);
    if (denied === 503) {
      expect(closed.outcome.error).toMatchObject({
        code: -31011,
        message: expect.stringContaining('failing'),
      });
      expect(JSON.stringify(closed.outcome.error)).not.toContain('secret');
    }
  });

  it('over one entry of a list hides it, or shows it', async () => {
    const plugin = definePlugin({
      name: 'failing',
      version: '1.0.0',
      description: 'For a test.',
      phase: 'decision',
      config: Type.Object({}),
      reads: ['target'],
      changes: [],
      hooks: () => ({
        decide({ target }) {
          if (target?.name === 'write') throw new Error('no idea');
          return 'permit';
        },
      }),
    });
    const closed = await testPlugin(plugin, { upstream }).call({});
    const open = await testPlugin(plugin, { upstream, onFailure: 'allow' }).call({});
    expect(closed.outcome.result).toEqual({ tools: [{ name: 'files:read' }] });
    expect(open.outcome.result).toEqual(upstream());
  });

  it('over a notification drops it, or lets it pass; over a question refuses it, or lets it pass', () => {
    const known = { call: {} } as never;
    const notification = { direction: 'to client', method: 'notifications/progress', params: {} } as const;
    const asked = { method: 'elicitation/create', params: {} };
    const said = (onFailure: 'deny' | 'allow') => {
      const notified = testPlugin(failing('shape', 'notification'), { onFailure }).route;
      const questioned = testPlugin(failing('shape', 'input'), { onFailure }).route;
      return [notified.notification(known, notification), questioned.input(known, asked)?.status];
    };
    expect([said('deny'), said('allow')]).toEqual([
      ['drop', 503],
      [undefined, undefined],
    ]);
  });
});
