import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { beginSession, events, type JsonRpc, lastMessage, type RawEvent } from './raw-http.js';
import { type HttpServer, plain, startPlain } from './upstreams.js';

/* "My connection breaks all the time, and my client takes the stream up where it was." */

let server: HttpServer;
let gateway: RunningGateway;

beforeAll(async () => {
  server = await startPlain();
  gateway = await startGateway({
    config: {
      upstreams: [
        plain('shared'),
        plain('own', [], { sharing: 'per_session' }),
        { name: 'http', url: server.url },
      ],
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await server?.kill();
});

const WAIT = 'wait for release';

const waitRequest = (tool: string, id: number) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: tool, arguments: { key: WAIT, stepMs: 20 }, _meta: { progressToken: `token ${id}` } },
});

const PLACES = [
  ['/mcp/shared', ''],
  ['/mcp/own', ''],
  ['/mcp/http', ''],
  ['/mcp', 'own__'],
] as const;

describe.each(PLACES)('on %s', (path, prefix) => {
  it('resumes a call whose connection was cut, without loss or repetition', async () => {
    const session = await beginSession(gateway.url + path);
    const seen: RawEvent[] = [];
    const cut = new AbortController();
    const first = await session.post(waitRequest(`${prefix}wait`, 7), { signal: cut.signal });
    const untilCut = async () => {
      for await (const event of events(first)) {
        seen.push(event);
        if (seen.length === 4) cut.abort();
      }
    };
    await expect(untilCut()).rejects.toThrow(/abort/i);

    // The second connection is cut as well, and the call ends while nobody listens.
    for (const last of [3, undefined]) {
      const again = new AbortController();
      const lastEventId = seen.at(-1)?.id as string;
      const resumed = await session.listen({ lastEventId, signal: again.signal });
      expect(resumed.status).toBe(200);
      let count = 0;
      try {
        for await (const event of events(resumed)) {
          seen.push(event);
          if (++count === last) again.abort();
        }
      } catch (error) {
        expect(String(error)).toMatch(/abort/i);
        await session.ask('tools/call', { name: `${prefix}release`, arguments: { key: WAIT } });
      }
    }

    const messages = seen.map(({ message }) => message).filter((message) => message !== undefined);
    const progress = messages.filter(({ method }) => method === 'notifications/progress');
    expect(progress.every(({ params }) => params.progressToken === 'token 7')).toBe(true);
    expect(progress.map(({ params }) => params.progress)).toEqual(progress.map((_, i) => i + 1));
    expect(messages.at(-1)).toMatchObject({
      id: 7,
      result: { content: [{ type: 'text', text: `${WAIT} was released` }] },
    });
    const ids = seen.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    await session.end();
  });

  // An upstream over HTTP is listened to when the client listens, and this one keeps nothing until then.
  it.skipIf(path === '/mcp/http')(
    'keeps what it has to say outside of calls until the client listens',
    async () => {
      const session = await beginSession(gateway.url + path);
      const tool = `kept_${path.replaceAll('/', '_')}`;
      await session.ask('tools/call', { name: `${prefix}add_tool`, arguments: { name: tool } });
      const stop = new AbortController();
      const heard: (JsonRpc | undefined)[] = [];
      const listen = async (lastEventId?: string) => {
        const stream = await session.listen({ signal: stop.signal, ...(lastEventId && { lastEventId }) });
        expect(stream.status).toBe(200);
        for await (const event of events(stream)) {
          heard.push(event.message);
          if (event.message?.method === 'notifications/tools/list_changed') return event.id;
        }
        return undefined;
      };
      const id = await listen();
      expect(id).toBeDefined();
      // On the way back from a break, only what is new is told.
      await session.ask('tools/call', { name: `${prefix}add_tool`, arguments: { name: `${tool}_too` } });
      expect(await listen(id)).not.toBe(id);
      stop.abort();
      await session.end();
    },
  );
});

it('refuses a second stream while one is open, and events that nobody knows', async () => {
  const session = await beginSession(`${gateway.url}/mcp`);
  const stop = new AbortController();
  const open = await session.listen({ signal: stop.signal });
  expect(open.status).toBe(200);
  expect((await session.listen()).status).toBe(409);
  for (const lastEventId of ['nonsense', 'p99_1']) {
    const refused = await session.listen({ lastEventId });
    expect(refused.status, lastEventId).toBe(400);
    expect((await lastMessage(refused)).error?.message).toContain('cannot be resumed');
  }
  stop.abort();
});

it('goes on from here after an event that is not kept, and is told to look at every list again', async () => {
  const session = await beginSession(`${gateway.url}/mcp/own`);
  const resumed = await session.listen({ lastEventId: 'g_999999' });
  expect(resumed.status).toBe(200);
  let told: string | undefined;
  for await (const { message } of events(resumed)) {
    told = message?.method;
    if (told !== undefined) break;
  }
  expect(told).toBe('notifications/tools/list_changed');
  await session.end();
});

it('a stream of one session cannot be read in another', async () => {
  const [mine, theirs] = await Promise.all([1, 2].map(() => beginSession(`${gateway.url}/mcp/own`)));
  const call = await mine?.post(waitRequest('wait', 1));
  const [first] = await take(events(call as Response), 2);
  const answer = await lastMessage((await theirs?.listen({ lastEventId: first?.id as string })) as Response);
  expect([answer.result, answer.error?.code]).toEqual([undefined, -31004]);
  await Promise.all([mine?.end(), theirs?.end()]);
});

describe('a batch, which only 2025-03-26 has', () => {
  const batch = (prefix: string) => [
    { jsonrpc: '2.0', id: 1, method: 'tools/call', params: call(`${prefix}echo`, { text: 'one' }) },
    { jsonrpc: '2.0', method: 'notifications/roots/list_changed' },
    {
      jsonrpc: '2.0',
      id: 'two',
      method: 'tools/call',
      params: call(`${prefix}slow`, { ms: 30, text: 'two' }),
    },
    { jsonrpc: '2.0', id: 3, method: 'tools/call', params: call(`${prefix}nothing`, {}) },
    { jsonrpc: '2.0', id: 4, method: 'ping' },
  ];
  const call = (name: string, args: object) => ({ name, arguments: args });

  it.each(PLACES)('is answered as a whole on %s', async (path, prefix) => {
    const session = await beginSession(gateway.url + path, { revision: '2025-03-26' });
    const response = await session.post(batch(prefix));
    expect(response.status).toBe(200);
    const answers = (await response.json()) as JsonRpc[];
    const byId = new Map(answers.map((answer) => [answer.id, answer]));
    expect(answers).toHaveLength(4);
    expect(byId.get(1)?.result.content[0].text).toBe('one');
    expect(byId.get('two')?.result.content[0].text).toBe('two');
    expect(byId.get(3)?.error?.message).toContain('nothing');
    expect(byId.get(4)?.result).toEqual({});
    await session.end();
  });

  it.each(['2025-06-18', '2025-11-25'])('is refused in a session of %s', async (revision) => {
    const session = await beginSession(`${gateway.url}/mcp`, { revision });
    const response = await session.post(batch('own__'));
    expect(response.status).toBe(400);
    expect((await lastMessage(response)).error?.message).toContain(`${revision} has no batches`);
    await session.end();
  });
});

async function take<Item>(items: AsyncGenerator<Item>, count: number): Promise<Item[]> {
  const taken: Item[] = [];
  for await (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}
