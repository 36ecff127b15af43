import { describe, expect, it } from 'vitest';
import { RouteTable } from './table.js';

const DIRECT = new Map([
  ['files', 'the files'],
  ['time', 'the time'],
]);
const plain = new RouteTable('all', DIRECT, undefined);
const withDefault = new RouteTable('all', DIRECT, 'the time');

describe('a table with a default upstream, and one without', () => {
  it.each([
    ['/mcp', 'all'],
    ['/mcp/', 'all'],
    ['/mcp/files', 'the files'],
    ['/mcp/files/', 'the files'],
  ])('lead %s to %s', (path, endpoint) => {
    expect([plain.find(path), withDefault.find(path)]).toEqual([endpoint, endpoint]);
  });
});

it.each(['/', '/mcp/nobody', '/mcp/files/below', '/mcpx', '/api/v1/mcp', '/healthy', '/sses', '/FILES', ''])(
  'the default upstream takes %j, which nothing else has',
  (path) => {
    expect(withDefault.find(path)).toBe('the time');
    expect(plain.find(path)).toBeUndefined();
  },
);

it.each([
  ['/health', '/live', '/liveness', '/ready', '/readiness', '/metrics'],
  ['/sse', '/sse/files', '/messages', '/messages/files'],
  ['/.well-known/oauth-protected-resource'],
])("what the gateway keeps for itself is nobody else's: %s", (...paths) => {
  for (const path of paths) expect(withDefault.find(path), path).toBeUndefined();
});
