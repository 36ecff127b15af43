import type { RpcError } from '../../protocol/errors.js';
import type { Endpoint } from '../endpoint.js';

/** The worker's account of what is under way. */
export interface DuplexTraffic {
  /** Why no further request is taken; undefined when one may begin. */
  refusal(): RpcError | undefined;
  /** A message was refused before it was known what it asks for; `status` is what HTTP would say. */
  refused(status: number): void;
  began(): void;
  /** `startedAt` as `performance.now()` said; `errorCode` 0 says that there is a result. */
  ended(endpoint: Endpoint, method: string, status: number, errorCode: number, startedAt: number): void;
}
