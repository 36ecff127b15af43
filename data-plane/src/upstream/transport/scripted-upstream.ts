import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { EgressPolicy } from './egress-policy.js';
import type { HttpCall, HttpClient, HttpFailure, HttpOrigin, HttpRequest } from './http.js';
import { createHttpClient, type HttpClientOptions } from './http1-client.js';

/** Called with each whole request that arrives. */
export type Script = (socket: Socket, request: string, connectionNumber: number) => void;

export const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}';

/** An upstream for tests that answers byte for byte as told. */
export class ScriptedUpstream {
  /** Every connection that was ever accepted, in order. */
  readonly sockets: Socket[] = [];
  readonly requests: string[] = [];
  private readonly server: Server;
  private readonly clients: HttpClient[] = [];

  private constructor(private readonly script: Script) {
    this.server = createServer({ noDelay: true }, (socket) => this.accept(socket));
  }

  static async start(script: Script, listenPath?: string): Promise<ScriptedUpstream> {
    const upstream = new ScriptedUpstream(script);
    await new Promise<void>((resolve) => {
      if (listenPath === undefined) upstream.server.listen(0, '127.0.0.1', resolve);
      else upstream.server.listen(listenPath, resolve);
    });
    return upstream;
  }

  get origin(): HttpOrigin {
    const address = this.server.address() as AddressInfo | string;
    return typeof address === 'string'
      ? { protocol: 'unix:', hostname: '', port: 0, socketPath: address }
      : { protocol: 'http:', hostname: '127.0.0.1', port: address.port };
  }

  get openSocketCount(): number {
    return this.sockets.filter((socket) => !socket.destroyed).length;
  }

  client(options: Partial<HttpClientOptions> = {}): HttpClient {
    const client = createHttpClient(this.origin, {
      maxConnectionCount: 8,
      connectTimeoutMs: 5_000,
      policy: new EgressPolicy([], []),
      ...options,
    });
    this.clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private accept(socket: Socket): void {
    const number = this.sockets.push(socket);
    let received = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      for (;;) {
        const headEnd = received.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
        if (headEnd < 0 || received.length < headEnd + 4 + length) return;
        const request = received.slice(0, headEnd + 4 + length);
        received = received.slice(request.length);
        this.requests.push(request);
        this.script(socket, request, number);
      }
    });
  }
}

/** What a handler was told. */
interface Answer {
  status: number | undefined;
  headers: Record<string, string | undefined>;
  body: string;
  failure: HttpFailure | undefined;
  /** The names of the calls, each name once for calls in a row. */
  order: string[];
}

export interface Exchange {
  readonly call: HttpCall;
  readonly answer: Answer;
  /** Resolves at the end or the error. */
  readonly done: Promise<Answer>;
}

const REQUEST: HttpRequest = {
  method: 'POST',
  path: '/mcp',
  headerLines: 'Content-Type: application/json\r\n',
  body: '{"jsonrpc":"2.0"}',
  silenceTimeoutMs: 0,
  repeatable: false,
};

/** Sends a request and notes what comes back. */
export function exchange(client: HttpClient, request: Partial<HttpRequest> = {}): Exchange {
  const answer: Answer = { status: undefined, headers: {}, body: '', failure: undefined, order: [] };
  const note = (name: string): void => {
    if (answer.order.at(-1) !== name) answer.order.push(name);
  };
  let call: HttpCall | undefined;
  const done = new Promise<Answer>((resolve) => {
    call = client.send(
      { ...REQUEST, ...request },
      {
        head(status, headers) {
          note('head');
          answer.status = status;
          answer.headers = { ...headers };
        },
        data(chunk) {
          note('data');
          answer.body += Buffer.from(chunk).toString('latin1');
        },
        end() {
          note('end');
          resolve(answer);
        },
        error(failure) {
          note('error');
          answer.failure = failure;
          resolve(answer);
        },
      },
    );
  });
  return { call: call as HttpCall, answer, done };
}
