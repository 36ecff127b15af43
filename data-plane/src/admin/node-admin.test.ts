import { describe, expect, it } from 'vitest';
import type { Caller } from '../exchange/exchange.js';
import type { ClientConnection } from '../front/client-connection.js';
import type { Endpoint } from '../front/endpoint.js';
import type { UpstreamStatus } from '../telemetry/ops-door.js';
import { NodeAdmin } from './node-admin.js';
import { ENDED_BY_OPERATOR, WorkerPart } from './worker-part.js';

const BEGAN_AT = Date.UTC(2026, 0, 1);

class FakeConnection implements ClientConnection {
  readonly endpoint = { path: '/mcp/a' } as Endpoint;
  readonly transport = 'websocket';
  readonly principal = 'somebody';
  readonly lastUsedAt = BEGAN_AT + 5_000;
  readonly requestCount = 2;
  readonly ends: string[] = [];
  caller: Caller | undefined;

  constructor(
    readonly connectionId: string,
    readonly beganAt = BEGAN_AT,
  ) {}

  end(reason: string): void {
    this.ends.push(reason);
  }
}

const upstream = (fields: Partial<UpstreamStatus>): UpstreamStatus => ({
  name: 'files',
  id: 'f1',
  kind: 'stdio',
  state: 'ready',
  era: 'legacy',
  revision: '2025-11-25',
  toolCount: 14,
  promptCount: 2,
  resourceCount: 1,
  ...fields,
});

interface FakeWorker {
  connections?: ClientConnection[];
  upstreams?: UpstreamStatus[];
  draining?: boolean;
  silent?: boolean;
}

function nodeOf(...workers: FakeWorker[]): NodeAdmin {
  const parts = workers.map(
    ({ connections = [], upstreams = [], draining = false }) =>
      new WorkerPart({
        counts: () => ({
          sessions: 1,
          openExchanges: 2,
          parkedCalls: 3,
          draining,
          requestCount: 4,
          errorCount: 1,
          durationUs: 5,
          failedUpstreamCount: 0,
          trial: undefined,
        }),
        status: () => upstreams,
        connections: () => [connections, []],
      }),
  );
  return new NodeAdmin({
    node: 'n',
    workerCount: workers.length,
    configuration: () => ({ content: CONFIGURATION, key: KEY, appliedAt: BEGAN_AT }),
    ask: async (query) =>
      parts.map((part, index) => (workers[index]?.silent ? undefined : structuredClone(part.answer(query)))),
  });
}

const CONFIGURATION = { secret: 'guess me' };
const KEY = new Uint8Array(32).fill(7);

describe('the status', () => {
  it('adds up what all workers have', async () => {
    const failed = upstream({ name: 'other', id: 'o', state: 'failed' });
    const node = nodeOf(
      { connections: [new FakeConnection('a')], upstreams: [upstream({}), failed] },
      { connections: [new FakeConnection('b'), new FakeConnection('c')], upstreams: [upstream({}), failed] },
    );
    expect(await node.status()).toMatchObject({
      node: 'n',
      workers: 2,
      missing_workers: [],
      draining: false,
      configuration: {
        digest: expect.stringMatching(/^[0-9a-f]{64}$/),
        applied_at: '2026-01-01T00:00:00.000Z',
      },
      counts: {
        upstreams: { total: 2, ready: 1, starting: 0, failed: 1 },
        sessions: 2,
        connections: 3,
        open_exchanges: 4,
        parked_calls: 6,
      },
    });
  });

  it('says who did not answer, and what the others said', async () => {
    const status = await nodeOf({ draining: true }, { silent: true }).status();
    expect(status).toMatchObject({ missing_workers: [1], draining: true, counts: { sessions: 1 } });
    await expect(nodeOf({ silent: true }).status()).rejects.toMatchObject({ kind: 'unavailable' });
  });
});

describe('an upstream', () => {
  const broken = upstream({
    state: 'failed',
    error: 'it ended',
    toolCount: 0,
    promptCount: 0,
    resourceCount: 0,
  });
  const node = nodeOf({ upstreams: [upstream({})] }, { upstreams: [broken] });

  it('is as bad as the worst worker finds it, and offers what it offers elsewhere', async () => {
    const expected = {
      id: 'f1',
      name: 'files',
      transport: 'stdio',
      state: 'failed',
      error: 'it ended',
      era: 'legacy',
      revision: '2025-11-25',
      tool_count: 14,
      prompt_count: 2,
      resource_count: 1,
    };
    expect(await node.upstreams()).toEqual({ upstreams: [expected], missing_workers: [] });
    for (const name of ['files', 'f1']) expect(await node.upstream(name)).toEqual(expected);
  });

  it('is shown as each worker finds it', async () => {
    expect(await node.upstreamState('files')).toEqual({
      id: 'f1',
      name: 'files',
      state: 'failed',
      error: 'it ended',
      workers: [
        { worker: 0, state: 'ready' },
        { worker: 1, state: 'failed', error: 'it ended' },
      ],
      missing_workers: [],
    });
  });

  it('that is unknown is not found, and the answer says which there are', async () => {
    const failure = { kind: 'not found', message: 'there is no upstream "x"; upstreams are files' };
    await expect(node.upstream('x')).rejects.toMatchObject(failure);
    await expect(node.upstreamState('x')).rejects.toMatchObject(failure);
    await expect(nodeOf({}).upstream('x')).rejects.toMatchObject({ message: /there are none/ });
  });

  it('is named by its name before another by its id', async () => {
    const two = nodeOf({ upstreams: [upstream({ name: 'a', id: 'b' }), upstream({ name: 'b', id: 'c' })] });
    expect(await two.upstream('b')).toMatchObject({ name: 'b', id: 'c' });
  });
});

describe('connections', () => {
  it('say who is there, as far as it has said so', async () => {
    const connection = new FakeConnection('a');
    const silent = new FakeConnection('b');
    connection.caller = {
      era: 'legacy',
      revision: '2025-06-18',
      principal: 'somebody',
      capabilities: '{}',
      clientInfo: Buffer.from(`{"name":"Käse${'x'.repeat(500)}","version":7}`).toString('latin1'),
      logLevel: undefined,
    };
    const node = nodeOf({}, { connections: [connection, silent] });
    const expected = {
      id: 'a',
      endpoint: '/mcp/a',
      transport: 'websocket',
      principal: 'somebody',
      client: { name: `Käse${'x'.repeat(196)}` },
      revision: '2025-06-18',
      since: '2026-01-01T00:00:00.000Z',
      last_used_at: '2026-01-01T00:00:05.000Z',
      open_exchanges: 2,
      worker: 1,
    };
    const { client: _, revision: __, ...unsaid } = expected;
    expect(await node.connection('a')).toEqual(expected);
    expect(await node.connections(10, undefined)).toEqual({
      connections: [expected, { ...unsaid, id: 'b' }],
      missing_workers: [],
    });
  });

  it.each(['null', '"x"', '[]', '{"name":{},"version":null}'])('stand the client info %s', async (said) => {
    const connection = new FakeConnection('a');
    connection.caller = { clientInfo: said } as Caller;
    expect(await nodeOf({ connections: [connection] }).connection('a')).not.toHaveProperty('client.name');
  });

  it.each([1, 2, 3, 7, 100])(
    'of all workers come once each, the oldest first, in pages of %i',
    async (limit) => {
      const made = Array.from(
        { length: 20 },
        (_, i) => new FakeConnection(`${i % 3}-${i}`, BEGAN_AT + (i >> 1)),
      );
      const node = nodeOf(
        ...[0, 1, 2].map((worker) => ({ connections: made.filter((_, i) => i % 3 === worker).reverse() })),
      );
      const seen: string[] = [];
      const sizes: number[] = [];
      for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
        const page = await node.connections(limit, cursor);
        seen.push(...page.connections.map(({ id }) => id));
        sizes.push(page.connections.length);
        cursor = page.next_cursor;
      }
      const inOrder = [...made].sort(
        (a, b) => a.beganAt - b.beganAt || (a.connectionId < b.connectionId ? -1 : 1),
      );
      expect(seen).toEqual(inOrder.map(({ connectionId }) => connectionId));
      expect(sizes.slice(0, -1).every((size) => size === limit)).toBe(true);
    },
  );

  it('that end between two pages take no others along', async () => {
    const made = [0, 1, 2, 3].map((i) => new FakeConnection(`${i}`, BEGAN_AT + i));
    const worker = { connections: made as ClientConnection[] };
    const first = await nodeOf(worker).connections(2, undefined);
    const second = await nodeOf({ connections: made.slice(2) }).connections(2, first.next_cursor);
    expect(second.connections.map(({ id }) => id)).toEqual(['2', '3']);
  });

  it.each(['', 'x', '!', Buffer.from('1 ').toString('base64url'), Buffer.from('x y').toString('base64url')])(
    'refuse the cursor %j',
    async (cursor) => {
      await expect(nodeOf({}).connections(10, cursor)).rejects.toMatchObject({ kind: 'invalid' });
    },
  );

  it('are ended where they are', async () => {
    const connections = [new FakeConnection('a'), new FakeConnection('b')] as const;
    const node = nodeOf({ connections: [connections[0]] }, { connections: [connections[1]] });
    await node.endConnection('b');
    expect(connections.map(({ ends }) => ends)).toEqual([[], [ENDED_BY_OPERATOR]]);
  });

  it('that nobody has are not found, unless somebody has not answered', async () => {
    for (const node of [nodeOf({}), nodeOf({}, {})]) {
      await expect(node.connection('x')).rejects.toMatchObject({ kind: 'not found' });
      await expect(node.endConnection('x')).rejects.toMatchObject({ kind: 'not found' });
    }
    const node = nodeOf({}, { silent: true });
    await expect(node.connection('x')).rejects.toMatchObject({ kind: 'unavailable', message: /worker 1/ });
    await expect(node.endConnection('x')).rejects.toMatchObject({ kind: 'unavailable' });
  });
});
