import { ErrorCode, RpcError } from '../protocol/errors.js';
import type { WorkerAddress } from './node-bus.js';

/**
 * The call that a retry belongs to is parked at another worker, and the request belongs there. Where nobody hands it
 * over, it is the error of a `requestState` whose call is gone.
 */
export class ParkedElsewhere extends RpcError {
  constructor(
    readonly worker: WorkerAddress,
    message: string,
  ) {
    super(ErrorCode.InvalidParams, message);
  }
}
