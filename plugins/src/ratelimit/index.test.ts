import { MemoryBuckets } from '@sluice/sdk/engine';
import { configProblems, type TestGateway, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import ratelimit from './index.js';

const gatewayWith = (...limits: object[]) => testPlugin(ratelimit, { config: { limits } });
const as = (id: string, more: object = {}) => ({ as: { id, ...more } });

describe('ratelimit', () => {
  it('lets a burst pass, then says when to come again', async () => {
    const gateway = gatewayWith({ name: 'calls', rate: 60, burst: 2 });
    expect((await gateway.call(as('ada'))).status).toBe(200);
    expect((await gateway.call(as('ada'))).status).toBe(200);
    const { status, headers, outcome } = await gateway.call(as('ada'));
    expect(status).toBe(429);
    expect(headers).toEqual({
      'retry-after': '1',
      'ratelimit-policy': '"calls";q=60;w=60;sluice-burst=2',
      ratelimit: '"calls";r=0;t=1',
    });
    expect(outcome.error).toEqual({
      code: -31010,
      message: 'too many requests (calls); try again in 1 s',
      data: { retry_after_ms: 1_000, limits: ['calls'] },
    });
    expect(gateway.reached).toHaveLength(2);
    expect(gateway.counted.get('refused_total{limit="calls"}')).toBe(1);
    gateway.clock.advance(1_000);
    expect((await gateway.call(as('ada'))).status).toBe(200);
  });

  it('says what is left on what passes', async () => {
    const gateway = gatewayWith({ name: 'calls', rate: 60, burst: 10 });
    await gateway.call(as('ada'));
    const { headers } = await gateway.call(as('ada'));
    expect(headers).toEqual({
      'ratelimit-policy': '"calls";q=60;w=60;sluice-burst=10',
      ratelimit: '"calls";r=8;t=1',
    });
  });

  it('never tells a caller to come again too early', async () => {
    const gateway = gatewayWith({ name: 'calls', rate: 7, per: 'minute', burst: 1 });
    await gateway.call(as('ada'));
    for (let round = 0; round < 20; round++) {
      const { headers } = await gateway.call(as('ada'));
      gateway.clock.advance(Number(headers['retry-after']) * 1_000);
      expect((await gateway.call(as('ada'))).status).toBe(200);
    }
  });

  it('charges none of several limits when one refuses', async () => {
    const gateway = gatewayWith(
      { name: 'wide', key: [], rate: 10, per: 'hour' },
      { name: 'narrow', rate: 1, per: 'hour' },
    );
    expect((await gateway.call(as('ada'))).headers.ratelimit).toBe('"wide";r=9;t=360, "narrow";r=0;t=3600');
    for (let i = 0; i < 20; i++) {
      const { status, headers, outcome } = await gateway.call(as('ada'));
      expect(status).toBe(429);
      expect(headers['retry-after']).toBe('3600');
      expect(outcome.error?.data).toMatchObject({ limits: ['narrow'] });
    }
    expect((await gateway.call(as('bob'))).headers.ratelimit).toMatch(/"wide";r=8/);
  });

  it.each<[string[], object, object]>([
    [['address'], { address: '192.0.2.1' }, { address: '192.0.2.2' }],
    [['endpoint'], { endpoint: '/mcp' }, { endpoint: '/other' }],
    [['method'], { method: 'tools/list' }, { method: 'prompts/list' }],
    [['session'], { session: 'a' }, { session: 'b' }],
    [['principal.id'], as('ada'), as('bob')],
    [['principal.consumer'], as('x', { consumer: 'ada' }), as('x', { consumer: 'bob' })],
    [['principal.tenant'], as('x', { tenant: 'a' }), as('x', { tenant: 'b' })],
    [['principal.tenant'], as('x', { tenant: 'a' }), as('x')],
    [['principal.credential'], as('x', { credential: 'a' }), as('x', { credential: 'b' })],
    [['principal.claims.team'], as('x', { claims: { team: 'a' } }), as('x', { claims: { team: 'b' } })],
    [
      ['principal.claims.https://example.com/team'],
      as('x', { claims: { 'https://example.com/team': 1 } }),
      as('x', { claims: { 'https://example.com/team': 2 } }),
    ],
    [['headers.x-tenant'], { headers: { 'X-Tenant': 'a' } }, { headers: { 'X-Tenant': 'b' } }],
    [['target.upstream'], { tool: 'files:read' }, { tool: 'mail:read' }],
    [['target.name'], { tool: 'files:read' }, { tool: 'files:write' }],
    [['principal.id', 'target.name'], { ...as('ada'), tool: 'f:a' }, { ...as('ada'), tool: 'f:b' }],
    [['principal.id', 'principal.tenant'], as('ab', { tenant: 'c' }), as('a', { tenant: 'bc' })],
  ])('keeps a bucket for each %j', async (key, one, other) => {
    const gateway = gatewayWith({ name: 'calls', key, rate: 1, per: 'hour' });
    expect((await gateway.call(one)).status).toBe(200);
    expect((await gateway.call(one)).status).toBe(429);
    expect((await gateway.call(other)).status).toBe(200);
  });

  it('takes the addresses of one IPv6 network for one caller', async () => {
    const gateway = gatewayWith({ name: 'calls', key: ['address'], rate: 1, per: 'hour' });
    const from = async (address: string) => (await gateway.call({ address })).status;
    expect(await from('2001:db8::1')).toBe(200);
    expect(await from('2001:db8::ffff:2')).toBe(429);
    expect(await from('2001:db8:0:1::1')).toBe(200);
  });

  it('limits only what it matches', async () => {
    const match = { methods: ['tools/call'], targets: ['github:*', '*:delete_*'] };
    const gateway = gatewayWith({ name: 'calls', key: [], rate: 1, per: 'day', match });
    const call = async (tool: string) => (await gateway.call({ tool })).status;
    expect(await call('github:search')).toBe(200);
    expect(await call('github:merge')).toBe(429);
    expect(await call('files:delete_all')).toBe(429);
    expect(await call('files:read')).toBe(200);
    expect((await gateway.call({ method: 'tools/list' })).headers).toEqual({});
    // A name that only looks like one of another upstream.
    expect(await call('files:github:search')).toBe(200);
  });

  it('takes the rate of the tier that the caller is in', async () => {
    const gateway = gatewayWith({
      name: 'calls',
      rate: 1,
      per: 'day',
      tier_by: 'principal.claims.plan',
      tiers: { gold: { rate: 3, per: 'day' } },
    });
    const passing = async (id: string, plan?: string) => {
      let count = 0;
      while ((await gateway.call(as(id, { claims: plan === undefined ? {} : { plan } }))).status === 200)
        count++;
      return count;
    };
    expect(await passing('ada', 'gold')).toBe(3);
    expect(await passing('bob', 'silver')).toBe(1);
    expect(await passing('eve')).toBe(1);
    expect(await passing('mallory', '__proto__')).toBe(1);
  });

  it('harms nobody when the clock is set back', async () => {
    const gateway = gatewayWith({ name: 'calls', rate: 2, per: 'minute' });
    await gateway.call(as('ada'));
    gateway.clock.advance(-3_600_000);
    expect((await gateway.call(as('ada'))).status).toBe(200);
    expect((await gateway.call(as('ada'))).headers['retry-after']).toBe('30');
    gateway.clock.advance(30_000);
    expect((await gateway.call(as('ada'))).status).toBe(200);
  });

  describe('in a cluster', () => {
    let nowMs = 1_700_000_000_000;
    const memory = new MemoryBuckets(() => nowMs);
    const shared = {
      isAway: false,
      take: (...wanted: Parameters<typeof memory.take>) =>
        shared.isAway ? Promise.reject(new Error('nobody is there')) : memory.take(...wanted),
    };
    const node = (limit: object, config: object = {}) =>
      testPlugin(ratelimit, { config: { limits: [limit], scope: 'cluster', ...config }, buckets: shared });

    it('counts for all nodes together', async () => {
      const limit = { name: 'together', rate: 5, per: 'hour' };
      const nodes = [node(limit), node(limit)];
      const statuses: number[] = [];
      for (let i = 0; i < 8; i++) statuses.push((await (nodes[i % 2] as TestGateway).call(as('ada'))).status);
      expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
      const { headers, outcome } = await (nodes[0] as TestGateway).call(as('ada'));
      expect(headers['retry-after']).toBe('720');
      expect(outcome.error?.data).toMatchObject({ limits: ['together'] });
      expect((await (nodes[0] as TestGateway).call(as('bob'))).status).toBe(200);
      nowMs += 720_000;
      (nodes[1] as TestGateway).clock.advance(720_000);
      expect((await (nodes[1] as TestGateway).call(as('ada'))).status).toBe(200);
    });

    it.each([
      ['node', 200],
      ['deny', 429],
    ])('without anybody to ask: %s', async (without_store, status) => {
      const gateway = node({ name: `alone-${without_store}`, rate: 5, per: 'hour' }, { without_store });
      shared.isAway = true;
      expect((await gateway.call(as('ada'))).status).toBe(status);
      expect(gateway.logged).toMatchObject([{ level: 'warn', fields: { reason: 'nobody is there' } }]);
      expect(gateway.gauges.get('workers_sharing')).toBe(0);
      shared.isAway = false;
      gateway.clock.advance(1_000);
      expect((await gateway.call(as('ada'))).status).toBe(200);
      expect(gateway.gauges.get('workers_sharing')).toBe(1);
      expect(gateway.logged).toHaveLength(2);
    });
  });

  it.each<[object, string]>([
    [{}, 'limits'],
    [{ limits: [{ name: 'a', rate: 1 }], scope: 'world' }, 'scope'],
    [{ limits: [] }, 'limits'],
    [{ limits: [{ name: 'a' }] }, 'limits[0].rate'],
    [{ limits: [{ name: 'A b', rate: 1 }] }, 'limits[0].name'],
    [{ limits: [{ name: 'a', rate: 0 }] }, 'limits[0].rate'],
    [{ limits: [{ name: 'a', rate: 1.5 }] }, 'limits[0].rate'],
    [{ limits: [{ name: 'a', rate: 200_000, per: 'second' }] }, 'limits[0].rate'],
    [{ limits: [{ name: 'a', rate: 1, per: 'fortnight' }] }, 'limits[0].per'],
    [{ limits: [{ name: 'a', rate: 1, per: 'day', burst: 400 }] }, 'limits[0].burst'],
    [{ limits: [{ name: 'a', rate: 1, key: ['pricipal.id'] }] }, 'limits[0].key[0]'],
    [{ limits: [{ name: 'a', rate: 1, key: ['headers.X-Tenant'] }] }, 'limits[0].key[0]'],
    [{ limits: [{ name: 'a', rate: 1, match: { targets: ['github'] } }] }, 'limits[0].match.targets[0]'],
    [{ limits: [{ name: 'a', rate: 1, match: { tools: ['a:b'] } }] }, 'limits[0].match.tools'],
    [{ limits: [{ name: 'a', rate: 1, tier_by: 'principal.consumer' }] }, 'limits[0].tiers'],
    [{ limits: [{ name: 'a', rate: 1, tiers: { gold: { rate: 2 } } }] }, 'limits[0].tier_by'],
    [
      { limits: [{ name: 'a', rate: 1, tier_by: 'principal.consumer', tiers: { gold: { rate: 0 } } }] },
      'limits[0].tiers.gold.rate',
    ],
    [
      {
        limits: [
          { name: 'a', rate: 1 },
          { name: 'a', rate: 2 },
        ],
      },
      'limits[1].name',
    ],
    [{ limits: [{ name: 'a', rate: 1 }], buckets: 1 }, 'buckets'],
  ])('refuses the configuration %j', (config, path) => {
    expect(configProblems(ratelimit, config).map((problem) => problem.path)).toContain(path);
  });
});
