import { type JsonObject, Outcome, type UpstreamChange } from '@sluice/sdk';
import {
  configProblems,
  type Script,
  type TestGateway,
  type TestRequest,
  testPlugin,
} from '@sluice/sdk/testing';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { NO_REDIS, startRedis } from '../../../cli/test/servers/redis.js';
import type { TestServer } from '../../../cli/test/servers/server-process.js';
import cache from './index.js';

const KEY = 'a secret of at least thirty-two characters';
const RULES = {
  lists: [{ ttl: '1h' }],
  resources: [{ ttl: '1h' }],
  tools: [{ targets: ['*:*'], ttl: '1h' }],
};
const read = (uri: string, more: Partial<TestRequest> = {}): TestRequest => ({
  method: 'resources/read',
  target: { kind: 'resource', upstream: 'files', name: uri },
  params: { uri },
  ...more,
});

describe('a configuration of Redis', () => {
  const url = 'redis://127.0.0.1:6379';
  it.each<[object, string]>([
    [{ key: KEY }, 'redis.url'],
    [{ url }, 'redis.key'],
    [{ url, key: 'short' }, 'redis.key'],
    [{ url: 'http://secret@a', key: KEY }, 'redis.url'],
    [{ url: 'secret', key: KEY }, 'redis.url'],
    [{ url, key: KEY, prefix: 'a b' }, 'redis.prefix'],
    [{ url, key: KEY, timeout: '0ms' }, 'redis.timeout'],
    [{ url, key: KEY, timeout: '1m' }, 'redis.timeout'],
    [{ url, key: KEY, password: 'x' }, 'redis.password'],
  ])('%j is refused at %s', (redis, path) => {
    const problems = configProblems(cache, { redis });
    expect(problems.map((problem) => problem.path)).toContain(path);
    expect(JSON.stringify(problems)).not.toContain('secret');
  });
});

describeUnless(NO_REDIS, 'a second level in Redis', () => {
  let server: TestServer;
  let redis: Redis;
  let gateways: TestGateway[];
  let count: number;

  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
  });
  afterAll(async () => {
    redis?.disconnect();
    await server?.close();
  });
  beforeEach(async () => {
    gateways = [];
    count = 0;
    await redis.flushall();
  });
  afterEach(async () => {
    for (const gateway of gateways) await gateway.close();
  });

  /** One of several gateways that share a Redis. */
  function gatewayOn(url: string, redisConfig: object = {}, upstream?: Script, config: object = RULES) {
    const gateway = testPlugin(cache, {
      config: { ...config, redis: { url, key: KEY, timeout: '1s', ...redisConfig } },
      upstream: upstream ?? (() => ({ count: ++count })),
    });
    gateways.push(gateway);
    return gateway;
  }

  /** The same, when it has its connection; Redis is empty again. */
  async function connected(redisConfig: object = {}, upstream?: Script, config?: object) {
    const gateway = gatewayOn(server.url, redisConfig, upstream, config);
    const before = count;
    for (let isThere = false; !isThere; ) {
      await gateway.call(read(`urn:connect:${Math.random()}`));
      for (let i = 0; i < 20 && !isThere; i++) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        isThere = (await redis.keys('sluice:cache:a:*')).length > 0;
      }
    }
    count = before;
    await redis.flushall();
    return gateway;
  }

  async function until(condition: () => Promise<boolean>) {
    const deadline = Date.now() + 10_000;
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error('it did not come true');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  const written = (many = 1) => until(async () => (await redis.keys('sluice:cache:a:*')).length >= many);
  const countOf = async (gateway: TestGateway, request: TestRequest) =>
    (await gateway.call(request)).outcome.result?.count;

  it('answers what another gateway has asked', async () => {
    const [one, other] = [await connected(), await connected()];
    expect(await countOf(one, read('urn:a'))).toBe(1);
    await written();
    expect(await countOf(other, read('urn:a'))).toBe(1);
    expect(other.counted.get('requests_total{result="redis"}')).toBe(1);
    // From then on from its own memory.
    await redis.flushall();
    expect(await countOf(other, read('urn:a'))).toBe(1);
    expect(other.counted.get('requests_total{result="hit"}')).toBe(1);
  });

  it('keeps callers apart there too, and what is for all together', async () => {
    const [one, other] = [await connected(), await connected()];
    await one.call(read('urn:a', { as: { id: 'ada' } }));
    await written();
    expect(await countOf(other, read('urn:a', { as: { id: 'ben' } }))).toBe(2);
    const all = () => ({ count: ++count, ttlMs: 60_000, cacheScope: 'public' });
    const [third, fourth] = [await connected({}, all), await connected({}, all)];
    expect(await countOf(third, { as: { id: 'ada' } })).toBe(3);
    await written();
    expect(await countOf(fourth, { as: { id: 'ben' } })).toBe(3);
  });

  it('gives what is left of the time, and nothing beyond it', async () => {
    const some = () => ({ count: ++count, ttlMs: 60_000 });
    const [one, other] = [await connected({}, some), await connected({}, some)];
    await one.call(read('urn:a'));
    await written();
    other.clock.advance(20_000);
    expect((await other.call(read('urn:a'))).outcome.result).toEqual({ count: 1, ttlMs: 40_000 });
    const third = await connected({}, some);
    await one.call(read('urn:b'));
    await written();
    third.clock.advance(60_000);
    const [name] = await redis.keys('sluice:cache:a:*');
    expect(await redis.pttl(name as string)).toBeLessThanOrEqual(60_000);
    expect(await countOf(third, read('urn:b'))).toBe(3);
  });

  it.each<[UpstreamChange, boolean]>([
    [{ upstream: 'files', kind: 'resources', uri: 'urn:a' }, true],
    [{ upstream: 'files', kind: 'resources', uri: 'urn:a/part' }, true],
    [{ upstream: 'files', kind: 'resources' }, true],
    [{ upstream: 'files', kind: 'resources', uri: 'urn:b' }, false],
    [{ upstream: 'mail', kind: 'resources' }, false],
    [{ upstream: 'files', kind: 'tools' }, false],
  ])('forgets what %j makes old, whoever heard of it (%s)', async (change, isOld) => {
    const [one, other] = [await connected(), await connected()];
    await one.call(read('urn:a'));
    await written();
    const generations = async () => {
      const names = await redis.keys('sluice:cache:[gu]:*');
      return JSON.stringify(await Promise.all(names.sort().map((name) => redis.get(name))));
    };
    const before = await generations();
    one.changed(change);
    await until(async () => (await generations()) !== before);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await countOf(other, read('urn:a'))).toBe(isOld ? 2 : 1);
  });

  it('keeps nothing that was asked before a change and came after it', async () => {
    let answer: (result: JsonObject) => void = () => {};
    const late: Script = ({ target }) =>
      target?.name === 'urn:late' ? new Promise((resolve) => (answer = resolve)) : { count: ++count };
    const [one, other] = [await connected({}, late), await connected()];
    const asked = one.call(read('urn:late'));
    await until(async () => one.reached.some(({ target }) => target?.name === 'urn:late'));
    other.changed({ upstream: 'files', kind: 'resources', uri: 'urn:late' });
    await until(async () => (await redis.keys('sluice:cache:u:*')).length > 0);
    answer({ old: true });
    await asked;
    await written();
    expect((await other.call(read('urn:late'))).outcome.result).toEqual({ count: 1 });
  });

  it('learns from lists that others have asked for which tools only read', async () => {
    const annotations = { readOnlyHint: true, idempotentHint: true };
    const upstream = () => ({ count: ++count, tools: [{ name: 'files:look', annotations }] });
    const config = { ...RULES, tools: [{ annotated: true, ttl: '1h' }] };
    const [one, other] = [await connected({}, upstream, config), await connected({}, upstream, config)];
    await one.call({ method: 'tools/list' });
    await written();
    await other.call({ method: 'tools/list' });
    expect(other.counted.get('requests_total{result="redis"}')).toBe(1);
    const before = other.reached.length;
    for (let i = 0; i < 2; i++) await other.call({ tool: 'files:look' });
    expect(other.reached).toHaveLength(before + 1);
  });

  it('takes nothing that was written without the key, or in the place of another', async () => {
    const small = { ...RULES, max_entries: 1 };
    const [one, other] = [await connected(), await connected({}, undefined, small)];
    await one.call(read('urn:mine', { as: { id: 'mallory' } }));
    await written();
    const [mine] = (await redis.keys('sluice:cache:a:*')) as [string];
    const sealed = (await redis.getBuffer(mine)) as Buffer;
    await one.call(read('urn:a', { as: { id: 'ada' } }));
    await written(2);
    const target = (await redis.keys('sluice:cache:a:*')).find((name) => name !== mine) as string;
    const own = (await redis.getBuffer(target)) as Buffer;
    const flipped = Buffer.from(own);
    flipped[20] = (flipped[20] as number) ^ 1;
    const forgeries = [sealed, flipped, own.subarray(0, -1), own.subarray(0, 10), Buffer.from('{"count":0}')];
    for (const [index, forgery] of forgeries.entries()) {
      await redis.set(target, forgery);
      const before = count;
      expect(await countOf(other, read('urn:a', { as: { id: 'ada' } }))).toBe(before + 1);
      expect(other.counted.get('redis_forged_total')).toBe(index + 1);
      await until(async () => !forgery.equals((await redis.getBuffer(target)) as Buffer));
      // Puts it out of memory.
      await other.call(read('urn:b'));
    }
    // What was written over it meanwhile is sound again, and says nothing of itself.
    const all = await Promise.all((await redis.keys('*')).map((name) => redis.get(name)));
    expect(JSON.stringify([await redis.keys('*'), all])).not.toMatch(/urn:|ada|mallory|"count"/);
  });

  it('is another’s with another key, and with another prefix', async () => {
    const one = await connected();
    await one.call(read('urn:a'));
    await written();
    const other = await connected({ key: `${KEY}!` });
    const third = await connected({ key: KEY });
    await one.call(read('urn:b'));
    await written();
    const before = count;
    expect(await countOf(other, read('urn:b'))).toBe(before + 1);
    expect(await countOf(third, read('urn:b'))).toBe(before);
  });

  it('costs no request anything when it cannot be reached', async () => {
    const gateway = gatewayOn('redis://user:hidden@127.0.0.1:1');
    for (let i = 0; i < 50; i++) {
      expect((await gateway.call(read(`urn:${i}`))).status).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await countOf(gateway, read('urn:0'))).toBe(1);
    const said = gateway.logged.filter(({ message }) => message.includes('Redis is away'));
    expect(said).toHaveLength(1);
    expect(JSON.stringify(gateway.logged)).not.toContain('hidden');
    // Left alone after a few failures, so that they are not counted for each request.
    expect(gateway.counted.get('redis_failures_total')).toBeLessThan(10);
  });

  it('is left alone while it does not answer, and used again when it does', async () => {
    const own = await startRedis();
    try {
      const gateway = gatewayOn(own.url, { timeout: '20ms' });
      const watch = new Redis(own.url);
      await until(async () => {
        await gateway.call(read(`urn:${Math.random()}`));
        return (await watch.keys('*')).length > 0;
      });
      own.freeze();
      for (let i = 0; i < 20; i++) expect((await gateway.call(read(`urn:${i}`))).status).toBe(200);
      expect(gateway.counted.get('redis_failures_total')).toBeGreaterThan(2);
      expect(gateway.counted.get('redis_failures_total')).toBeLessThan(10);
      // A change that cannot be told now is told before anything is read again.
      gateway.changed({ upstream: 'files', kind: 'resources', uri: 'urn:x' });
      own.thaw();
      gateway.clock.advance(60_000);
      await until(async () => {
        gateway.clock.advance(60_000);
        await gateway.call(read(`urn:${Math.random()}`));
        return gateway.logged.some(({ message }) => message === 'Redis is there again');
      });
      expect(await watch.keys('*u:*')).not.toEqual([]);
      watch.disconnect();
    } finally {
      own.thaw();
      await own.close();
    }
  });

  it('keeps no error, and answers as the upstream did', async () => {
    const text = '{"big":9007199254740993,"text":"é😀","n":1.0}';
    let isBroken = true;
    const upstream = () =>
      isBroken ? Outcome.ofError({ code: -32603, message: 'no' }) : Outcome.ofResultJson(text);
    isBroken = false;
    const other = await connected({}, upstream);
    isBroken = true;
    await other.call(read('urn:a'));
    expect(await redis.keys('sluice:cache:a:*')).toEqual([]);
    isBroken = false;
    await other.call(read('urn:a'));
    await written();
    const third = await connected({}, () => ({}));
    await other.call(read('urn:b'));
    await written();
    expect((await third.call(read('urn:b'))).outcome.resultJson).toBe(text);
  });
});
