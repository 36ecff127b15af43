import { RpcError } from '../protocol/errors.js';
import { scanMessage } from '../protocol/scan.js';
import type { Channel, ChannelEvents, ChannelRequest, ChannelSink } from './channel.js';

/** One request that went over a scripted channel. */
export class ScriptedRequest implements ChannelRequest {
  aborted = false;
  patient = false;

  constructor(
    readonly text: string,
    private readonly sink: ChannelSink,
  ) {}

  get message(): { id: unknown; method: string; params: Record<string, unknown> } {
    return JSON.parse(Buffer.from(this.text, 'latin1').toString());
  }

  /** Answers under the request's own id. */
  answer(outcome: object): void {
    this.send({ id: this.message.id, ...outcome });
  }

  /** Says something on the request's own stream. */
  send(message: object): void {
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
    this.sink.message(bytes, scanMessage(bytes));
  }

  fail(error = new RpcError(-1, 'broken')): void {
    this.sink.failed(error);
  }

  abort(): void {
    this.aborted = true;
  }

  waitPatiently(patiently = true): void {
    this.patient = patiently;
  }
}

/** A channel whose other end a test plays by hand. */
export class ScriptedChannel implements Channel {
  readonly requests: ScriptedRequest[] = [];
  readonly posts: string[] = [];
  listenCount = 0;
  /** Open at once, unless it is something to wait for. */
  stream: Promise<void> | undefined;
  closed = false;

  constructor(readonly events: ChannelEvents) {}

  get last(): ScriptedRequest {
    return this.requests.at(-1) as ScriptedRequest;
  }

  /** Says something that belongs to no request. */
  say(message: object): void {
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
    this.events.message(bytes, scanMessage(bytes));
  }

  request(text: string, _id: string, _token: string | undefined, sink: ChannelSink): ChannelRequest {
    const request = new ScriptedRequest(text, sink);
    this.requests.push(request);
    return request;
  }

  post(text: string): void {
    this.posts.push(text);
  }

  listen(): Promise<void> | undefined {
    this.listenCount++;
    return this.stream;
  }

  established(): void {}

  close(): Promise<void> {
    this.closed = true;
    for (const request of this.requests) request.fail(new RpcError(-1, 'closed'));
    return Promise.resolve();
  }
}

/** What `initialize` answers. */
export const WELCOME = {
  result: {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {}, resources: { subscribe: true }, logging: {} },
    serverInfo: { name: 'scripted', version: '1' },
  },
};

export const settled = () => new Promise((resolve) => setImmediate(resolve));
