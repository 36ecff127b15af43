import { rename, writeFile } from 'node:fs/promises';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { metric } from '../gateway-metrics.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { lastMessage, MODERN, modernParams } from '../raw-http.js';
import { plain } from '../upstreams.js';

/* "I change, add and remove plugins all day, and nobody who is working notices." */

const STORY_LIMIT_MS = 120_000;
const PATIENCE = { timeout: 30_000 };
const CHANGE_COUNT = 12;
const SECRET = 'a secret of at least thirty-two characters';
const { key, prefix, hash } = createApiKey(SECRET);
const HEADERS = { 'x-api-key': key };

let gateway: RunningGateway;

/** One version of the configuration. Its mark stands in what goes to the server, and in what comes back. */
function version(number: number) {
  const others = Array.from({ length: number % 4 }, () => createApiKey(SECRET));
  const keys = [{ prefix, hash }, ...others].map((each) => ({
    prefix: each.prefix,
    hash: each.hash,
    consumer: 'ada',
    scopes: ['a'],
  }));
  const mark = `v${number}`;
  const rule = { name: 'mark', match: { methods: ['tools/call'] } };
  const changes = {
    arguments: { set: { '/text': mark } },
    result: { set: { '/structuredContent': { mark } } },
  };
  const often = { name: 'calls', rate: 10_000 + number, per: 'second' };
  const optional = [
    { plugin: 'authorize', config: { permissions: { 'a:*': ['a'] } } },
    { plugin: 'ratelimit', config: { limits: [often] } },
    { plugin: 'cache', config: { lists: [{ ttl: `${number + 1}s` }] } },
    { plugin: 'request-limit', config: { max_arguments_bytes: 10_000 + number } },
    { plugin: 'security-headers' },
  ];
  return {
    upstreams: [plain('a')],
    plugins: [
      { plugin: 'auth-api-key', config: { hash_key: SECRET, keys } },
      // Another part of them each time, so that each is added and removed.
      ...optional.filter((_, index) => (number + index) % 3 !== 0),
      // Every fourth version is without.
      ...(number % 4 === 3 ? [] : [{ plugin: 'transform', config: { rules: [{ ...rule, ...changes }] } }]),
    ],
  };
}

beforeAll(async () => {
  gateway = await startGateway({ workers: 2, config: version(0) });
});

afterAll(async () => {
  await closeClients();
  await gateway?.stop();
});

async function raw(ms: number) {
  const response = await fetch(`${gateway.url}/mcp/a`, {
    method: 'POST',
    headers: {
      ...HEADERS,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': MODERN,
      'mcp-method': 'tools/call',
      'mcp-name': 'slow',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: modernParams({ name: 'slow', arguments: { ms, text: 'own' } }),
    }),
  });
  const { result, error } = await lastMessage(response);
  if (error !== undefined) throw new Error(`${response.status} ${JSON.stringify(error)}`);
  return result;
}

it('calls end with the plugins with which they began, and none fails', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  const clients = await Promise.all(
    KINDS.map((kind) => connect(kind, `${gateway.url}/mcp/a`, { headers: HEADERS })),
  );
  const callers: ((ms: number) => Promise<any>)[] = [
    ...clients.map((client) => (ms: number) => client.call('slow', { ms, text: 'own' })),
    ...Array.from({ length: 4 }, () => raw),
  ];
  const seen: { sent: string; came: string }[] = [];
  const failures: string[] = [];
  let isOver = false;
  const working = callers.map(async (call, index) => {
    // Some calls are over at once, and some outlive several changes.
    for (let round = 0; !isOver && failures.length === 0; round++) {
      try {
        const result = await call(round % 5 === 4 ? 1_500 : 10 + index * 20);
        seen.push({ sent: result.content[0].text, came: result.structuredContent?.mark ?? 'own' });
      } catch (thrown) {
        failures.push(String(thrown));
      }
    }
  });
  try {
    for (let number = 1; number <= CHANGE_COUNT; number++) {
      const from = seen.length;
      await writeFile(`${gateway.configFile}.new`, JSON.stringify(version(number)));
      await rename(`${gateway.configFile}.new`, gateway.configFile);
      const mark = number % 4 === 3 ? 'own' : `v${number}`;
      await expect.poll(() => seen.slice(from).map(({ sent }) => sent), PATIENCE).toContain(mark);
    }
  } finally {
    isOver = true;
    await Promise.all(working);
  }
  expect(failures).toEqual([]);
  expect(seen.filter(({ sent, came }) => sent !== came)).toEqual([]);
  expect(seen.length).toBeGreaterThan(CHANGE_COUNT * callers.length);
  expect(await metric(gateway.url, 'sluice_faults_total')).toBe(0);
});
