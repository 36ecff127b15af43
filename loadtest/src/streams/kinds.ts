import type { Era } from '../mcp-request.js';
import { UPSTREAM_NAME } from '../relays/relay.js';

/** One way in which a client can hold a stream on which nothing happens. */
export interface StreamKind {
  id: string;
  title: string;
  /** What the client speaks: `subscriptions/listen` in the modern era, a session with a GET stream in the legacy one. */
  client: Era;
  /** What the server behind the gateway speaks. */
  upstream: Era;
  path: string;
  /** What one stream costs the gateway: the client's socket, and where the client has a session there, the server's. */
  descriptorsPerStream: 1 | 2;
}

const MERGED = '/mcp';

/** All kinds, in the order of the report. */
export const STREAM_KINDS: readonly StreamKind[] = [
  {
    id: 'stream-modern-merged',
    title: '`subscriptions/listen` on `/mcp`',
    client: 'modern',
    upstream: 'modern',
    path: MERGED,
    descriptorsPerStream: 1,
  },
  {
    id: 'stream-legacy-merged-modern',
    title: 'session and GET on `/mcp`',
    client: 'legacy',
    upstream: 'modern',
    path: MERGED,
    descriptorsPerStream: 1,
  },
  {
    id: 'stream-legacy-merged-legacy',
    title: 'session and GET on `/mcp`',
    client: 'legacy',
    upstream: 'legacy',
    path: MERGED,
    descriptorsPerStream: 1,
  },
  {
    id: 'stream-legacy-upstream-legacy',
    title: 'session and GET on `/mcp/{upstream}`, each with its own there',
    client: 'legacy',
    upstream: 'legacy',
    path: `${MERGED}/${UPSTREAM_NAME}`,
    descriptorsPerStream: 2,
  },
];
