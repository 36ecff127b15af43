import { afterEach, describe, expect, it } from 'vitest';
import { isAlive } from '../stories/processes.js';
import { beginSession, events, type JsonRpc, lastMessage, postModern } from '../stories/raw-http.js';
import { fixtureOverStdio, plain } from '../stories/upstreams.js';
import { type Cluster, startCluster } from './cluster.js';

/* "My server over stdio must run once, and I have several nodes." */

const UPSTREAM_LOST = -31004;
const WATCHED = 'test://watched-resource';
const LIMIT = { timeout: 15_000 };

let cluster: Cluster;

afterEach(() => cluster?.stop());

const begin = async (count = 2) => {
  cluster = await startCluster(
    { upstreams: [plain('once', [], { sharing: 'cluster' }), plain('each')] },
    count,
  );
};

/** The first node needs the process first, and has it; the second one uses it. */
const urlOf = (node: number): string => cluster.nodes[node]?.url as string;

const firstText = ({ result }: JsonRpc): string => result?.content[0].text;

const call = async (url: string, name: string, args: object = {}): Promise<JsonRpc> =>
  lastMessage(await postModern(url, 'tools/call', { name, arguments: args }));

/** The process that serves a call at an address. */
const pidAt = async (url: string): Promise<number> => JSON.parse(firstText(await call(url, 'whoami'))).pid;

const callUnderWay = (node: number, key: string) =>
  call(`${urlOf(node)}/mcp/once`, 'wait', { key, stepMs: 20 });

const waits = async (node: number): Promise<{ waiting: string[]; interrupted: string[] }> =>
  JSON.parse(firstText(await call(`${urlOf(node)}/mcp/once`, 'waits')));

describe('with all nodes alive', () => {
  it('it runs once, and every other server once for each node', async () => {
    await begin(3);
    const added = await cluster.add();
    const urls = [...cluster.nodes, added].map(({ url }) => url);
    // Several times, so that every worker of each node is met.
    const pids = async (name: string) =>
      new Set(await Promise.all(urls.flatMap((url) => [1, 2, 3, 4].map(() => pidAt(`${url}/mcp/${name}`)))));
    expect((await pids('once')).size).toBe(1);
    expect((await pids('each')).size).toBe(4);
  });

  it('a call from another node has its progress, and is cancelled with its client', async () => {
    await begin();
    const session = await beginSession(`${urlOf(1)}/mcp/once`);
    const params = { name: 'wait', arguments: { key: 'k', stepMs: 20 }, _meta: { progressToken: 't' } };
    const answer = await session.post({ jsonrpc: '2.0', id: 7, method: 'tools/call', params });
    const seen: number[] = [];
    for await (const { message } of events(answer)) {
      if (message?.method === 'notifications/progress') seen.push(message.params.progress);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([1, 2, 3]);
    await session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } });
    await expect.poll(() => waits(0), LIMIT).toEqual({ waiting: [], interrupted: ['k'] });
  });

  it('a big answer comes whole', async () => {
    await begin();
    const bytes = 1_000_000;
    const said = firstText(await call(`${urlOf(1)}/mcp/once`, 'big', { bytes }));
    expect(Buffer.byteLength(said)).toBe(bytes);
  });

  it('a new tool is news at every node', async () => {
    await begin();
    const session = await beginSession(`${urlOf(1)}/mcp`);
    const listening = await session.listen();
    await call(`${urlOf(0)}/mcp/once`, 'add_tool', { name: 'fresh' });
    for await (const { message } of events(listening))
      if (message?.method === 'notifications/tools/list_changed') break;
    const { result } = await session.ask('tools/list');
    expect(result.tools.map(({ name }: { name: string }) => name)).toContain('once__fresh');
  });
});

describe('when the node dies that has the process', () => {
  it('it runs at one of the others, and at no other', async () => {
    await begin(3);
    const before = await pidAt(`${urlOf(0)}/mcp/once`);
    expect(await pidAt(`${urlOf(1)}/mcp/once`)).toBe(before);
    await cluster.nodes[0]?.kill();
    const pids = await Promise.all([1, 2, 1, 2, 1, 2].map((node) => pidAt(`${urlOf(node)}/mcp/once`)));
    expect(new Set(pids).size).toBe(1);
    expect(pids).not.toContain(before);
    await expect.poll(() => isAlive(before), LIMIT).toBe(false);
  });

  it('a call under way may have run, and is not repeated', async () => {
    await begin();
    const calling = callUnderWay(1, 'k');
    await expect.poll(() => waits(0), LIMIT).toMatchObject({ waiting: ['k'] });
    await cluster.nodes[0]?.kill();
    expect((await calling).error).toMatchObject({
      code: UPSTREAM_LOST,
      message: expect.stringContaining('may have run'),
    });
    expect(await waits(1)).toEqual({ waiting: [], interrupted: [] });
  });

  it.each(['legacy', 'modern'] as const)(
    'what a client of another node watches at a %s server it looks at again, and hears of',
    async (era) => {
      cluster = await startCluster({ upstreams: [fixtureOverStdio('fixture', era, { sharing: 'cluster' })] });
      const session = await beginSession(`${urlOf(1)}/mcp/fixture`);
      const listening = events(await session.listen());
      const updated = async () => {
        for (;;) {
          const { value, done } = await listening.next();
          if (done) throw new Error('the stream has ended');
          if (value.message?.method === 'notifications/resources/updated') return value.message.params.uri;
        }
      };
      const trigger = (node: number) => call(`${urlOf(node)}/mcp/fixture`, 'test_trigger_resource_update');
      await session.ask('resources/subscribe', { uri: WATCHED });
      await trigger(0);
      expect(await updated()).toBe(WATCHED);
      await cluster.nodes[0]?.kill();
      // It may have changed while nobody listened.
      expect(await updated()).toBe(WATCHED);
      await trigger(1);
      expect(await updated()).toBe(WATCHED);
    },
  );
});

describe('when the node is stopped that has the process', () => {
  it('a call under way at another node ends as it would have', async () => {
    await begin();
    const before = await pidAt(`${urlOf(1)}/mcp/once`);
    const calling = callUnderWay(1, 'k');
    await expect.poll(() => waits(1), LIMIT).toMatchObject({ waiting: ['k'] });
    const stopping = cluster.nodes[0]?.stop();
    await call(`${urlOf(1)}/mcp/once`, 'release', { key: 'k' });
    expect(firstText(await calling)).toBe('k was released');
    await stopping;
    await expect.poll(() => isAlive(before), LIMIT).toBe(false);
    expect(await pidAt(`${urlOf(1)}/mcp/once`)).not.toBe(before);
  });
});
