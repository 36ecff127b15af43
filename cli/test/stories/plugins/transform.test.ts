import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { type HttpServer, startFixtureOver, startPlain } from '../upstreams.js';
import { recordHeads } from './recorded-heads.js';

/* "My servers are told which tenant calls, callers do not see what is not for them, and no client has to change." */

const SECRET = 'a secret of at least thirty-two characters';
const ERAS = ['legacy', 'modern'] as const;
const KEYS = { ada: createApiKey(SECRET), injected: createApiKey(SECRET) };

const RULES = [
  {
    name: 'tenant',
    match: { targets: ['*:*'] },
    when: '!("x-plain" in headers)',
    headers: {
      set: {
        'X-Tenant': '{{principal.tenant}}',
        Authorization: 'Bearer {{principal.consumer}}',
        Baggage: 'by=sluice',
      },
      remove: ['Traceparent'],
      rename: { 'X-Region': 'X-Place' },
    },
  },
  {
    name: 'signed',
    match: { methods: ['tools/call'], targets: ['*:echo'] },
    arguments: { compute: { '/text': 'arguments.text + " for " + principal.tenant' }, remove: ['/debug'] },
    result: { set: { '/_meta/tenant': '{{principal.tenant}}' } },
  },
  {
    name: 'described',
    match: { targets: ['*:echo'] },
    entries: {
      compute: { '/description': '"Says again, for " + principal.tenant' },
      remove: ['/annotations'],
    },
  },
];

let gateway: RunningGateway;
const servers: HttpServer[] = [];
const recorders: { [name in (typeof ERAS)[number] | 'sse']?: Awaited<ReturnType<typeof recordHeads>> } = {};

beforeAll(async () => {
  const upstreams = [];
  for (const era of ERAS) {
    const server = await startPlain(['--era', era]);
    servers.push(server);
    const recorder = await recordHeads(server.url);
    recorders[era] = recorder;
    upstreams.push({
      name: era,
      url: recorder.url,
      headers: { Authorization: 'Bearer of all', 'X-Own': '1' },
    });
  }
  const sse = await startFixtureOver('sse', 'legacy');
  servers.push(sse);
  recorders.sse = await recordHeads(sse.url);
  upstreams.push({ name: 'sse', sse: { url: recorders.sse.url } });
  gateway = await startGateway({
    config: {
      upstreams,
      plugins: [
        {
          plugin: 'auth-api-key',
          config: {
            hash_key: SECRET,
            keys: [
              { prefix: KEYS.ada.prefix, hash: KEYS.ada.hash, consumer: 'ada', tenant: 'eu' },
              {
                prefix: KEYS.injected.prefix,
                hash: KEYS.injected.hash,
                consumer: 'eve',
                tenant: 'eu\r\nX-Admin: yes',
              },
            ],
          },
        },
        { plugin: 'transform', config: { rules: RULES } },
      ],
    },
  });
});

afterAll(async () => {
  await closeClients();
  await gateway?.stop();
  for (const recorder of Object.values(recorders)) await recorder?.stop();
  for (const server of servers) await server.kill();
});

describe.each(ERAS)('in front of a %s server', (era) => {
  describe.each(KINDS)('%s', (kind) => {
    it.each([`/mcp/${era}`, '/mcp'])('at %s has what the rules make', async (path) => {
      const name = path === '/mcp' ? `${era}__echo` : 'echo';
      const client = await connect(kind, `${gateway.url}${path}`, {
        headers: {
          'X-API-Key': KEYS.ada.key,
          'X-Region': 'north',
          'X-Admin': 'yes',
          traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
          baggage: 'by=client',
        },
      });
      const echo = (await client.tools()).find((tool) => tool.name === name);
      expect(echo?.description).toBe('Says again, for eu');

      const { heads } = recorders[era] as { heads: any[] };
      heads.length = 0;
      const result: any = await client.call(name, { text: 'hello', debug: true });
      expect(result.content).toEqual([{ type: 'text', text: 'hello for eu' }]);
      expect(result._meta).toMatchObject({ tenant: 'eu' });
      const [head] = heads.filter((each) => each['x-tenant'] !== undefined);
      expect(head).toMatchObject({
        'x-tenant': 'eu',
        'x-place': 'north',
        'x-own': '1',
        authorization: 'Bearer ada',
        baggage: 'by=sluice',
      });
      for (const field of ['x-region', 'x-admin', 'x-api-key', 'traceparent'])
        expect(head).not.toHaveProperty(field);
    });

    it('is refused where a value would begin another header field', async () => {
      const { heads } = recorders[era] as { heads: any[] };
      const client = await connect(kind, `${gateway.url}/mcp/${era}`, {
        headers: { 'X-API-Key': KEYS.injected.key },
      });
      heads.length = 0;
      await expect(client.call('echo', { text: 'hello' })).rejects.toThrow(
        /the rule tenant cannot be applied to this call: the header x-tenant holds a line break/,
      );
      expect(heads.filter((each) => 'x-admin' in each || 'x-tenant' in each)).toEqual([]);
    });
  });
});

it.each(KINDS)('%s has them on the messages to a server over HTTP+SSE', async (kind) => {
  const { heads } = recorders.sse as { heads: any[] };
  const client = await connect(kind, `${gateway.url}/mcp/sse`, { headers: { 'X-API-Key': KEYS.ada.key } });
  heads.length = 0;
  await client.call('test_simple_text');
  expect(heads.some((head) => head['x-tenant'] === 'eu' && head.authorization === 'Bearer ada')).toBe(true);
});
