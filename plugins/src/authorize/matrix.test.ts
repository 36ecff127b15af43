/**
 * Every method with every name, for every principal, in every order of the plugins of a route: what a call gets and
 * what a list shows are the same answer, and it is the one that the table of permissions gives by hand.
 */
import { definePlugin, type Plugin, Type } from '@sluice/sdk';
import { testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import authorize from './index.js';

const CONFIG = {
  mappings: {
    'groups:Developers': ['dev'],
    'groups:Admins': ['dev', 'admin'],
    'email_verified:true': ['mail'],
  },
  permissions: { 'n8n:*': ['dev'], 'n8n:delete_*': ['admin'], 'docs:*': [], 'mail:send': ['mail', 'admin'] },
  prompts: { 'n8n:*': ['mail'] },
  resources: { 'docs:docs:///private/*': ['admin'] },
};

/** Names with the scopes of which one is needed, written out by hand; undefined where nothing permits. */
const NAMES: readonly [kind: Kind, upstream: string, name: string, needs: string[] | undefined][] = [
  ['tool', 'n8n', 'run', ['dev']],
  ['tool', 'n8n', 'delete_all', ['admin']],
  ['tool', 'n8n', 'Delete_all', ['dev']],
  ['tool', 'n8n', '__proto__', ['dev']],
  ['tool', 'n8n', 'docs:read', ['dev']],
  ['tool', 'docs', 'read', []],
  ['tool', 'docs', 'n8n:delete_all', []],
  ['tool', 'mail', 'send', ['mail', 'admin']],
  ['tool', 'mail', 'send ', undefined],
  ['tool', 'mail', 'constructor', undefined],
  ['tool', 'other', 'n8n:run', undefined],
  ['tool', '__proto__', 'run', undefined],
  ['prompt', 'n8n', 'run', ['mail']],
  ['prompt', 'docs', 'write', []],
  ['prompt', 'other', 'run', undefined],
  ['resource', 'n8n', 'n8n://run', ['dev']],
  ['resource', 'docs', 'docs:///a', []],
  ['resource', 'docs', 'docs:///private/a', ['admin']],
  ['resource', 'docs', 'docs:///x/%2e%2e/private/a', ['admin']],
  ['resource', 'other', 'docs:///a', undefined],
];

type Kind = 'tool' | 'prompt' | 'resource';

const METHODS: Readonly<
  Record<Kind, { uses: string[]; lists: [method: string, member: string, key: string][] }>
> = {
  tool: { uses: ['tools/call'], lists: [['tools/list', 'tools', 'name']] },
  prompt: { uses: ['prompts/get', 'completion/complete'], lists: [['prompts/list', 'prompts', 'name']] },
  resource: {
    uses: ['resources/read', 'resources/subscribe', 'resources/unsubscribe', 'completion/complete'],
    lists: [
      ['resources/list', 'resources', 'uri'],
      ['resources/templates/list', 'resourceTemplates', 'uriTemplate'],
    ],
  },
};

const PRINCIPALS: readonly [who: string, as: object, has: string[]][] = [
  ['nobody', {}, []],
  ['a developer', { claims: { groups: ['Staff', 'Developers'] } }, ['dev']],
  ['an admin', { claims: { groups: 'Admins' } }, ['dev', 'admin']],
  ['a verified address', { claims: { email_verified: true } }, ['mail']],
  ['a token of its own scope', { scopes: ['admin'] }, ['admin']],
  [
    'all in one',
    { scopes: ['admin'], claims: { groups: ['Developers'], email_verified: true } },
    ['dev', 'admin', 'mail'],
  ],
  [
    'a pretender',
    { id: 'admin', claims: { groups: ['admins', 'Admins '], scopes: ['admin'], __proto: 1 } },
    [],
  ],
];

/** One that annotates, one that looks, one that decides nothing: none of them changes what is permitted. */
const OTHERS: readonly Plugin[] = [
  other('looks', 'record', { exchange: (_, next) => next() }),
  other('undecided', 'decision', { decide: () => undefined }),
  other('annotates', 'shape', {
    entries: (_, entries) =>
      entries.map(({ target, entry }) => ({ target, entry: { ...entry, seen: true } })),
  }),
];

function other(name: string, phase: Plugin['phase'], hooks: ReturnType<Plugin['hooks']>): Plugin {
  const declared = { name, version: '1.0.0', description: 'For a test.', phase, config: Type.Object({}) };
  return definePlugin({
    ...declared,
    reads: [],
    changes: ['entries', 'result'],
    hooks: () => hooks as object,
  });
}

function orders(plugins: readonly Plugin[]): Plugin[][] {
  if (plugins.length === 0) return [[]];
  return plugins.flatMap((first, index) =>
    orders(plugins.filter((_, at) => at !== index)).map((rest) => [first, ...rest]),
  );
}

const ORDERS = orders([authorize, ...OTHERS]);

/** A gateway with the plugins in this order. */
function gatewayOf(
  order: readonly Plugin[],
  entries: readonly (typeof NAMES)[number][],
  list?: readonly string[],
) {
  const [first, ...rest] = order.map((plugin) => ({ plugin, config: plugin === authorize ? CONFIG : {} }));
  const [, member = '', key = ''] = list ?? [];
  return testPlugin(first?.plugin as Plugin, {
    config: first?.config,
    beside: rest,
    first: true,
    upstream: () =>
      list === undefined
        ? { content: [] }
        : { [member]: entries.map(([, upstream, name]) => ({ [key]: `${upstream}:${name}` })) },
  });
}

describe.each(ORDERS.map((order) => [order.map(({ name }) => name).join(', '), order] as const))(
  'in the order %s',
  (_, order) => {
    it.each(PRINCIPALS)('%s is answered as the table says', async (_who, as, has) => {
      const calls = gatewayOf(order, []);
      const wrong: unknown[] = [];
      for (const kind of ['tool', 'prompt', 'resource'] as const) {
        const entries = NAMES.filter((each) => each[0] === kind);
        const expected = entries.map(
          ([, , , needs]) => needs?.length === 0 || needs?.some((one) => has.includes(one)) === true,
        );
        for (const method of METHODS[kind].uses) {
          for (const [index, [, upstream, name, needs]] of entries.entries()) {
            const before = calls.reached.length;
            const said = await calls.call({ method, target: { kind, upstream, name }, as });
            const isOpen = expected[index] as boolean;
            const challenged =
              needs === undefined || isOpen
                ? undefined
                : `Bearer error="insufficient_scope", scope="${needs.join(' ')}"`;
            const came = [said.status, calls.reached.length - before, said.headers['www-authenticate']];
            const due = [isOpen ? 200 : 403, isOpen ? 1 : 0, challenged];
            if (JSON.stringify(came) !== JSON.stringify(due)) wrong.push([method, upstream, name, came, due]);
          }
        }
        for (const list of METHODS[kind].lists) {
          const [method, member, key] = list;
          const { outcome } = await gatewayOf(order, entries, list).call({ method, as });
          const shown = (outcome.result as Record<string, Record<string, string>[]>)[member]?.map(
            (each) => each[key],
          );
          const due = entries
            .filter((_, index) => expected[index])
            .map(([, upstream, name]) => `${upstream}:${name}`);
          if (JSON.stringify(shown) !== JSON.stringify(due)) wrong.push([method, shown, due]);
        }
      }
      expect(wrong).toEqual([]);
    });
  },
);

it('has more than one answer in every row and every column', () => {
  const isOpen = (has: readonly string[], needs: string[] | undefined) =>
    needs?.length === 0 || needs?.some((one) => has.includes(one)) === true;
  for (const [, , has] of PRINCIPALS) {
    expect(new Set(NAMES.map(([, , , needs]) => isOpen(has, needs))).size).toBe(2);
  }
  expect(ORDERS.length).toBe(24);
});
