import { type JsonObject, Outcome } from '@sluice/sdk';
import { configProblems, type TestOptions, type TestRequest, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import cache from './index.js';

const TOOL = { tools: [{ targets: ['*:*'], ttl: '1m' }] };
const read = (uri: string, more: Partial<TestRequest> = {}): TestRequest => ({
  method: 'resources/read',
  target: { kind: 'resource', upstream: 'files', name: uri },
  params: { uri },
  ...more,
});
const as = (id: string) => ({ as: { id } });

/** A gateway whose upstream counts its answers. */
function counting(config: object, answer: JsonObject = {}, options: Partial<TestOptions> = {}) {
  let count = 0;
  return testPlugin(cache, {
    config,
    upstream: () => ({ resultType: 'complete', count: ++count, ...answer }),
    ...options,
  });
}

/** An upstream whose answers the test gives. */
function held(config: object) {
  const waiting: ((outcome: JsonObject | Outcome) => void)[] = [];
  const gateway = testPlugin(cache, {
    config,
    upstream: () => new Promise((resolve) => waiting.push(resolve)),
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return { gateway, waiting, turn };
}

describe('what is kept', () => {
  it.each(['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list'])(
    'is %s for as long as the server says',
    async (method) => {
      const gateway = counting({}, { ttlMs: 1_000 });
      const ask = async () => (await gateway.call({ method })).outcome.result?.count;
      expect([await ask(), await ask()]).toEqual([1, 1]);
      gateway.clock.advance(999);
      expect(await ask()).toBe(1);
      gateway.clock.advance(1);
      expect(await ask()).toBe(2);
    },
  );

  it('is a resource, and others are others', async () => {
    const gateway = counting({}, { ttlMs: 1_000 });
    for (const uri of ['file:///a', 'file:///a', 'file:///b', 'file:///a']) await gateway.call(read(uri));
    expect(gateway.reached).toHaveLength(2);
  });

  it('is what is left of its time to the client', async () => {
    const text = '{"resultType":"complete","big":9007199254740993,"in":{"ttlMs":7},"ttlMs":60000,"e":1.0}';
    const gateway = testPlugin(cache, { config: {}, upstream: () => Outcome.ofResultJson(text) });
    await gateway.call(read('file:///a'));
    gateway.clock.advance(20_500);
    const { outcome } = await gateway.call(read('file:///a'));
    expect(outcome.resultJson).toBe(text.replace('60000', '39500'));
  });

  it.each<[string, object, JsonObject]>([
    ['that says nothing of a time', {}, {}],
    ['whose time is 0', {}, { ttlMs: 0 }],
    ['whose time is negative', {}, { ttlMs: -5 }],
    ['whose time is a text', {}, { ttlMs: '1000' }],
    ['that asks for input', {}, { resultType: 'input_required', ttlMs: 1_000 }],
    ['that goes on as a task', {}, { resultType: 'task', ttlMs: 1_000 }],
    ['that goes on as a task of 2025-11-25', {}, { task: {}, ttlMs: 1_000 }],
    ['that lacks an upstream', {}, { ttlMs: 1_000, _meta: { 'dev.sluice/unavailable': ['files'] } }],
    ['that is too large', { max_entry_bytes: 1_024 }, { ttlMs: 1_000, text: 'x'.repeat(1_024) }],
    ['for which there is no rule', { resources: [{ targets: ['mail:*'] }] }, { ttlMs: 1_000 }],
    ['where no rule is wanted', { resources: [] }, { ttlMs: 1_000 }],
  ])('is no result %s', async (_, config, answer) => {
    const gateway = counting(config, answer);
    for (let i = 0; i < 3; i++) await gateway.call(read('file:///a'));
    expect(gateway.reached).toHaveLength(3);
  });

  it('is no error', async () => {
    const gateway = testPlugin(cache, {
      config: { resources: [{ ttl: '1h' }], ...TOOL },
      upstream: () => Outcome.ofError({ code: -32603, message: 'no' }),
    });
    for (const request of [read('file:///a'), { tool: 'files:read' }])
      for (let i = 0; i < 2; i++) expect((await gateway.call(request)).outcome.errorCode).toBe(-32603);
    expect(gateway.reached).toHaveLength(4);
  });

  it.each([
    [{}, 2],
    [{ errors: true }, 1],
  ])('is a result of a tool that says isError only when told (%j)', async (more, reached) => {
    const gateway = counting({ tools: [{ ...TOOL.tools[0], ...more }] }, { isError: true });
    for (let i = 0; i < 2; i++) await gateway.call({ tool: 'files:read' });
    expect(gateway.reached).toHaveLength(reached);
  });

  it('is bounded by what the operator says, and lives by it where the server says nothing', async () => {
    const bounded = counting({ lists: [{ max_ttl: '1s' }] }, { ttlMs: 3_600_000 });
    const own = counting({ lists: [{ ttl: '1s' }] }, { ttlMs: 0 });
    for (const gateway of [bounded, own]) {
      await gateway.call({});
      gateway.clock.advance(999);
      await gateway.call({});
      expect(gateway.reached).toHaveLength(1);
      gateway.clock.advance(1);
      await gateway.call({});
      expect(gateway.reached).toHaveLength(2);
    }
  });

  it('is no tool unless the operator says so', async () => {
    const gateway = counting({}, { ttlMs: 1_000 });
    for (let i = 0; i < 2; i++) await gateway.call({ tool: 'files:read' });
    expect(gateway.reached).toHaveLength(2);
  });

  it('are prompts that are named', async () => {
    const gateway = counting({ prompts: [{ targets: ['files:hello'], ttl: '1m' }] });
    const get = (name: string): TestRequest => ({
      method: 'prompts/get',
      target: { kind: 'prompt', upstream: 'files', name },
      params: { name },
    });
    for (const name of ['hello', 'hello', 'bye', 'bye']) await gateway.call(get(name));
    expect(gateway.reached).toHaveLength(3);
  });

  it('is no answer that hangs on a conversation', async () => {
    const gateway = counting(TOOL);
    for (const more of [{ inputResponses: {} }, { requestState: 'x' }, { task: { ttl: 1 } }])
      for (let i = 0; i < 2; i++)
        await gateway.call({ tool: 'files:read', params: { name: 'read', ...more } as JsonObject });
    expect(gateway.reached).toHaveLength(6);
    await gateway.call({ tool: 'files:read' });
    expect(gateway.reached).toHaveLength(7);
  });
});

describe('tools that say that they only read', () => {
  const tools = (hints: JsonObject) => ({ ttlMs: 0, tools: [{ name: 'files:read', annotations: hints }] });
  const config = { tools: [{ annotated: true, ttl: '1m' }] };
  const both = { readOnlyHint: true, idempotentHint: true };

  async function reachedWith(...hints: JsonObject[]) {
    let count = 0;
    const gateway = testPlugin(cache, {
      config,
      upstream: ({ method }) => (method === 'tools/list' ? tools(hints[count++] as JsonObject) : {}),
    });
    for (const _ of hints) await gateway.call({ method: 'tools/list' });
    for (let i = 0; i < 2; i++) await gateway.call({ tool: 'files:read' });
    return { gateway, calls: gateway.reached.filter(({ method }) => method === 'tools/call').length };
  }

  it.each<[JsonObject[], number]>([
    [[both], 1],
    [[{ readOnlyHint: true }], 2],
    [[{ idempotentHint: true }], 2],
    [[{ readOnlyHint: 'true', idempotentHint: 'true' }], 2],
    [[], 2],
    [[both, {}], 2],
    [[{}, both], 1],
  ])('%j', async (hints, calls) => {
    expect((await reachedWith(...hints)).calls).toBe(calls);
  });

  it('are forgotten when the list changes, and what they said with them', async () => {
    const { gateway } = await reachedWith(both);
    gateway.changed({ upstream: 'files', kind: 'tools' });
    for (let i = 0; i < 2; i++) await gateway.call({ tool: 'files:read' });
    expect(gateway.reached.filter(({ method }) => method === 'tools/call')).toHaveLength(3);
  });
});

describe('single flight', () => {
  it('asks once for all who want the same at the same time', async () => {
    const { gateway, waiting, turn } = held(TOOL);
    const calls = [1, 2, 3].map(() => gateway.call({ tool: 'files:read' }));
    await turn();
    expect(gateway.reached).toHaveLength(1);
    waiting[0]?.({ content: ['x'] });
    const answers = await Promise.all(calls);
    expect(answers.map(({ outcome }) => outcome.result)).toEqual([1, 2, 3].map(() => ({ content: ['x'] })));
    expect(gateway.reached).toHaveLength(1);
    expect(Object.fromEntries(gateway.counted)).toEqual({
      'requests_total{result="miss"}': 1,
      'requests_total{result="joined"}': 2,
    });
  });

  it('goes on with another when the first gives up', async () => {
    const { gateway, waiting, turn } = held(TOOL);
    const leader = new AbortController();
    const first = gateway.call({ tool: 'files:read', signal: leader.signal });
    const others = [1, 2].map(() => gateway.call({ tool: 'files:read' }));
    await turn();
    leader.abort();
    waiting[0]?.(Outcome.ofError({ code: -32603, message: 'cancelled by the client' }));
    await turn();
    expect(gateway.reached).toHaveLength(2);
    waiting[1]?.({ content: ['x'] });
    expect((await first).outcome.errorCode).toBe(-32603);
    for (const { outcome } of await Promise.all(others)) expect(outcome.result).toEqual({ content: ['x'] });
    expect(gateway.reached).toHaveLength(2);
  });

  it.each<[string, JsonObject | Outcome]>([
    ['an error', Outcome.ofError({ code: -31002, message: 'late' })],
    ['a question', { resultType: 'input_required' }],
    ['what may not be kept', { isError: true }],
  ])('gives nobody %s that was another’s', async (_, answer) => {
    const { gateway, waiting, turn } = held(TOOL);
    const calls = [1, 2, 3].map(() => gateway.call({ tool: 'files:read' }));
    await turn();
    waiting[0]?.(answer);
    await turn();
    expect(gateway.reached).toHaveLength(3);
    for (const resolve of waiting.slice(1)) resolve({ content: ['own'] });
    const results = (await Promise.all(calls)).map(({ outcome }) => outcome.result?.content);
    expect(results.slice(1)).toEqual([['own'], ['own']]);
  });

  it('holds up nobody for what was not kept a moment ago', async () => {
    const { gateway, waiting, turn } = held({});
    const first = gateway.call({});
    await turn();
    waiting[0]?.({ ttlMs: 0 });
    await first;
    const calls = [1, 2].map(() => gateway.call({}));
    await turn();
    expect(gateway.reached).toHaveLength(3);
    for (const resolve of waiting) resolve({});
    await Promise.all(calls);
  });

  it('joins no call of another caller, whatever its answer turns out to be', async () => {
    const { gateway, waiting, turn } = held({});
    const calls = ['ada', 'ben'].map((id) => gateway.call({ ...as(id) }));
    await turn();
    expect(gateway.reached).toHaveLength(2);
    for (const resolve of waiting) resolve({ ttlMs: 1_000, cacheScope: 'public' });
    await Promise.all(calls);
    await gateway.call({ ...as('eve') });
    expect(gateway.reached).toHaveLength(2);
  });

  it('gives a page whose cursor is one caller’s to no other, even where answers are shared', async () => {
    const { gateway, waiting, turn } = held({ lists: [{ ttl: '1m', shared: true }] });
    const calls = ['ada', 'ben'].map((id) => gateway.call({ ...as(id) }));
    await turn();
    expect(gateway.reached).toHaveLength(1);
    waiting[0]?.({ nextCursor: 'of ada' });
    await turn();
    waiting[1]?.({ nextCursor: 'of ben' });
    const cursors = (await Promise.all(calls)).map(({ outcome }) => outcome.result?.nextCursor);
    expect(cursors).toEqual(['of ada', 'of ben']);
    expect((await gateway.call({ ...as('ben') })).outcome.result?.nextCursor).toBe('of ben');
  });

  it('leaves a call of its own to a client that wants to hear of progress', async () => {
    const { gateway, waiting, turn } = held(TOOL);
    const params = { name: 'read', _meta: { progressToken: 1 } };
    const calls = [gateway.call({ tool: 'files:read' }), gateway.call({ tool: 'files:read', params })];
    await turn();
    expect(gateway.reached).toHaveLength(2);
    for (const resolve of waiting) resolve({ content: [] });
    await Promise.all(calls);
    await gateway.call({ tool: 'files:read', params: { name: 'read', _meta: { progressToken: 2 } } });
    expect(gateway.reached).toHaveLength(2);
  });

  it('joins no call that was made before something changed', async () => {
    const { gateway, waiting, turn } = held(TOOL);
    const first = gateway.call({ tool: 'files:read' });
    await turn();
    gateway.changed({ upstream: 'files', kind: 'tools' });
    const second = gateway.call({ tool: 'files:read' });
    await turn();
    expect(gateway.reached).toHaveLength(2);
    waiting[0]?.({ content: ['old'] });
    await first;
    waiting[1]?.({ content: ['new'] });
    await second;
    expect((await gateway.call({ tool: 'files:read' })).outcome.result?.content).toEqual(['new']);
    expect(gateway.reached).toHaveLength(2);
  });
});

describe('an answer whose time is over', () => {
  const config = { resources: [{ ttl: '1s' }], stale_while_revalidate: '10s' };

  it('is given while a new one is on its way', async () => {
    const gateway = counting(config);
    const ask = async () => (await gateway.call(read('file:///a'))).outcome.result?.count;
    expect(await ask()).toBe(1);
    gateway.clock.advance(1_000);
    expect(await ask()).toBe(1);
    expect(gateway.reached).toHaveLength(2);
    expect(await ask()).toBe(2);
    expect(gateway.reached).toHaveLength(2);
    gateway.clock.advance(11_000);
    expect(await ask()).toBe(3);
    expect(gateway.counted.get('requests_total{result="stale"}')).toBe(1);
  });

  it('is asked for anew once, however many get it', async () => {
    const { gateway, waiting, turn } = held(config);
    const first = gateway.call(read('file:///a'));
    await turn();
    waiting[0]?.({ count: 1 });
    await first;
    gateway.clock.advance(1_000);
    for (let i = 0; i < 3; i++) expect((await gateway.call(read('file:///a'))).outcome.result?.count).toBe(1);
    expect(gateway.reached).toHaveLength(2);
    waiting[1]?.(Outcome.ofError({ code: -31001, message: 'away' }));
    await turn();
    // It failed, so the next one tries again, and has its answer all the same.
    expect((await gateway.call(read('file:///a'))).outcome.result?.count).toBe(1);
    expect(gateway.reached).toHaveLength(3);
    waiting[2]?.({ count: 2 });
    await turn();
    expect((await gateway.call(read('file:///a'))).outcome.result?.count).toBe(2);
  });

  it('is waited for anew where the request belongs to a session, which the others need not', async () => {
    const { gateway, waiting, turn } = held(config);
    const old = { revision: '2025-11-25', session: 's' };
    const first = gateway.call(read('file:///a', old));
    await turn();
    waiting[0]?.({ count: 1 });
    await first;
    gateway.clock.advance(1_000);
    const second = gateway.call(read('file:///a', old));
    await turn();
    expect((await gateway.call(read('file:///a', old))).outcome.result?.count).toBe(1);
    waiting[1]?.({ count: 2 });
    expect((await second).outcome.result?.count).toBe(2);
  });

  it('is not given when something has changed', async () => {
    const gateway = counting(config);
    await gateway.call(read('file:///a'));
    gateway.clock.advance(1_000);
    gateway.changed({ upstream: 'files', kind: 'resources', uri: 'file:///a' });
    expect((await gateway.call(read('file:///a'))).outcome.result?.count).toBe(2);
  });
});

describe('a change at an upstream', () => {
  const config = {
    lists: [{ ttl: '1h' }],
    resources: [{ ttl: '1h' }],
    prompts: [{ targets: ['*:*'], ttl: '1h' }],
    tools: [{ targets: ['*:*'], ttl: '1h' }],
  };
  const prompt: TestRequest = {
    method: 'prompts/get',
    target: { kind: 'prompt', upstream: 'files', name: 'p' },
    params: { name: 'p' },
  };
  const REQUESTS: Record<string, TestRequest> = {
    'tools/list': { method: 'tools/list' },
    'prompts/list': { method: 'prompts/list' },
    'resources/list': { method: 'resources/list' },
    'resources/templates/list': { method: 'resources/templates/list' },
    tool: { tool: 'files:read' },
    'other tool': { tool: 'mail:read' },
    prompt,
    a: read('file:///a/b'),
    'inside a': read('file:///a/b/c'),
    'around a': read('file:///a'),
  };

  it.each<[Parameters<ReturnType<typeof testPlugin>['changed']>[0], string[]]>([
    [{ upstream: 'files', kind: 'tools' }, ['tools/list', 'tool']],
    [{ upstream: 'gone', kind: 'tools' }, ['tools/list']],
    [{ upstream: 'files', kind: 'prompts' }, ['prompts/list', 'prompt']],
    [
      { upstream: 'files', kind: 'resources' },
      ['resources/list', 'resources/templates/list', 'a', 'inside a', 'around a'],
    ],
    [{ upstream: 'files', kind: 'resources', uri: 'file:///a/b' }, ['a', 'around a']],
    [{ upstream: 'mail', kind: 'resources', uri: 'file:///a/b' }, []],
  ])('%j makes old what hangs on it, and nothing else', async (change, expected) => {
    const gateway = testPlugin(cache, { config });
    for (const request of Object.values(REQUESTS)) await gateway.call(request);
    gateway.changed(change);
    const asked: string[] = [];
    for (const [name, request] of Object.entries(REQUESTS)) {
      const before = gateway.reached.length;
      await gateway.call(request);
      if (gateway.reached.length > before) asked.push(name);
    }
    expect(asked).toEqual(expected);
  });

  it('also counts for what is on its way', async () => {
    const { gateway, waiting, turn } = held(config);
    const first = gateway.call(read('file:///a'));
    await turn();
    gateway.changed({ upstream: 'files', kind: 'resources', uri: 'file:///a' });
    waiting[0]?.({ old: true });
    await first;
    void gateway.call(read('file:///a'));
    await turn();
    expect(gateway.reached).toHaveLength(2);
  });

  it('is not missed when there were too many to remember', async () => {
    const gateway = testPlugin(cache, { config });
    await gateway.call(read('urn:a'));
    gateway.changed({ upstream: 'files', kind: 'resources', uri: 'urn:a' });
    for (let i = 0; i < 10_001; i++)
      gateway.changed({ upstream: 'mail', kind: 'resources', uri: `urn:${i}` });
    await gateway.call(read('urn:a'));
    expect(gateway.reached).toHaveLength(2);
  });

  it('is asked to be told for what is kept, and for nothing else', async () => {
    const gateway = testPlugin(cache, { config: { ...config, max_entries: 2, max_watched: 2 } });
    await gateway.call(read('file:///a'));
    await gateway.call({ tool: 'files:read' });
    expect(gateway.watched).toEqual(['files file:///a']);
    for (const uri of ['file:///b', 'file:///b', 'file:///c', 'file:///c']) await gateway.call(read(uri));
    expect(gateway.watched).toEqual(['files file:///b', 'files file:///c']);
    gateway.changed({ upstream: 'files', kind: 'resources', uri: 'file:///c' });
    await gateway.call(read('file:///c'));
    expect(gateway.watched).toEqual(['files file:///b', 'files file:///c']);
    await gateway.close();
    expect(gateway.watched).toEqual([]);
  });

  it('is not asked for beyond the limit', async () => {
    const gateway = testPlugin(cache, { config: { ...config, max_watched: 1 } });
    for (const uri of ['a', 'b', 'c']) await gateway.call(read(uri));
    expect(gateway.watched).toEqual(['files a']);
  });
});

describe('the memory that is used', () => {
  it('has a bound in bytes', async () => {
    const text = 'ü'.repeat(10_000);
    const gateway = counting({ max_bytes: 65_536, max_entry_bytes: 65_536 }, { ttlMs: 1_000_000, text });
    for (let i = 0; i < 20; i++) {
      for (let asked = 0; asked < 2; asked++) await gateway.call(read(`file:///${i}`));
      expect(gateway.gauges.get('bytes')).toBeLessThanOrEqual(65_536);
    }
    expect(gateway.gauges.get('bytes')).toBeGreaterThan(40_000);
    expect(gateway.counted.get('evictions_total')).toBeGreaterThan(15);
    const { length } = gateway.reached;
    await gateway.call(read('file:///19'));
    expect(gateway.reached).toHaveLength(length);
    await gateway.call(read('file:///0'));
    expect(gateway.reached).toHaveLength(length + 1);
    await gateway.close();
    expect(gateway.gauges.get('bytes')).toBe(0);
  });

  it('has a bound in entries', async () => {
    const gateway = counting({ max_entries: 3 }, { ttlMs: 1_000_000 });
    for (let i = 0; i < 20; i++) await gateway.call(read(`file:///${i >> 1}`));
    expect(gateway.gauges.get('entries')).toBe(3);
    expect(gateway.counted.get('evictions_total')).toBe(7);
  });

  it('is not taken from what is wanted by what nobody asks for again', async () => {
    const gateway = counting({ max_entries: 3 }, { ttlMs: 1_000_000 });
    const wanted = ['file:///a', 'file:///b', 'file:///c'];
    for (const uri of wanted) await gateway.call(read(uri));
    for (let i = 0; i < 100; i++) await gateway.call(read(`file:///${i}`));
    expect(gateway.counted.get('passed_over_total')).toBe(100);
    const { length } = gateway.reached;
    for (const uri of wanted) await gateway.call(read(uri));
    expect(gateway.reached).toHaveLength(length);
  });

  it('takes in when it is full what several wait for, and what is public for all its callers', async () => {
    const gateway = counting({ max_entries: 1 }, { ttlMs: 1_000_000, cacheScope: 'public' });
    await gateway.call(read('file:///full'));
    await Promise.all([gateway.call(read('file:///a')), gateway.call(read('file:///a'))]);
    await gateway.call(read('file:///a'));
    expect(gateway.reached).toHaveLength(2);
    for (const id of ['ada', 'bob', 'eve']) await gateway.call(read('file:///b', { as: { id } }));
    expect(gateway.reached).toHaveLength(4);
  });
});

describe('a configuration', () => {
  it.each<[object, string]>([
    [{ list: [] }, 'list'],
    [{ lists: [{ ttl: '5 minutes' }] }, 'lists[0].ttl'],
    [{ lists: [{ ttl: 5 }] }, 'lists[0].ttl'],
    [{ lists: [{ ttl: '25h' }] }, 'lists[0].ttl'],
    [{ lists: [{ max_ttl: '2d' }] }, 'lists[0].max_ttl'],
    [{ lists: [{ methods: ['tools/call'] }] }, 'lists[0].methods[0]'],
    [{ lists: [{ methods: [] }] }, 'lists[0].methods'],
    [{ lists: [{ targets: ['a:b'] }] }, 'lists[0].targets'],
    [{ resources: [{ targets: ['files'] }] }, 'resources[0].targets[0]'],
    [{ prompts: [{ targets: ['a:b'] }] }, 'prompts[0].ttl'],
    [{ prompts: [{ ttl: '1m' }] }, 'prompts[0].targets'],
    [{ tools: [{ ttl: '1m' }] }, 'tools[0].targets'],
    [{ tools: [{ annotated: true }] }, 'tools[0].ttl'],
    [{ tools: [{ targets: [], ttl: '1m' }] }, 'tools[0].targets'],
    [{ tools: [{ targets: ['a:'], ttl: '1m' }] }, 'tools[0].targets[0]'],
    [{ stale_while_revalidate: '2d' }, 'stale_while_revalidate'],
    [{ max_bytes: 1 }, 'max_bytes'],
    [{ max_bytes: 65_536 }, 'max_entry_bytes'],
    [{ max_entries: 0 }, 'max_entries'],
    [{ max_watched: -1 }, 'max_watched'],
  ])('%j is refused at %s', (config, path) => {
    expect(configProblems(cache, config).map((problem) => problem.path)).toContain(path);
  });

  it('needs nothing', () => {
    expect(configProblems(cache, undefined)).toEqual([]);
  });
});
