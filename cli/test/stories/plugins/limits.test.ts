import { readFile, writeFile } from 'node:fs/promises';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS, type Kind } from '../official-client.js';
import { lastMessage, MODERN, modernParams } from '../raw-http.js';
import { plain } from '../upstreams.js';

/* "Each of my callers gets so many calls, however they connect, and nobody tries keys as fast as they like." */

const SECRET = 'a secret of at least thirty-two characters';
const BURST = 5;
const WHO = [...KINDS, 'raw', 'gold', 'parallel', 'kept'] as const;
const KEYS = new Map(WHO.map((who) => [who, createApiKey(SECRET)]));
const keyOf = (who: (typeof WHO)[number]) => KEYS.get(who)?.key as string;

let gateway: RunningGateway;

beforeAll(async () => {
  gateway = await startGateway({
    // What one worker has given, none of the others gives again.
    workers: 2,
    config: {
      upstreams: [plain('a'), plain('b')],
      plugins: [
        {
          plugin: 'login-limit',
          endpoints: ['/mcp/b'],
          config: { rate: 1, per: 'hour', burst: 3 },
        },
        {
          plugin: 'auth-api-key',
          config: {
            hash_key: SECRET,
            keys: WHO.map((who) => {
              const { prefix, hash } = KEYS.get(who) as ReturnType<typeof createApiKey>;
              return { prefix, hash, consumer: who, claims: who === 'gold' ? { plan: 'gold' } : {} };
            }),
          },
        },
        {
          plugin: 'ratelimit',
          endpoints: ['/mcp/a'],
          config: {
            limits: [
              {
                name: 'calls',
                key: ['principal.consumer'],
                rate: BURST,
                per: 'day',
                match: { methods: ['tools/call'], targets: ['a:*'] },
                tier_by: 'principal.claims.plan',
                tiers: { gold: { rate: 2 * BURST, per: 'day' } },
              },
              { name: 'all', key: [], rate: 1_000_000, per: 'hour' },
            ],
          },
        },
      ],
    },
  });
});

afterAll(async () => {
  await closeClients();
  await gateway?.stop();
});

function post(path: string, key: string) {
  return fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': MODERN,
      'mcp-method': 'tools/call',
      'mcp-name': 'echo',
      'x-api-key': key,
      // Another connection each time, which may be another worker's.
      connection: 'close',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: modernParams({ name: 'echo', arguments: { text: 'hello' } }),
    }),
  });
}

describe('a limit', () => {
  it.each<Kind>([...KINDS])('holds for %s, also after connecting again', async (kind) => {
    const headers = { 'X-API-Key': keyOf(kind) };
    let passedCount = 0;
    let refusal: any;
    while (refusal === undefined) {
      const client = await connect(kind, `${gateway.url}/mcp/a`, { headers });
      for (let i = 0; i < 2 && refusal === undefined; i++) {
        await client.call('echo', { text: 'hello' }).then(
          () => passedCount++,
          (error) => {
            refusal = error;
          },
        );
      }
      // What is no call is not limited.
      expect(await client.toolNames()).toContain('echo');
      await client.close();
    }
    expect(passedCount).toBe(BURST);
    expect(String(refusal)).toMatch(/too many requests \(calls\); try again in \d+ s/);
  });

  it('says on every answer what is left, and on a refusal when to come again', async () => {
    for (let left = BURST - 1; left >= 0; left--) {
      const response = await post('/mcp/a', keyOf('raw'));
      expect(response.status).toBe(200);
      expect(response.headers.get('ratelimit-policy')).toBe(
        '"calls";q=5;w=86400;sluice-burst=5, "all";q=1000000;w=3600;sluice-burst=1000000',
      );
      expect(response.headers.get('ratelimit')).toMatch(
        new RegExp(`^"calls";r=${left};t=17\\d{3}, "all";r=`),
      );
      expect((await lastMessage(response)).result.content).toEqual([{ type: 'text', text: 'hello' }]);
    }
    const refused = await post('/mcp/a', keyOf('raw'));
    expect(refused.status).toBe(429);
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(17_000);
    expect(refused.headers.get('ratelimit')).toContain(`"calls";r=0;t=${seconds}`);
    expect((await lastMessage(refused)).error).toEqual({
      code: -31010,
      message: `too many requests (calls); try again in ${seconds} s`,
      data: { retry_after_ms: expect.any(Number), limits: ['calls'] },
    });
  });

  it('gives a tier its own', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 2 * BURST + 1; i++) statuses.push((await post('/mcp/a', keyOf('gold'))).status);
    expect(statuses).toEqual([...Array(2 * BURST).fill(200), 429]);
  });

  it('lets no more pass when all come at once, over many connections', async () => {
    const all = await Promise.all(Array.from({ length: 60 }, () => post('/mcp/a', keyOf('parallel'))));
    expect(all.filter(({ status }) => status === 200)).toHaveLength(BURST);
    expect(all.filter(({ status }) => status === 429)).toHaveLength(60 - BURST);
  });
});

describe('wrong keys', () => {
  it('are looked at so often, and then nothing of that address is', async () => {
    const wrong = createApiKey(SECRET).key;
    const right = await post('/mcp/b', keyOf('gold'));
    expect(right.status).toBe(200);
    const all = await Promise.all(Array.from({ length: 30 }, () => post('/mcp/b', wrong)));
    const statuses = all.map(({ status }) => status).sort();
    expect(statuses).toEqual([...Array(3).fill(401), ...Array(27).fill(429)]);
    const refused = await post('/mcp/b', keyOf('gold'));
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3_000);
    expect((await lastMessage(refused)).error).toMatchObject({
      code: -31010,
      message: expect.stringMatching(/^too many wrong credentials from this address; try again in \d+ s$/),
    });
    // Another endpoint, without that plugin.
    expect((await post('/mcp/a', createApiKey(SECRET).key)).status).toBe(401);
  });
});

it('keeps what was counted when the configuration changes', async () => {
  expect((await post('/mcp/a', keyOf('parallel'))).status).toBe(429);
  const config = JSON.parse(await readFile(gateway.configFile, 'utf8'));
  config.plugins[2].config.limits[0].burst = 2 * BURST;
  await writeFile(gateway.configFile, JSON.stringify(config));
  // Both workers have it when no answer is of the one before.
  const policies = async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => post('/mcp/a', keyOf('kept'))));
    return new Set(all.map(({ headers }) => headers.get('ratelimit-policy')?.split(',')[0]));
  };
  const changed = `"calls";q=5;w=86400;sluice-burst=${2 * BURST}`;
  await expect.poll(async () => [...(await policies())], { timeout: 10_000 }).toEqual([changed]);
  const statuses = await Promise.all(
    Array.from({ length: 20 }, async () => (await post('/mcp/a', keyOf('parallel'))).status),
  );
  // Five were taken before; the larger bucket has five more.
  expect(statuses.filter((status) => status === 200)).toHaveLength(BURST);
});
