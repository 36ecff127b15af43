import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { beginSession, type JsonRpc, lastMessage } from '../raw-http.js';
import { type HttpServer, startEverything } from '../upstreams.js';

/* "Whoever may not use a tool any more may not look at what it still does, either." */

const SECRET = 'a secret of at least thirty-two characters';
const KEYS = { researcher: createApiKey(SECRET), former: createApiKey(SECRET) };
type Who = keyof typeof KEYS;
const TOOL = 'simulate-research-query';

let everything: HttpServer;
let gateway: RunningGateway;

beforeAll(async () => {
  everything = await startEverything();
  // Two keys of one principal, whose session and tasks they are.
  const keys = Object.entries(KEYS).map(([who, { key: _, ...entry }]) => ({
    ...entry,
    consumer: 'ada',
    scopes: who === 'researcher' ? ['research'] : [],
  }));
  gateway = await startGateway({
    config: {
      upstreams: [{ name: 'everything', url: everything.url }],
      plugins: [
        { plugin: 'auth-api-key', config: { hash_key: SECRET, keys } },
        { plugin: 'authorize', config: { tools: { 'everything:*': ['research'] } } },
      ],
    },
  });
});

afterAll(async () => {
  await gateway?.stop();
  await everything?.kill();
});

it('a task of 2025-11-25 is for whom its tool is for', async () => {
  const as = (who: Who) => ({ 'x-api-key': KEYS[who].key });
  const { url, headers } = await beginSession(`${gateway.url}/mcp/everything`, { own: as('researcher') });
  const asked = async (who: Who, method: string, params: object): Promise<JsonRpc> => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 7, method, params });
    return lastMessage(await fetch(url, { method: 'POST', headers: { ...headers, ...as(who) }, body }));
  };
  const { result } = await asked('researcher', 'tools/call', {
    name: TOOL,
    arguments: { topic: 'sluices' },
    task: { ttl: 60_000 },
  });
  const { taskId } = result.task;
  expect((await asked('researcher', 'tasks/get', { taskId })).result).toMatchObject({ taskId });
  for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel'])
    expect((await asked('former', method, { taskId })).error, method).toMatchObject({ code: -31007 });
  // Of what tool others are is not known, and no method is open by itself.
  for (const [method, params] of [
    ['tasks/get', { taskId: 'another' }],
    ['tasks/list', {}],
  ] as const)
    expect((await asked('researcher', method, params)).error, method).toMatchObject({ code: -31007 });
  expect((await asked('researcher', 'tasks/cancel', { taskId })).result).toMatchObject({
    status: 'cancelled',
  });
});
