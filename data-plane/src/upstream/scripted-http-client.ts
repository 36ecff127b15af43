import type {
  HttpCall,
  HttpClient,
  HttpFailure,
  HttpRequest,
  HttpResponseHandler,
} from './transport/http.js';

/** One request that reached the scripted upstream, and the ways in which it can be answered. */
export class ScriptedCall implements HttpCall {
  aborted = false;
  patient = false;
  /** How often the time for a sign of life began anew. */
  lifeCount = 0;

  constructor(
    readonly request: HttpRequest,
    private readonly handler: HttpResponseHandler,
  ) {}

  /** The message that was posted. */
  get body(): { id?: unknown; method?: string; params?: Record<string, unknown>; result?: unknown } {
    return JSON.parse(Buffer.from(this.request.body, 'latin1').toString());
  }

  json(message: object, status = 200, headers: Record<string, string> = {}): void {
    this.handler.head(status, { 'content-type': 'application/json', ...headers });
    this.handler.data(Buffer.from(JSON.stringify(message)));
    this.handler.end();
  }

  /** Begins a stream of server-sent events with this text. */
  stream(text: string, headers: Record<string, string> = {}): void {
    this.handler.head(200, { 'content-type': 'text/event-stream', ...headers });
    this.more(text);
  }

  more(text: string): void {
    this.handler.data(Buffer.from(text));
  }

  end(): void {
    this.handler.end();
  }

  status(status: number): void {
    this.handler.head(status, {});
    this.handler.end();
  }

  fail(failure: HttpFailure): void {
    this.handler.error(failure);
  }

  abort(): void {
    this.aborted = true;
  }

  waitPatiently(patiently = true): void {
    this.patient = patiently;
    if (!patiently) this.lifeCount++;
  }
}

/** An HTTP client whose requests a test answers by hand. */
export class ScriptedHttpClient implements HttpClient {
  readonly calls: ScriptedCall[] = [];
  readonly socketCount = 0;

  send(request: HttpRequest, handler: HttpResponseHandler): HttpCall {
    const call = new ScriptedCall(request, handler);
    this.calls.push(call);
    return call;
  }

  close(): void {}

  /** The newest request. */
  get last(): ScriptedCall {
    return this.calls.at(-1) as ScriptedCall;
  }
}

export function event(message: object, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(message)}\n\n`;
}
