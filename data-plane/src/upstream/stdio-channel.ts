/** A channel over the pipes of a subprocess (basic/transports/stdio): one message a line, all on one stream. */
import { rethrowLater } from '../exchange/rethrow-later.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { idKey, idKeyOf } from '../protocol/ids.js';
import { type Envelope, ScanError, type Span, scanMessage } from '../protocol/scan.js';
import type { Channel, ChannelEvents, ChannelRequest, ChannelSink } from './channel.js';
import type { SpawnStdio, StdioCommand, StdioLimits, StdioProcess } from './transport/stdio.js';

/** How often calls that wait are checked for silence; a timeout is late by at most this. */
const SILENCE_CHECK_MS = 250;
/** Lines that are not JSON-RPC before the first one that is, after which a child is taken for one that speaks no MCP. */
const MAX_BAD_LINE_COUNT = 100;

export interface StdioChannelOptions {
  readonly name: string;
  readonly command: StdioCommand;
  readonly limits: StdioLimits;
  readonly timeoutMs: number;
  readonly spawn: SpawnStdio;
  /** Called with each line of the child's stderr. */
  readonly stderr: (line: string) => void;
}

interface Waiting {
  readonly sink: ChannelSink;
  readonly token: string | undefined;
  deadline: number;
}

export class StdioChannel implements Channel {
  private readonly process: StdioProcess;
  private readonly waiting = new Map<string, Waiting>();
  private readonly timer: NodeJS.Timeout;
  private badLineCount = 0;
  private speaksMcp = false;
  private ended = false;

  constructor(
    private readonly options: StdioChannelOptions,
    private readonly events: ChannelEvents,
  ) {
    this.process = options.spawn(options.command, options.limits, {
      line: (line) => this.line(line),
      stderr: options.stderr,
      exit: (reason) => this.exited(reason),
    });
    this.timer = setInterval(() => this.checkSilence(), SILENCE_CHECK_MS);
    this.timer.unref();
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  request(text: string, id: string, token: string | undefined, sink: ChannelSink): ChannelRequest {
    if (this.ended || !this.process.write(text)) {
      const why = this.ended ? 'has ended' : 'does not read what it is sent';
      sink.failed(
        new RpcError(
          ErrorCode.UpstreamUnavailable,
          `the process of upstream ${JSON.stringify(this.options.name)} ${why}; the request was not sent`,
        ),
      );
      return { abort() {}, waitPatiently() {} };
    }
    const waiting: Waiting = {
      sink,
      token: token === undefined ? undefined : idKeyOf(token),
      deadline: Date.now() + this.options.timeoutMs,
    };
    const key = idKeyOf(id);
    this.waiting.set(key, waiting);
    return {
      waitPatiently: (patiently = true) => {
        waiting.deadline = patiently ? Number.POSITIVE_INFINITY : Date.now() + this.options.timeoutMs;
      },
      abort: () => {
        if (!this.waiting.delete(key)) return;
        this.cancel(id, 'the client does not wait any more');
      },
    };
  }

  post(text: string): void {
    if (!this.ended) this.process.write(text);
  }

  listen(): void {}

  established(): void {}

  close(): Promise<void> {
    this.ended = true;
    clearInterval(this.timer);
    this.failAll('was stopped');
    return this.process.stop();
  }

  /** What a callee throws costs one message, not the process and everybody who shares it. */
  private line(line: Buffer): void {
    try {
      this.take(line);
    } catch (thrown) {
      rethrowLater(thrown);
    }
  }

  private take(line: Buffer): void {
    if (line.length === 0) return;
    let envelope: Envelope;
    try {
      envelope = scanMessage(line);
    } catch (thrown) {
      if (!(thrown instanceof ScanError)) throw thrown;
      this.badLine(thrown);
      return;
    }
    this.speaksMcp = true;
    if (envelope.kind === 'result' || envelope.kind === 'error') this.response(line, envelope);
    else {
      if (envelope.progressToken !== undefined) this.signOfLife(line, envelope.progressToken);
      this.events.message(line, envelope);
    }
  }

  private response(line: Buffer, envelope: Envelope): void {
    const id = envelope.id === undefined ? undefined : idKey(line, envelope.id);
    const waiting = id === undefined ? undefined : this.waiting.get(id);
    if (waiting === undefined) return;
    this.waiting.delete(id as string);
    waiting.sink.message(line, envelope);
  }

  /** Half an answer costs the one call that waits; with several nobody can tell whose it was. */
  private badLine(fault: ScanError): void {
    this.options.stderr(`not JSON-RPC on stdout: ${fault.message}`);
    if (fault.id !== undefined) {
      const waiting = this.waiting.get(fault.id);
      if (waiting !== undefined) {
        this.waiting.delete(fault.id);
        waiting.sink.failed(
          new RpcError(
            ErrorCode.UpstreamBadAnswer,
            `upstream ${JSON.stringify(this.options.name)} sent a message that is not JSON-RPC`,
          ),
        );
      }
    }
    // Many servers log to stdout now and then; whoever speaks MCP may.
    if (!this.speaksMcp && ++this.badLineCount === MAX_BAD_LINE_COUNT) {
      this.exited(`wrote ${MAX_BAD_LINE_COUNT} lines to stdout that are not JSON-RPC`);
      void this.process.stop();
    }
  }

  private signOfLife(line: Buffer, token: Span): void {
    const text = idKey(line, token);
    for (const waiting of this.waiting.values()) {
      if (waiting.token === text && waiting.deadline !== Number.POSITIVE_INFINITY)
        waiting.deadline = Date.now() + this.options.timeoutMs;
    }
  }

  private checkSilence(): void {
    const now = Date.now();
    for (const [id, waiting] of this.waiting) {
      if (waiting.deadline > now) continue;
      this.waiting.delete(id);
      this.cancel(id, 'no sign of life in time');
      waiting.sink.failed(
        new RpcError(
          ErrorCode.UpstreamTimeout,
          `upstream ${JSON.stringify(this.options.name)} did not answer in time; the request may have run`,
        ),
      );
    }
  }

  private cancel(id: string, reason: string): void {
    this.post(
      `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id},"reason":${JSON.stringify(reason)}}}`,
    );
  }

  private exited(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.timer);
    this.failAll(reason);
    this.events.lost(reason);
  }

  private failAll(reason: string): void {
    const error = new RpcError(
      ErrorCode.UpstreamLost,
      `the process of upstream ${JSON.stringify(this.options.name)} ended before it answered; the request may have run`,
      undefined,
      { cause: new Error(reason) },
    );
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { sink } of waiting) sink.failed(error);
  }
}
