import type { ResolvedConfiguration, ResolvedPlugin } from '@sluice/proto';
import { definePlugin, type Plugin, Refusal, Type } from '@sluice/sdk';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { Plugins, type PluginsOptions } from './plugins.js';

const life: unknown[] = [];

/** Notes its life; one that is `kept` takes a new configuration by itself. */
function noting(name: string, kept: boolean): Plugin {
  return definePlugin({
    name,
    version: '1.0.0',
    description: 'For a test.',
    phase: 'shape',
    config: Type.Object({ value: Type.Integer() }, { additionalProperties: false }),
    reads: [],
    changes: [],
    hooks: ({ value }) => {
      life.push([name, 'made', value]);
      return {
        shutdown: () => void life.push([name, 'shut down', value]),
        ...(kept && { configure: (config) => void life.push([name, 'configured', config]) }),
      };
    },
  });
}

let pageCount = 0;

/** Has a page that cannot be had, or one that is none. */
const paging = definePlugin({
  name: 'paging',
  version: '1.0.0',
  description: 'For a test.',
  phase: 'identity',
  config: Type.Object({ body: Type.Optional(Type.Unknown()) }),
  reads: [],
  changes: [],
  pages: ['/.well-known/test'],
  hooks: ({ body }) => ({
    page: async () => {
      pageCount++;
      if (body === undefined) throw new Error('a secret of the plugin');
      return { status: 200, headers: [], body } as never;
    },
  }),
});

const KNOWN = new Map(
  [noting('kept', true), noting('renewed', false), paging].map((plugin) => [plugin.name, plugin]),
);

const failures: string[] = [];

function setUp() {
  life.length = 0;
  pageCount = 0;
  failures.length = 0;
  const plugins = new Plugins({
    log: pino({ level: 'silent' }),
    find: ({ plugin }: ResolvedPlugin) => KNOWN.get(plugin),
    store: () => ({}),
    buckets: () => ({}),
    shared: () => undefined,
    metrics: {
      pluginFailed: (name: string, hook: string) => failures.push(`${name} ${hook}`),
      pluginSwitched: (name: string, isOff: boolean) => failures.push(`${name} ${isOff ? 'off' : 'on'}`),
    },
  } as unknown as PluginsOptions);
  const apply = (...bindings: Partial<ResolvedPlugin>[]) => {
    const configuration = {
      plugins: bindings.map((each) => ({
        name: each.plugin,
        endpoints: [],
        onFailure: 'deny',
        config: {},
        ...each,
      })),
      gateway: { naming: {}, discovery: {} },
      upstreams: [],
      servers: [],
    } as unknown as ResolvedConfiguration;
    try {
      plugins.use(atOnce(plugins.prepare(configuration, ['/mcp', '/mcp/files'])), 0);
    } catch (thrown) {
      void plugins.drop();
      throw thrown;
    }
  };
  return { plugins, apply };
}

function atOnce<T>(work: Generator<void, T, void>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

const nextTurn = () => new Promise((resolve) => setTimeout(resolve, 5));

describe('plugins of a configuration', () => {
  it('go on as they are while nothing about them changes', async () => {
    const { plugins, apply } = setUp();
    apply({ plugin: 'renewed', config: { value: 1 } });
    const before = plugins.route('/mcp')?.bindings;
    apply({ plugin: 'renewed', config: { value: 1 }, endpoints: ['/mcp'] });
    await nextTurn();
    expect(plugins.route('/mcp')?.bindings).toEqual(before);
    expect([plugins.route('/mcp/files'), life]).toEqual([undefined, [['renewed', 'made', 1]]]);
  });

  it('are made anew, or told, when it changes, and shut down when nobody needs them', async () => {
    const { plugins, apply } = setUp();
    apply({ plugin: 'kept', config: { value: 1 } }, { plugin: 'renewed', config: { value: 1 } });
    apply({ plugin: 'kept', config: { value: 2 } }, { plugin: 'renewed', config: { value: 2 } });
    await nextTurn();
    expect(life.slice(2)).toEqual([
      ['renewed', 'made', 2],
      ['kept', 'configured', { value: 2 }],
      ['renewed', 'shut down', 1],
    ]);
    apply();
    await nextTurn();
    expect(life.slice(5)).toEqual([
      ['kept', 'shut down', 1],
      ['renewed', 'shut down', 2],
    ]);
    expect(plugins.route('/mcp')).toBeUndefined();
  });

  it.each([
    ['a plugin that there is none of', { plugin: 'nothing' }, /there is no plugin nothing/],
    [
      'a configuration that is wrong',
      { plugin: 'renewed', config: { value: 'x' } },
      /plugin renewed: value expected integer/,
    ],
  ])('stay what they were for %s', async (_, broken, message) => {
    const { plugins, apply } = setUp();
    apply({ plugin: 'kept', config: { value: 1 } });
    const before = plugins.route('/mcp');
    const more = { plugin: 'renewed', name: 'more', config: { value: 3 } };
    expect(() => apply({ plugin: 'kept', config: { value: 2 } }, more, broken)).toThrow(message);
    await nextTurn();
    expect(plugins.route('/mcp')).toBe(before);
    // What was made for it is gone, and nobody was told of what never came to be.
    expect(life).toEqual([
      ['kept', 'made', 1],
      ['renewed', 'made', 3],
      ['renewed', 'shut down', 3],
    ]);
  });

  it.each([{}, { body: 1 }])('are left alone when they keep failing over a page: %j', async (config) => {
    const { plugins, apply } = setUp();
    const request = { path: '/.well-known/test', query: '', headers: {}, origin: 'http://a' };
    apply({ plugin: 'paging', config });
    for (let count = 0; count < 7; count++) {
      const answer = (await plugins.page(request)) as Refusal;
      expect(answer).toBeInstanceOf(Refusal);
      expect([answer.kind, answer.message]).toEqual([
        'failed',
        'plugin paging failed, and nothing passes without it',
      ]);
    }
    expect(pageCount).toBe(5);
    expect(failures).toEqual([...new Array(5).fill('paging page'), 'paging off']);
    apply({ plugin: 'paging', config, onFailure: 'allow' });
    expect(await plugins.page(request)).toBeUndefined();
    apply({ plugin: 'paging', config: { body: 'a page' } });
    expect(await plugins.page(request)).toMatchObject({ status: 200, body: 'a page' });
  });
});
