import type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_listen_socket,
  us_socket_context_t,
  WebSocketBehavior,
} from 'uWebSockets.js';
import { admit } from './admission.js';
import { askWithoutBody, BodyIntake, type Pace } from './body-intake.js';
import { readCertificate } from './certificate.js';
import { AMBIGUOUS, asksToClose, bodyFraming, CHUNKED, type FieldSection } from './fields.js';
import { listenError, tryPort } from './listen-error.js';
import type {
  Door,
  Listener,
  ListenerLimits,
  ListenerOptions,
  ListenerTls,
  RequestHead,
  SocketHandler,
} from './listener.js';
import { ListenerHost } from './listener-host.js';
import { askForSocket, asksForWebSocket } from './upgrade.js';
import { UwsFieldReader, UwsRequestHead } from './uws-head.js';
import { uwsHeadBufferBytes } from './uws-load.js';
import { UwsReply } from './uws-reply.js';
import { UwsSocket, type UwsSocketData } from './uws-socket.js';
import { UwsTurn } from './uws-turn.js';

/** uWebSockets.js cuts a request with 99 header fields after 10 s; one more than the limit must get its 431. */
const MOST_HEADER_COUNT = 97;

/** What a head has beside its target, names and values: method, version, and separators for each field. */
const HEAD_OVERHEAD_BYTES = 256;
const FIELD_OVERHEAD_BYTES = 6;

/** uWebSockets.js cuts a body that brings fewer bytes in 8 to 12 s, without an answer: ours has to be earlier. */
const PACE: Pace = { bytes: 160 * 1024, ms: 7_500 };

/**
 * An app takes part in a port (SO_REUSEPORT). To have it alone it would have to do without SO_REUSEADDR, and the
 * port would stay taken for a minute after the listener was closed; a second app for a new certificate would not
 * fit beside it either. So whether the port is free is found out before.
 */
const TAKE_PART = 0;

/** Messages somewhat beyond the limit are read, so that they can be refused with a reason. */
const NATIVE_PAYLOAD_FACTOR = 2;

const nothing = (): void => undefined;

type Uws = typeof import('uWebSockets.js');

/** One native app. A new certificate needs a new one. */
interface NativeApp {
  readonly app: TemplatedApp;
  listenSocket: us_listen_socket | undefined;
  connectionCount: number;
}

/** Makes a listener over uWebSockets.js. Rejects when the certificate is bad or a limit is beyond its buffers. */
export async function createUwsListener(uws: Uws, options: ListenerOptions, door: Door): Promise<Listener> {
  checkLimits(options.limits);
  if (options.tls !== undefined) await readCertificate(options.tls);
  return new UwsListener(uws, options, door);
}

class UwsListener extends ListenerHost implements Listener {
  readonly kind = 'uws';
  #apps: NativeApp[];
  #port: number;
  #connectionCount = 0;
  #closed = false;
  readonly #fields = new UwsFieldReader();
  readonly #turn: UwsTurn;

  constructor(
    private readonly uws: Uws,
    options: ListenerOptions,
    door: Door,
  ) {
    super(options, door);
    this.#port = options.port;
    this.#turn = new UwsTurn((error) => this.fault(error));
    this.#apps = [this.#createApp()];
  }

  get connectionCount(): number {
    return this.#connectionCount;
  }

  async listen(): Promise<number> {
    const { sharedPort } = this.options;
    // Port 0 cannot be shared afterwards, so a free one is looked for first.
    if (this.#port === 0 || !sharedPort) this.#port = await this.#findPort();
    const [native] = this.#apps as [NativeApp];
    const socket = await this.#open(native.app);
    native.listenSocket = socket;
    this.#port = this.uws.us_socket_local_port(socket);
    return this.#port;
  }

  setLimits(limits: ListenerLimits): void {
    this.limits = limits;
  }

  async reloadTls(): Promise<void> {
    const { tls } = this.options;
    if (tls === undefined || this.draining || this.#closed) return;
    await readCertificate(tls);
    const next = this.#createApp();
    const before = this.#apps[0] as NativeApp;
    if (before.listenSocket !== undefined) {
      next.listenSocket = await this.#open(next.app);
      this.#stopListening(before);
    }
    // An app whose last connection has gone is let go of; the others are closed with the listener.
    this.#apps = [next, ...this.#apps.filter((native) => native.connectionCount > 0)];
  }

  drain(): void {
    this.draining = true;
    for (const native of this.#apps) this.#stopListening(native);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.draining = true;
    // The door may close the listener from inside a request, where the parser still holds the connection.
    await new Promise((resolve) => setImmediate(resolve));
    for (const native of this.#apps) {
      native.listenSocket = undefined;
      native.app.close();
    }
  }

  #createApp(): NativeApp {
    const { tls } = this.options;
    const app = tls === undefined ? this.uws.App() : this.#createTlsApp(tls);
    const native: NativeApp = { app, listenSocket: undefined, connectionCount: 0 };
    app.filter((res, change) => this.#countConnection(native, res, Number(change)));
    if (this.door.upgrade !== undefined) app.ws('/*', this.#socketBehavior(native));
    app.any('/*', this.#accept);
    return native;
  }

  #createTlsApp(tls: ListenerTls): TemplatedApp {
    return this.uws.SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile });
  }

  async #findPort(): Promise<number> {
    const { host } = this.options;
    try {
      return await tryPort(host, this.#port);
    } catch (cause) {
      throw listenError(host, this.#port, cause);
    }
  }

  async #open(app: TemplatedApp): Promise<us_listen_socket> {
    const { host } = this.options;
    const socket = await new Promise<us_listen_socket | false>((resolve) => {
      listenWithOptions(app, host, this.#port, TAKE_PART, resolve);
    });
    if (socket !== false) return socket;
    // It does not say why; the same attempt with node:net does.
    const cause = await tryPort(host, this.#port).then(nothing, (error: unknown) => error);
    throw listenError(host, this.#port, cause);
  }

  #stopListening(native: NativeApp): void {
    if (native.listenSocket === undefined) return;
    this.uws.us_listen_socket_close(native.listenSocket);
    native.listenSocket = undefined;
  }

  #countConnection(native: NativeApp, res: HttpResponse | undefined, change: number): void {
    this.#connectionCount += change;
    native.connectionCount += change;
    if (change > 0 && this.#connectionCount > this.limits.maxConnectionCount) res?.close();
  }

  #socketBehavior(native: NativeApp): WebSocketBehavior<UwsSocketData> {
    return {
      // Its own answer to what is longer is to drop the connection without a word.
      maxPayloadLength: NATIVE_PAYLOAD_FACTOR * this.limits.maxMessageBytes,
      // Without a bound: the sum of what waits is looked at before each message.
      maxBackpressure: 0,
      // Silence is looked after by the heartbeat.
      idleTimeout: 0,
      sendPingsAutomatically: false,
      maxLifetime: 0,
      upgrade: (res, req, context) => this.#acceptUpgrade(res, req, context),
      open: (ws) => {
        const data = ws.getUserData();
        const socket = new UwsSocket(this, data.handler, ws);
        data.socket = socket;
        this.heartbeat.add(socket);
        this.#tell(() => data.handler.open(socket));
      },
      message: (ws, message, isBinary) => ws.getUserData().socket?.take(message, isBinary),
      drain: (ws) => ws.getUserData().socket?.drained(),
      ping: (ws, payload) => ws.getUserData().socket?.pinged(payload.byteLength),
      pong: (ws) => ws.getUserData().socket?.answered(),
      close: (ws) => {
        ws.getUserData().socket?.closed();
        // The filter hears of connections that end as HTTP, not of those that were upgraded.
        this.#countConnection(native, undefined, -1);
      },
    };
  }

  #acceptUpgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    try {
      this.#read(res, req, context);
    } catch (error) {
      this.fault(error);
      closeQuietly(res);
    }
  }

  #tell(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.fault(error);
    }
  }

  readonly #accept = (res: HttpResponse, req: HttpRequest): void => {
    try {
      this.#read(res, req);
    } catch (error) {
      this.fault(error);
      closeQuietly(res);
    }
  };

  /** @param context what an upgrade needs, where there may be one */
  #read(res: HttpResponse, req: HttpRequest, context?: us_socket_context_t): void {
    this.#turn.enter();
    const section = this.#fields.read(req);
    const framing = section === undefined ? AMBIGUOUS : bodyFraming(section);
    const method = req.getCaseSensitiveMethod();
    // Closing synchronously is the only thing that keeps what follows from being read as another request.
    if (section === undefined || framing === AMBIGUOUS || (framing === CHUNKED && method === 'HEAD')) {
      res.close();
      return;
    }
    const { headers } = section;
    // Any value of five characters counts as `close` there.
    const reply = new UwsReply(this, method, res, this.#turn, headers.connection?.length === 5);
    this.openReplyCount++;
    // Chunk extensions and trailers are read wrongly there, and whoever sends them could hide a request behind
    // the body: it is the last of its connection.
    reply.closing = framing === CHUNKED || asksToClose(headers) || headers.connection?.length === 5;
    const head = new UwsRequestHead(method, req.getUrl(), req.getQuery() ?? '', section, reply);
    this.#turn.current = reply;
    if (context !== undefined && framing === 0 && asksForWebSocket(head))
      this.#upgrade(head, section, reply, context);
    else this.#admit(head, section, framing, reply);
  }

  #upgrade(head: RequestHead, section: FieldSection, reply: UwsReply, context: us_socket_context_t): void {
    admit(this.door, this.limits, head, section, 0, reply);
    const handler = reply.open ? askForSocket(this.door, head, reply) : undefined;
    const key = head.headers['sec-websocket-key'] ?? '';
    if (handler instanceof Promise)
      void handler.then((found) => found && this.#becomeSocket(found, key, reply, context));
    else if (handler !== undefined) this.#becomeSocket(handler, key, reply, context);
  }

  #becomeSocket(handler: SocketHandler, key: string, reply: UwsReply, context: us_socket_context_t): void {
    const res = reply.handOver();
    res?.cork(() =>
      res.upgrade<UwsSocketData>({ handler, socket: undefined }, key, handler.protocol ?? '', '', context),
    );
  }

  #admit(head: RequestHead, section: FieldSection, framing: number, reply: UwsReply): void {
    if (framing === 0) {
      admit(this.door, this.limits, head, section, framing, reply);
      askWithoutBody(this, head, reply);
      return;
    }
    const intake = new BodyIntake(this, head, reply, framing, PACE);
    intake.allow(admit(this.door, this.limits, head, section, framing, reply));
    reply.read((piece, last) => this.#takeBody(reply, intake, piece, last));
    this.#turn.watch(intake);
  }

  #takeBody(reply: UwsReply, intake: BodyIntake, piece: ArrayBuffer, last: boolean): void {
    this.#turn.enter();
    this.#turn.current = reply;
    try {
      intake.take(new Uint8Array(piece), false);
      if (last) intake.finish();
    } catch (error) {
      reply.fail(error);
    }
  }
}

function closeQuietly(res: HttpResponse): void {
  try {
    res.close();
  } catch {
    // It had been answered already.
  }
}

/** The published types lack the overload with a host and options. */
function listenWithOptions(
  app: TemplatedApp,
  host: string,
  port: number,
  options: number,
  opened: (socket: us_listen_socket | false) => void,
): void {
  type Listen = (host: string, port: number, options: number, opened: (socket: never) => void) => void;
  (app.listen as unknown as Listen).call(app, host, port, options, opened);
}

/** Beyond these the library answers, or goes silent, before the limit is looked at. */
function checkLimits(limits: ListenerLimits): void {
  if (limits.maxHeaderCount > MOST_HEADER_COUNT) {
    throw new RangeError(
      `maxHeaderCount is ${limits.maxHeaderCount}; uWebSockets.js can refuse at most ${MOST_HEADER_COUNT}.`,
    );
  }
  const overhead = HEAD_OVERHEAD_BYTES + FIELD_OVERHEAD_BYTES * limits.maxHeaderCount;
  const most = uwsHeadBufferBytes() - overhead;
  const sum = limits.maxUrlBytes + limits.maxHeaderBytes;
  if (sum > most) {
    throw new RangeError(
      `maxUrlBytes and maxHeaderBytes together are ${sum}; uWebSockets.js takes at most ${most}. ` +
        'Load it in the main thread before workers start, lower them, or take the node listener.',
    );
  }
}
