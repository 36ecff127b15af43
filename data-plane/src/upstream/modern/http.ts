/**
 * A modern upstream over streamable HTTP (specification 2026-07-28, basic/transports/streamable-http): every
 * request is a POST of its own, and closing its stream cancels it.
 */
import type { Cancellable } from '../../exchange/exchange.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { isId } from '../../protocol/ids.js';
import { MODERN_REVISION } from '../../protocol/revisions.js';
import type { Envelope } from '../../protocol/scan.js';
import { splice } from '../../protocol/text.js';
import { withId } from '../../protocol/translate.js';
import { cancelledError, EraMismatch, idOf, type UpstreamCall, type UpstreamReply } from '../call.js';
import type { HttpTarget } from '../http-target.js';
import { MessageReader, type MessageSink, statusToError } from '../message-reader.js';
import { withOwnFields } from '../own-fields.js';
import { errorOf } from '../own-request.js';
import type { HttpCall } from '../transport/http.js';

export class ModernHttp {
  private readonly fixedLines: string;

  constructor(private readonly target: HttpTarget) {
    this.fixedLines =
      'content-type: application/json\r\naccept: application/json, text/event-stream\r\n' +
      `mcp-protocol-version: ${MODERN_REVISION}\r\n${target.headerLines}mcp-method: `;
  }

  /** Resolves with the response; rejects with an RpcError. Notifications go to the call as they come. */
  call(call: UpstreamCall): Promise<UpstreamReply> {
    return new Promise((resolve, reject) =>
      this.send(call, new Reading(this.target.name, call, resolve, reject)),
    );
  }

  private send(call: UpstreamCall, reading: Reading): void {
    const { target } = this;
    const reader = new MessageReader(target.name, reading, target.maxMessageBytes);
    reader.http = target.client.send(
      {
        method: 'POST',
        path: target.path,
        headerLines: withOwnFields(
          `${this.fixedLines}${call.method}\r\n${call.headerLines}`,
          call.ownHeaders,
        ),
        body: splice(call.bytes, call.envelope, call.edits),
        silenceTimeoutMs: call.method === 'subscriptions/listen' ? 0 : target.timeoutMs,
        repeatable: call.row?.repeatable ?? false,
      },
      reader,
    );
    reading.http = reader.http;
    call.cancellation.onCancel(reading);
  }

  /** Sends a notification and forgets it. */
  notify(method: string, text: string): void {
    const sink: MessageSink = { message() {}, closed() {}, failed() {} };
    this.target.client.send(
      {
        method: 'POST',
        path: this.target.path,
        headerLines: `${this.fixedLines}${method}\r\n`,
        body: text,
        silenceTimeoutMs: this.target.timeoutMs,
        repeatable: false,
      },
      new MessageReader(this.target.name, sink, this.target.maxMessageBytes),
    );
  }
}

/** Statuses with which a server of the other era refuses (streamable HTTP, "Backward Compatibility"). */
const NOT_MODERN_STATUSES = new Set([400, 404, 405, 406, 415]);
/** Errors that only a server of this era gives, whatever id it read. */
const MODERN_ERRORS: ReadonlySet<number> = new Set([
  ErrorCode.HeaderMismatch,
  ErrorCode.MissingClientCapability,
  ErrorCode.UnsupportedProtocolVersion,
]);
/** What legacy servers answer to a request without a session, beside an id that is not the request's. */
const NO_SESSION_ERROR = -32000;

/** One call that waits for its response. */
class Reading implements MessageSink, Cancellable {
  http: HttpCall | undefined = undefined;
  private settled = false;
  private status = 0;

  constructor(
    private readonly upstream: string,
    private readonly call: UpstreamCall,
    private readonly resolve: (reply: UpstreamReply) => void,
    private readonly reject: (error: RpcError) => void,
  ) {}

  head(status: number): void {
    this.status = status;
  }

  message(bytes: Buffer, envelope: Envelope): void {
    if (this.settled || this.call.cancellation.cancelled) return;
    if (envelope.kind === 'notification') {
      this.call.onNotification(bytes, envelope);
      return;
    }
    const isOwn = envelope.id !== undefined && isId(bytes, envelope.id, idOf(this.call));
    this.settled = true;
    if (envelope.kind === 'error' && this.isOfOtherEra(envelope.errorCode, isOwn)) {
      this.reject(
        new EraMismatch(
          `upstream ${JSON.stringify(this.upstream)} refused a request of ${MODERN_REVISION} (HTTP ${this.status})`,
          errorOf({ bytes, envelope }),
        ),
      );
    } else if (isOwn) this.resolve({ bytes, envelope });
    // An error whose id the server could not read still answers the one request of this POST.
    else if (envelope.kind !== 'request' && envelope.id === undefined)
      this.resolve(withId({ bytes, envelope }, idOf(this.call)));
    else {
      this.reject(
        new RpcError(
          ErrorCode.UpstreamBadAnswer,
          `upstream ${JSON.stringify(this.upstream)} ${envelope.kind === 'request' ? 'sent a request, which 2026-07-28 does not allow' : 'answered another id than was asked'}`,
        ),
      );
    }
  }

  /** A legacy server looks for a session first: it refuses before it has read which request it was. */
  private isOfOtherEra(errorCode: number, isOwn: boolean): boolean {
    return (
      NOT_MODERN_STATUSES.has(this.status) &&
      !MODERN_ERRORS.has(errorCode) &&
      (!isOwn || errorCode === NO_SESSION_ERROR)
    );
  }

  closed(status: number): void {
    if (!this.settled) {
      const error = statusToError(this.upstream, status);
      this.reject(NOT_MODERN_STATUSES.has(status) ? new EraMismatch(error.message) : error);
    }
    this.settled = true;
  }

  failed(error: RpcError): void {
    if (!this.settled) this.reject(error);
    this.settled = true;
  }

  /** Closing the stream is the cancellation ("Cancellation"). */
  cancel(): void {
    this.http?.abort();
    this.failed(cancelledError());
  }
}
