import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { events, type JsonRpc, lastMessage, MODERN, modernParams } from './raw-http.js';

/* "A tool took a task of mine away to work on it. Nobody but me can ask how it goes." */

const SECRET = 'a secret of at least thirty-two characters';
const KEYS = { ada: createApiKey(SECRET), ben: createApiKey(SECRET), 'ada with less': createApiKey(SECRET) };
type Person = keyof typeof KEYS;
const CAN = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
/** One that a header cannot carry as it is. */
const TASK = 'task-ü-1';

let server: Server;
let gateway: RunningGateway;
/** What the server was asked about tasks: method, id, and the header that repeats it. */
let asked: unknown[];
/** Ids that the server was asked to tell of. */
let watched: unknown;

/** A server of 2026-07-28 with one task, which it shows to everybody who knows the id. */
function serve(message: JsonRpc, name: unknown, response: ServerResponse): void {
  const { id, method = '', params } = message;
  const task = { taskId: TASK, status: 'working', ttlMs: null, createdAt: 'now', lastUpdatedAt: 'now' };
  const answer = (result: object) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...result } }));
  };
  if (method.startsWith('tasks/')) asked.push([method, params.taskId, name]);
  if (method === 'server/discover') {
    answer({
      supportedVersions: [MODERN],
      capabilities: { tools: {}, ...CAN },
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'tasks', version: '1' } },
    });
  } else if (method === 'tools/list') {
    answer({
      tools: ['slow', 'secret'].map((tool) => ({ name: tool, inputSchema: { type: 'object' } })),
      ttlMs: 0,
      cacheScope: 'private',
    });
  } else if (method === 'tools/call') answer({ ...task, resultType: 'task' });
  else if (method === 'tasks/get' && params.taskId === TASK) answer(task);
  else if (method === 'subscriptions/listen') {
    watched = params.notifications.taskIds;
    const _meta = { 'io.modelcontextprotocol/subscriptionId': id };
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const [told, about] of [
      ['notifications/subscriptions/acknowledged', { notifications: { taskIds: watched } }],
      ['notifications/tasks', { ...task, taskId: 'of somebody else' }],
      ['notifications/tasks', task],
    ] as const) {
      const said = { jsonrpc: '2.0', method: told, params: { ...about, _meta } };
      response.write(`event: message\ndata: ${JSON.stringify(said)}\n\n`);
    }
  } else answer({});
}

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    serve(JSON.parse(Buffer.concat(chunks).toString()), request.headers['mcp-name'], response);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const keys = Object.entries(KEYS).map(([person, { key: _, ...entry }]) => ({
    ...entry,
    consumer: person.split(' ')[0],
    scopes: person === 'ada' ? ['secrets'] : [],
  }));
  const permitted = { tools: { '*:slow': [], '*:secret': ['secrets'] }, methods: { '*': [] } };
  gateway = await startGateway({
    env: { KEY_SECRET: SECRET },
    config: {
      upstreams: [{ name: 'tasks', url: `http://127.0.0.1:${port}/mcp` }],
      plugins: [
        { plugin: 'auth-api-key', config: { hash_key: '${KEY_SECRET}', keys } },
        { plugin: 'anonymous', config: {} },
        { plugin: 'authorize', config: permitted },
      ],
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  server.closeAllConnections();
  server.close();
});

function send(person: Person | undefined, method: string, params: object, name?: string): Promise<Response> {
  return fetch(`${gateway.url}/mcp/tasks`, {
    method: 'POST',
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': MODERN,
      'mcp-method': method,
      ...(name !== undefined && { 'mcp-name': name }),
      ...(person !== undefined && { 'x-api-key': KEYS[person].key }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: modernParams(params, CAN) }),
  });
}

async function begin(person: Person | undefined, name = 'slow'): Promise<string> {
  const { result } = await lastMessage(await send(person, 'tools/call', { name }, name));
  expect(result).toMatchObject({ resultType: 'task', status: 'working' });
  return result.taskId;
}

/** One character in the middle is another one. */
const changed = (id: string) => id.slice(0, 20) + (id[20] === 'A' ? 'B' : 'A') + id.slice(21);

const about = async (person: Person | undefined, taskId: unknown, method = 'tasks/get') => {
  asked = [];
  return lastMessage(await send(person, method, { taskId }, typeof taskId === 'string' ? taskId : undefined));
};

it('is known to who began it, by an id that a header can carry', async () => {
  const taskId = await begin('ada');
  expect(taskId).toMatch(/^[\w-]{40,200}$/);
  expect((await about('ada', taskId)).result).toMatchObject({ taskId, status: 'working' });
  const header = `=?base64?${Buffer.from(TASK).toString('base64')}?=`;
  expect(asked).toEqual([['tasks/get', TASK, header]]);
  expect((await about('ada', taskId, 'tasks/cancel')).error).toBeUndefined();
  expect(asked).toEqual([['tasks/cancel', TASK, header]]);
});

it.each(['tasks/get', 'tasks/update', 'tasks/cancel'])('%s finds it for nobody else', async (method) => {
  const taskId = await begin('ada');
  for (const [person, id] of [
    ['ben', taskId],
    ['ben', TASK],
    ['ada', TASK],
    ['ada', changed(taskId)],
    ['ada', [taskId]],
  ] as const) {
    const { error } = await about(person, id, method);
    expect(error).toMatchObject({ code: -32602, message: expect.stringMatching(/^Task not found: tasks/) });
    expect(asked).toEqual([]);
  }
  expect((await about('ben', undefined, 'tasks/list')).error).toMatchObject({ code: -32602 });
  expect(asked).toEqual([]);
});

it('is told of to who began it', async () => {
  const taskId = await begin('ada');
  const foreign = await begin('ben');
  const wanted = { notifications: { taskIds: [foreign, taskId, TASK, 7] } };
  const response = await send('ada', 'subscriptions/listen', wanted);
  const told: JsonRpc[] = [];
  for await (const { message } of events(response)) {
    if (message?.method !== undefined) told.push(message);
    if (told.length === 2) break;
  }
  expect(watched).toEqual([TASK]);
  expect(told).toMatchObject([
    { method: 'notifications/subscriptions/acknowledged', params: { notifications: { taskIds: [taskId] } } },
    { method: 'notifications/tasks', params: { taskId, status: 'working' } },
  ]);
});

it('has the id that the server made for callers whom nobody knows', async () => {
  expect(await begin(undefined)).toBe(TASK);
  expect((await about(undefined, TASK)).result).toMatchObject({ taskId: TASK });
});

describe('is for whom its tool is for', () => {
  it.each(['tasks/get', 'tasks/update', 'tasks/cancel'])('%s', async (method) => {
    const taskId = await begin('ada', 'secret');
    expect((await about('ada', taskId, method)).error).toBeUndefined();
    const response = await send('ada with less', method, { taskId }, taskId);
    expect(response.status).toBe(403);
    expect(response.headers.get('www-authenticate')).toContain('scope="secrets"');
    expect((await about('ada with less', taskId, method)).error).toMatchObject({ code: -31007 });
    expect(asked).toEqual([]);
    expect((await about('ada with less', await begin('ada with less'), method)).error).toBeUndefined();
  });

  it('when it is listened to', async () => {
    const taskIds = [await begin('ada'), await begin('ada', 'secret')];
    watched = undefined;
    const response = await send('ada with less', 'subscriptions/listen', { notifications: { taskIds } });
    expect((await lastMessage(response)).error).toMatchObject({ code: -31007 });
    expect(watched).toBeUndefined();
  });
});
