import { create, ListConnectionsSchema } from '@sluice/proto/cluster';
import { expect, it } from 'vitest';
import type { ConnectionFacts } from '../admin/worker-part.js';
import { connectionList, connectionQuery } from './connection-list.js';

const fact = (id: string, beganAt: number): ConnectionFacts => ({
  id,
  endpoint: '/mcp',
  transport: 'http',
  principal: 'ann',
  clientName: undefined,
  clientVersion: undefined,
  revision: '2025-11-25',
  beganAt,
  lastUsedAt: beganAt + 1,
  openExchangeCount: 2,
});
const asked = (limit: number, cursor = '') => create(ListConnectionsSchema, { request: 'r', limit, cursor });

it('brings those of all workers into one order, and goes on where a page ended', () => {
  const workers = [
    [fact('b', 2), fact('d', 3)],
    [fact('a', 2), fact('c', 3)],
  ];
  const first = connectionList(workers, asked(3));
  expect(first).toMatchObject({ request: 'r', nextCursor: '3 c' });
  expect(first.connections.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  expect(first.connections[0]).toMatchObject({
    clientName: '',
    began: { nanos: 2_000_000 },
    openExchanges: 2,
  });
  expect(connectionQuery(asked(3, first.nextCursor))).toEqual({
    what: 'connections',
    after: { beganAt: 3, id: 'c' },
    limit: 4,
  });
  expect(connectionList(workers, asked(4)).nextCursor).toBe('');
});

it('begins at the beginning for what no list had, and never says more than a page', () => {
  expect(connectionQuery(asked(0, 'nonsense'))).toMatchObject({ after: undefined, limit: 2 });
  expect(connectionQuery(asked(4_000_000_000)).limit).toBe(1_001);
});
