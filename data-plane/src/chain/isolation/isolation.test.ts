import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { frozen, type JsonObject, Outcome, type PluginHost, Refusal, RequestFailure } from '@sluice/sdk';
import { MemoryBuckets } from '@sluice/sdk/engine';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isolatedHooks } from './isolated-hooks.js';
import { ISOLATION_LIMITS, type IsolationLimits } from './limits.js';
import { PluginProcess } from './plugin-process.js';
import type { Runner } from './runner.js';

const FOLDER = fileURLToPath(new URL('../../../test/plugins/misbehaving', import.meta.url));
const LIMITS: IsolationLimits = { ...ISOLATION_LIMITS, hookTimeMs: 1_000 };
const log = pino({ level: 'silent' });

type Started = Runner & { readonly pid?: number | undefined };

const open: Started[] = [];
const said: string[] = [];
const counted: string[] = [];

const host = {
  log: { info: (fields: object, message: string) => said.push(`${JSON.stringify(fields)} ${message}`) },
  metrics: {
    count: (name: string, _: string, labels: object) => counted.push(name + JSON.stringify(labels)),
  },
  store: new Map<string, string>(),
  fetch: async (url: string) => ({ status: 200, headers: {}, text: `answer of ${url}` }),
};

function hostOfTest(): PluginHost {
  const { store } = host;
  return {
    ...host,
    buckets: new MemoryBuckets(() => 0),
    store: {
      get: async (key: string) => store.get(key),
      set: async (key: string, value: string) => void store.set(key, value),
      delete: async (key: string) => void store.delete(key),
      keys: async (prefix: string) => [...store.keys()].filter((key) => key.startsWith(prefix)),
    },
  } as unknown as PluginHost;
}

async function start(place: 'pool' | 'process', config: object = {}, limits = LIMITS): Promise<Started> {
  const order = { module: `file://${FOLDER}/index.js`, binding: 'tested', config };
  const options = { place, order, limits, log, readable: [FOLDER], mayFetch: ['http://a'] };
  const runner: Started = await PluginProcess.start(options);
  runner.serve(hostOfTest());
  open.push(runner);
  return runner;
}

afterEach(async () => {
  for (const runner of open.splice(0)) await runner.close();
});

const pass = async (changes?: unknown) =>
  Outcome.ofResult({ came: (changes ?? null) as JsonObject | null }).withHeaders([['X-First', '1']]);

/** What the exchange hook makes of a call whose arguments say what is to be done. */
async function done(runner: Runner, args: JsonObject, next: (changes?: never) => Promise<Outcome> = pass) {
  const ctx = frozen({
    arguments: args,
    headers: { 'x-tenant': 'acme' },
    principal: { claims: { team: 'blue' }, id: 'secret' },
  });
  const answer = await isolatedHooks(runner).exchange?.(ctx, next as never);
  return answer instanceof Outcome ? answer : (answer as Refusal);
}

const result = async (runner: Runner, args: JsonObject) => ((await done(runner, args)) as Outcome).result;

describe.each(['pool', 'process'] as const)('a plugin in a %s', (kind) => {
  it('gets what it declared, and answers', async () => {
    const runner = await start(kind);
    expect(runner.facts.hooks).toEqual(['identify', 'exchange', 'entries']);
    expect(await result(runner, { do: 'echo', a: [1, 'ü', null] })).toEqual({
      content: [],
      args: { do: 'echo', a: [1, 'ü', null] },
    });
    await expect(done(runner, { do: 'undeclared' })).rejects.toThrow('read "principal.id": declare it');
    await expect(done(runner, { do: 'throw' })).rejects.toThrow('thrown on purpose');
    expect(await isolatedHooks(runner).identify?.({ headers: { 'x-tenant': 'a' } })).toBeUndefined();
  });

  it('fails over one request as it would inline', async () => {
    const failing = await done(await start(kind), { do: 'fail' }).catch((thrown: unknown) => thrown);
    expect(failing).toBeInstanceOf(RequestFailure);
    expect((failing as Error).message).toBe('too much of it');
  });

  it('refuses with headers and data', async () => {
    const refusal = await done(await start(kind), { do: 'refuse' });
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({
      kind: 'forbidden',
      message: 'not today',
      details: { headers: [['X-Why', 'because']], data: { a: 1 } },
    });
  });

  it('goes on with next() and hands back the very outcome', async () => {
    const runner = await start(kind);
    const came = Outcome.ofResponse(Buffer.from('{"jsonrpc":"2.0","id":1,"result":{"a":1.0}}'), 0);
    expect(await done(runner, { do: 'next' }, async () => came)).toBe(came);
    const seen = (await done(runner, { do: 'nextHeaders' }, async () => came)) as Outcome;
    expect([seen.bytes, seen.headers]).toEqual([came.bytes, [['X-Seen', 'yes']]]);
    const error = Outcome.ofError({ code: -32000, message: 'no', data: [1] });
    expect(await done(runner, { do: 'next' }, async () => error)).toBe(error);
    expect(((await done(runner, { do: 'nextChanged' })) as Outcome).result).toEqual({
      came: { arguments: { do: 'changed' }, headers: { 'x-tenant': 'acme' } },
    });
    const refusing = async () => {
      throw new TypeError('plugin tested changed the header authorization');
    };
    await expect(done(runner, { do: 'nextForbidden' }, refusing)).rejects.toThrow('changed the header');
  });

  it('remarks, and sees what was remarked before it', async () => {
    const runner = await start(kind);
    const said: unknown[] = [];
    const before = [{ kind: 'allow', by: 'rules' }];
    const ctx = { arguments: { do: 'remark' }, remarks: before, remark: (one: unknown) => said.push(one) };
    const answer = (await isolatedHooks(runner).exchange?.(ctx, pass as never)) as Outcome;
    expect(answer.result).toEqual({ remarks: before });
    expect(said).toEqual([{ kind: 'flagged', rule: 'r', data: { a: 1 } }]);
  });

  it('does not count what waits behind next() as its time', async () => {
    const runner = await start(kind, {}, { ...LIMITS, hookTimeMs: 400 });
    const slow = () =>
      new Promise<Outcome>((resolve) => setTimeout(() => resolve(Outcome.ofResult({})), 900));
    expect(await done(runner, { do: 'next' }, slow)).toBeInstanceOf(Outcome);
  });

  it('leaves out entries, and cannot make up header fields that would split the answer', async () => {
    const runner = await start(kind);
    const entries = ['shown', 'hidden'].map((name) => ({
      target: { kind: 'tool' as const, upstream: 'up', name },
      entry: { name },
    }));
    const kept = await isolatedHooks(runner).entries?.({}, entries);
    expect(kept?.[0]).toBe(entries[0]);
    expect(kept).toHaveLength(1);
    await expect(done(runner, { do: 'split' })).rejects.toThrow('outcome that is none');
  });

  it('logs, counts, keeps and fetches through the gateway', async () => {
    const runner = await start(kind);
    expect(await result(runner, { do: 'store' })).toEqual({ kept: 'value', keys: ['key'] });
    expect(await result(runner, { do: 'units' })).toEqual({
      portion: { count: 3, leftCount: 2, nextMs: 1_000 },
      refused: 'an interval, a burst and a count above 0 are wanted',
    });
    expect(await result(runner, { do: 'fetch', url: 'http://a/' })).toEqual({
      answer: 'answer of http://a/',
    });
    await result(runner, { do: 'tell' });
    await expect.poll(() => said.splice(0)).toEqual(['{"a":1} said by the plugin']);
    expect(counted.splice(0)).toEqual(['deeds{"deed":"tell"}']);
  });

  it.each(['loop', 'exit', 'heap', 'buffers', 'wait', 'large'])(
    'loses only its own exchange when it does this: %s',
    async (deed) => {
      const runner = await start(kind);
      const before = Math.round(process.memoryUsage().rss / 2 ** 20);
      await expect(done(runner, { do: deed })).rejects.toThrow();
      expect(await result(runner, { do: 'echo' })).toMatchObject({ content: [] });
      expect(Math.round(process.memoryUsage().rss / 2 ** 20) - before).toBeLessThan(600);
    },
  );

  it('is refused at once when it has too much to do', async () => {
    const runner = await start(kind, {}, { ...LIMITS, maxRunCount: 3 });
    const waiting = [1, 2, 3].map(() => done(runner, { do: 'wait' }).catch(() => 'failed'));
    await expect(done(runner, { do: 'echo' })).rejects.toMatchObject({ kind: 'limited' });
    expect(await Promise.all(waiting)).toEqual(['failed', 'failed', 'failed']);
    expect(await result(runner, { do: 'echo' })).toMatchObject({ content: [] });
  });

  it('is replaced when it says too much, and what its runs say is never too much', async () => {
    const runner = await start(kind, {}, { ...LIMITS, maxMessagesPerSecondCount: 50 });
    const { pid } = runner;
    for (let count = 0; count < 300; count++) await done(runner, { do: count % 2 === 0 ? 'echo' : 'next' });
    expect(runner.pid).toBe(pid);
    await expect(done(runner, { do: 'talk', count: 5_000 })).rejects.toThrow('50 messages in a second');
    expect(await result(runner, { do: 'echo' })).toMatchObject({ content: [] });
  });

  it('is not given more than it takes', async () => {
    const runner = await start(kind, {}, { ...LIMITS, maxMessageBytes: 10_000 });
    await expect(done(runner, { do: 'echo', text: 'x'.repeat(10_000) })).rejects.toMatchObject({
      kind: 'tooLarge',
    });
  });

  it.each([
    [{ hook: 'head' }, 'its hook `head` cannot wait'],
    [{ hook: 'challenge that reads' }, 'its hook `challenge` depends on the request'],
    [{ hook: 1 }, 'hook expected string'],
    [{ shared: 64 }, 'memory that workers share'],
  ])('is not loaded with %j', async (config, message) => {
    await expect(start(kind, config)).rejects.toThrow(message);
  });

  it('says its challenge once', async () => {
    const runner = await start(kind, { hook: 'challenge' });
    expect(isolatedHooks(runner).challenge?.({})).toBe('Bearer realm="test"');
  });

  it('ends whatever it does', async () => {
    const runner = await start(kind);
    const { pid } = runner;
    const looping = done(runner, { do: 'loop' }).catch(() => 'failed');
    await runner.close();
    expect(await looping).toBe('failed');
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });
});

describe('a plugin in a process', () => {
  let server: Server;
  beforeAll(async () => {
    server = createServer((_, response) => response.end('reached'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => server.close());

  it('has no network but what is granted', async () => {
    const runner = await start('process');
    for (const url of ['http://b/', 'http://a:81/', 'https://a/', 'http://a.b/', 'http://a@b/'])
      await expect(done(runner, { do: 'fetch', url })).rejects.toThrow('not granted; name it in `may_fetch`');
    expect(await result(runner, { do: 'fetch', url: 'http://a/b' })).toEqual({
      answer: 'answer of http://a/b',
    });
  });

  it('is ended when it announces a gigabyte, before a byte of it is read', async () => {
    const runner = await start('process');
    await expect(done(runner, { do: 'announce' })).rejects.toThrow('1073741824 bytes');
    expect(await result(runner, { do: 'echo' })).toMatchObject({ content: [] });
  });

  it('goes on with others when one hook waits for ever', async () => {
    const runner = await start('process');
    const { pid } = runner;
    const waiting = done(runner, { do: 'wait' });
    const slow = () =>
      new Promise<Outcome>((resolve) => setTimeout(() => resolve(Outcome.ofResult({})), 2_000));
    const going = done(runner, { do: 'next' }, slow);
    await expect(waiting).rejects.toThrow('took longer than 1000 ms');
    expect(await going).toBeInstanceOf(Outcome);
    expect(runner.pid).toBe(pid);
  });

  it('is replaced later and later', async () => {
    const runner = await start('process');
    for (let round = 0; round < 2; round++)
      await expect(done(runner, { do: 'exit' })).rejects.toThrow('exit code 3');
    await expect(done(runner, { do: 'echo' })).rejects.toThrow('started again soon');
    await expect.poll(() => runner.pid, { timeout: 10_000 }).toBeDefined();
    expect(await result(runner, { do: 'echo' })).toMatchObject({ content: [] });
  });

  it.each([
    'file',
    'write',
    'child',
    'thread',
    'socket',
    'socketClass',
    'required',
    'builtin',
    'agent',
    'fetch',
    'http',
    'resolve',
    'loaderHooks',
    'signal',
    'binding',
    'inspector',
  ])('cannot do this: %s', async (way) => {
    const runner = await start('process');
    const { port } = server.address() as AddressInfo;
    const path = way === 'write' ? `${FOLDER}/written` : fileURLToPath(import.meta.url);
    const { reached } = (await result(runner, { do: 'reach', way, port, path, pid: process.pid })) ?? {};
    expect(reached).toMatch(
      /^no: (ERR_ACCESS_DENIED|a plugin in a process|fetch is not defined|Cannot read properties of undefined)/,
    );
  });

  it('has no environment', async () => {
    const { reached } = (await result(await start('process'), { do: 'reach', way: 'environment' })) ?? {};
    // The shell that sets its limits says where it stands.
    expect(Object.keys(JSON.parse(reached as string))).toEqual(['PWD']);
  });

  it('leaves nothing behind', async () => {
    const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
    const before = children();
    const runner = await start('process');
    await done(runner, { do: 'loop' }).catch(() => undefined);
    await result(runner, { do: 'echo' });
    await runner.close();
    expect(children()).toBe(before);
  });
});
