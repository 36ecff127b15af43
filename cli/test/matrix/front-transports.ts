import type { ConnectOptions } from '../stories/official-client.js';
import { BOTH_ERAS, type Era } from './era.js';

/** One way for a client to reach the gateway. */
export interface FrontTransport {
  /** As the documentation says it. */
  readonly name: string;
  /** The eras that are spoken over it. */
  readonly eras: readonly Era[];
  /** How the official client of this era moves its bytes; undefined leaves that to it (streamable HTTP). */
  transport(era: Era, url: string): ConnectOptions['transport'];
}

export const FRONT_TRANSPORTS: readonly FrontTransport[] = [
  { name: 'streamable HTTP', eras: BOTH_ERAS, transport: () => undefined },
];
