/** The requests of one client that are under way, by id: ids that are in use, how many there may be, and cancelling. */
import type { Cancellation } from '../exchange/exchange.js';
import { SparseMap } from '../exchange/sparse-map.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { idKey, idKeyOf } from '../protocol/ids.js';
import type { Span } from '../protocol/scan.js';
import type { Message } from '../protocol/translate.js';

/** Requests of one client under way. */
const MAX_OPEN_REQUEST_COUNT = 1_000;

export interface OpenRequest {
  readonly method: string;
  readonly cancellation: Cancellation;
}

export class OpenRequests<Request extends OpenRequest> {
  private readonly byId = new SparseMap<string, Request>();

  get size(): number {
    return this.byId.size;
  }

  /** Why a request of this id cannot begin; undefined when it can. */
  refusal(id: string): RpcError | undefined {
    if (this.byId.has(id)) {
      return new RpcError(
        ErrorCode.InvalidRequest,
        `the id ${id} is that of a request under way; every request needs an id of its own`,
      );
    }
    if (this.byId.size < MAX_OPEN_REQUEST_COUNT) return undefined;
    return new RpcError(
      ErrorCode.Overloaded,
      `this session has ${MAX_OPEN_REQUEST_COUNT} requests under way, as many as it may`,
    );
  }

  /** `id` is that of {@link idOf}. */
  add(id: string, request: Request): void {
    this.byId.set(id, request);
  }

  /** The request of an id that is JSON text, however it is spelled. */
  get(id: string): Request | undefined {
    return this.byId.get(idKeyOf(id));
  }

  /** Forgets a request; false when the id is not, or no longer, that of this request. */
  delete(id: string, request: Request): boolean {
    return this.byId.get(id) === request && this.byId.delete(id);
  }

  /** Cancels what a `notifications/cancelled` names; undefined when no such request is under way. */
  cancel({ bytes, envelope }: Message): Request | undefined {
    if (envelope.requestId === undefined) return undefined;
    const request = this.byId.get(idKey(bytes, envelope.requestId));
    // `initialize` is never cancelled (2025-11-25, basic/utilities/cancellation, "Behavior Requirements").
    if (request === undefined || request.method === 'initialize') return undefined;
    request.cancellation.cancel();
    return request;
  }

  /** Ids and requests now, the oldest first; safe to change the table meanwhile. */
  toArray(): [string, Request][] {
    return [...this.byId];
  }

  clear(): void {
    this.byId.clear();
  }
}

/** The id of a request as these tables know it. */
export function idOf({ bytes, envelope }: Message): string {
  return idKey(bytes, envelope.id as Span);
}
