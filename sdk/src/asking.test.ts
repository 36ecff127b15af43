import { describe, expect, it } from 'vitest';
import { type Answered, definePlugin, Outcome, Refusal, Type } from './index.js';
import { testPlugin } from './testing.js';

const asking = (changes: readonly 'arguments'[] = []) =>
  definePlugin({
    name: 'asking',
    version: '1.0.0',
    description: 'Asks before each call.',
    phase: 'decision',
    config: Type.Object({ url: Type.Optional(Type.String()) }),
    reads: ['ask', 'arguments'],
    changes,
    hooks: ({ url }) => ({
      exchange: async (ctx, next) => {
        const said = await ctx.ask({ key: 'sure', message: `Delete ${ctx.arguments.path}?`, url });
        if (said instanceof Outcome) return said;
        return said.action === 'accept' ? next() : new Refusal('forbidden', `the person said ${said.action}`);
      },
    }),
  });

const REVISIONS = ['2026-07-28', '2025-11-25', '2025-06-18'];
const call = { tool: 'files:delete', arguments: { path: '/a' } };

describe.each(REVISIONS)('a plugin that asks a client of %s', (revision) => {
  it.each<[Answered['action'], number]>([
    ['accept', 1],
    ['decline', 0],
    ['cancel', 0],
  ])('goes on after %s or not', async (action, reachedCount) => {
    const gateway = testPlugin(asking(), { person: () => ({ action }) });
    const { outcome, asked } = await gateway.call({ ...call, revision });
    expect(asked).toEqual([{ key: 'sure', message: 'Delete /a?', url: undefined }]);
    expect(gateway.reached).toHaveLength(reachedCount);
    expect(outcome.errorCode).toBe(reachedCount === 1 ? 0 : -31007);
  });

  it('is told when the client cannot be asked', async () => {
    for (const options of [
      {},
      { person: () => ({ action: 'accept' as const }), capabilities: {} },
      { person: () => ({ action: 'accept' as const }), capabilities: { elicitation: null } },
      { person: () => ({ action: 'accept' as const }), capabilities: { elicitation: { url: {} } } },
    ]) {
      const { capabilities, ...own } = options as { capabilities?: object };
      const gateway = testPlugin(asking(), own);
      const client = capabilities === undefined ? {} : { client: { capabilities } as never };
      const { outcome } = await gateway.call({ ...call, revision, ...client });
      expect(outcome.refusal?.kind).toBe('forbidden');
      expect(outcome.error?.message).toContain('did not declare `elicitation`');
      expect(gateway.reached).toEqual([]);
    }
  });
});

it.each([
  ['2025-03-26', { elicitation: {} }, 0],
  ['2025-06-18', { elicitation: {} }, 1],
  ['2025-06-18', { elicitation: { url: {} } }, 0, 'https://example.com/consent'],
  ['2025-11-25', { elicitation: {} }, 0, 'https://example.com/consent'],
  ['2025-11-25', { elicitation: { url: {} } }, 1, 'https://example.com/consent'],
  ['2026-07-28', { elicitation: { form: {} } }, 0, 'https://example.com/consent'],
  ['2026-07-28', { elicitation: { url: {} } }, 1, 'https://example.com/consent'],
])('a client of %s with %j is asked %i times', async (revision, capabilities, count, url?: string) => {
  const gateway = testPlugin(asking(), {
    config: url === undefined ? {} : { url },
    person: () => ({ action: 'accept' }),
  });
  const { asked } = await gateway.call({ ...call, revision, client: { capabilities } });
  expect(asked).toHaveLength(count);
  expect(gateway.reached).toHaveLength(count);
});

it('nobody is asked during a list', async () => {
  const gateway = testPlugin(asking(), { person: () => ({ action: 'accept' }) });
  expect((await gateway.call({ method: 'tools/list' })).outcome.error?.message).toBe(
    'nobody can be asked during tools/list',
  );
});

it('each of several plugins asks, and an answer counts for its own question alone', async () => {
  const gateway = testPlugin(asking(), {
    beside: [{ plugin: definePluginNamed('second') }],
    person: ({ message }) => ({ action: message.startsWith('Delete') ? 'accept' : 'decline' }),
  });
  const { asked, outcome } = await gateway.call(call);
  expect(asked.map(({ message }) => message)).toEqual(['second?']);
  expect(outcome.error?.message).toBe('second: decline');
});

function definePluginNamed(name: string) {
  return definePlugin({
    name,
    version: '1.0.0',
    description: 'Asks too.',
    phase: 'decision',
    config: Type.Object({}),
    reads: ['ask'],
    changes: [],
    hooks: () => ({
      exchange: async ({ ask }, next) => {
        const said = await ask({ key: 'sure', message: `${name}?` });
        if (said instanceof Outcome) return said;
        return said.action === 'accept' ? next() : new Refusal('forbidden', `${name}: ${said.action}`);
      },
    }),
  });
}
