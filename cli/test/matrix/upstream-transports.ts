import { type FixtureTransport, startFixture } from '../fixture/start.js';
import { BOTH_ERAS, type Era } from './era.js';

/** One way for the gateway to reach a server. */
export interface UpstreamTransport {
  /** As the documentation says it. */
  readonly name: string;
  /** As the fixture calls it, and part of the server's name at the gateway. */
  readonly fixture: FixtureTransport;
  /** The eras that are spoken over it. */
  readonly eras: readonly Era[];
  /** True when one connection serves all clients, whatever they are. */
  readonly isShared: boolean;
}

export const UPSTREAM_TRANSPORTS: readonly UpstreamTransport[] = [
  { name: 'streamable HTTP', fixture: 'http', eras: BOTH_ERAS, isShared: false },
  { name: 'WebSocket', fixture: 'websocket', eras: BOTH_ERAS, isShared: false },
  { name: 'a Unix socket', fixture: 'unix', eras: BOTH_ERAS, isShared: false },
  { name: 'HTTP+SSE', fixture: 'sse', eras: ['legacy'], isShared: false },
  { name: 'stdio', fixture: 'stdio', eras: BOTH_ERAS, isShared: false },
  { name: 'stdio, shared process', fixture: 'stdio', eras: ['legacy'], isShared: true },
];

/** Every client of a session has a process, and each takes part for a moment only. */
const MAX_PROCESS_COUNT = 40;

/** A fixture, and what `upstreams` says of it beside its name. */
export interface ReachableFixture {
  readonly entry: Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
}

export async function reach({ fixture, isShared }: UpstreamTransport, era: Era): Promise<ReachableFixture> {
  const { entry, stop } = await startFixture({ era, transport: fixture });
  if (fixture !== 'stdio') return { entry, stop };
  const sharing = isShared
    ? { sharing: 'shared' }
    : { sharing: 'per_session', max_processes: MAX_PROCESS_COUNT };
  return { entry: { stdio: { ...(entry.stdio as object), ...sharing } }, stop };
}
