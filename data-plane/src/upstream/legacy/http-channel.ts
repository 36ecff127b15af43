/**
 * A channel over legacy streamable HTTP (specification 2025-11-25, basic/transports): a session that the server
 * names, a POST for each message, a GET stream for what belongs to no request, and streams that are resumed.
 */

import { OpenSet } from '../../exchange/open-set.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { idKey, idKeyOf } from '../../protocol/ids.js';
import type { Span } from '../../protocol/scan.js';
import type { Channel, ChannelEvents, ChannelRequest, ChannelSink } from '../channel.js';
import type { HttpTarget } from '../http-target.js';
import { MessageReader, type MessageSink } from '../message-reader.js';
import { type OwnFields, withOwnFields } from '../own-fields.js';
import type { HttpCall } from '../transport/http.js';
import { Listening, type ListeningHost } from './http-listening.js';
import { Posting, type PostingHost } from './http-posting.js';

export class LegacyHttpChannel implements Channel, PostingHost, ListeningHost {
  sessionId: string | undefined;
  private revision = '';
  private lines = '';
  private closed = false;
  private listening: Listening | undefined;
  private readonly open = new OpenSet<Posting>();

  constructor(
    readonly options: HttpTarget,
    readonly events: ChannelEvents,
  ) {
    this.render();
  }

  request(
    text: string,
    id: string,
    token: string | undefined,
    sink: ChannelSink,
    own?: OwnFields,
  ): ChannelRequest {
    const posting = new Posting(
      this,
      this.open,
      id,
      token === undefined ? undefined : idKeyOf(token),
      sink,
      own,
    );
    posting.start(text);
    return posting;
  }

  post(text: string): void {
    const sink: MessageSink = {
      message() {},
      closed: (status) => {
        if (this.tellsLostSession(status, undefined)) this.lost();
      },
      failed() {},
    };
    this.send(
      'POST',
      text,
      '',
      false,
      new MessageReader(this.options.name, sink, this.options.maxMessageBytes),
      this.options.timeoutMs,
    );
  }

  listen(): Promise<void> | undefined {
    if (this.listening !== undefined || this.closed) return this.listening?.open;
    this.listening = new Listening(this);
    this.listening.start();
    return this.listening.open;
  }

  resume(sessionId: string): void {
    this.sessionId = sessionId;
  }

  established(revision: string): void {
    this.revision = revision;
    this.render();
  }

  close(): Promise<void> {
    if (this.closed) return Promise.resolve();
    this.closed = true;
    this.listening?.stop();
    if (this.sessionId !== undefined) this.endSession();
    const error = new RpcError(
      ErrorCode.UpstreamLost,
      `the connection to upstream ${JSON.stringify(this.options.name)} was closed before it answered; the request may have run`,
    );
    // In the middle of the handshake the server may have made a session already, whose name only its answer tells.
    const named = this.revision !== '';
    for (const posting of this.open.toArray()) posting.drop(error, named);
    return Promise.resolve();
  }

  private endSession(): void {
    const sink: MessageSink = { message() {}, closed() {}, failed() {} };
    this.options.client.send(
      {
        method: 'DELETE',
        path: this.options.path,
        headerLines: this.lines,
        body: '',
        silenceTimeoutMs: this.options.timeoutMs,
        repeatable: true,
      },
      new MessageReader(this.options.name, sink, this.options.maxMessageBytes),
    );
  }

  send(
    method: 'GET' | 'POST',
    body: string,
    extraLines: string,
    repeatable: boolean,
    reader: MessageReader,
    silenceTimeoutMs: number,
    own?: OwnFields,
  ): HttpCall {
    const lines = this.lines + extraLines;
    const call = this.options.client.send(
      {
        method,
        path: this.options.path,
        headerLines: withOwnFields(
          method === 'POST'
            ? `content-type: application/json\r\naccept: application/json, text/event-stream\r\n${lines}`
            : `accept: text/event-stream\r\n${lines}`,
          own,
        ),
        body,
        silenceTimeoutMs,
        repeatable,
      },
      reader,
    );
    reader.http = call;
    return call;
  }

  /** Progress that came on the stream for what belongs to no request is a sign of life all the same. */
  progressed(bytes: Buffer, token: Span): void {
    const key = idKey(bytes, token);
    for (const posting of this.open.toArray()) if (posting.token === key) posting.lives();
  }

  /** The session id comes with the answer to `initialize`. */
  learn(headers: Readonly<Record<string, string | undefined>>): void {
    const id = headers['mcp-session-id'];
    if (id === undefined || this.sessionId !== undefined || this.revision !== '') return;
    // Visible ASCII only (2025-03-26, transports, "Session Management"); anything else could break a header.
    if (!/^[\x21-\x7e]{1,1024}$/.test(id)) return;
    // A copy: a part of the head would keep the whole head as long as the session.
    this.sessionId = Buffer.from(id, 'latin1').latin1Slice();
    this.render();
    if (this.closed) this.endSession();
  }

  /**
   * 404 says that the session is gone. Servers built on the SDK's example answer 400 with a JSON-RPC
   * error that speaks of the session.
   */
  tellsLostSession(status: number, error: string | undefined): boolean {
    if (this.sessionId === undefined) return false;
    return status === 404 || (status === 400 && error !== undefined && /session/i.test(error));
  }

  lost(): void {
    if (this.closed) return;
    this.closed = true;
    this.listening?.stop();
    this.events.lost('the upstream does not know the session any more');
  }

  get isClosed(): boolean {
    return this.closed;
  }

  /** The handshake is over. */
  get isEstablished(): boolean {
    return this.revision !== '';
  }

  private render(): void {
    let lines = this.options.headerLines;
    if (this.sessionId !== undefined) lines += `mcp-session-id: ${this.sessionId}\r\n`;
    // The header exists from 2025-06-18 on.
    if (this.revision >= '2025-06-18') lines += `mcp-protocol-version: ${this.revision}\r\n`;
    this.lines = lines;
  }
}
