import { connect, type Socket } from 'node:net';
import { endSession, openSession } from '../call-target.js';
import { requestBody, requestHeaders, type Target } from '../mcp-request.js';

/** Streams that are being opened at the same time. */
const CONCURRENT_COUNT = 20;
const OPEN_DEADLINE_MS = 20_000;
/** As much of an answer as says whether it is a stream. */
const STATUS_TEXT = 'HTTP/1.1 200';
const MAX_QUOTED_CHARACTERS = 300;

/** Streams that a client holds open and says nothing on. */
export class OpenStreams {
  readonly #sockets = new Set<Socket>();
  readonly #sessions: { target: Target; session: string }[] = [];
  #count = 0;

  /**
   * Opens streams over bare sockets, one on each.
   * @throws Error when one is refused, or the gateway does not answer in time.
   */
  async open(target: Target, count: number): Promise<void> {
    await concurrently(count, async () => {
      const id = ++this.#count;
      const socket = await openSocket(target, await this.#request(target, id));
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  /** Closes all streams and ends their sessions. Returns how many streams had ended before. */
  async hangUp(): Promise<number> {
    const lost = this.#count - this.#sockets.size;
    for (const socket of this.#sockets) socket.destroy();
    const sessions = this.#sessions.splice(0);
    await concurrently(sessions.length, async (at) => {
      const { target, session } = sessions[at] as (typeof sessions)[number];
      await endSession(target, session);
    });
    this.#count = 0;
    return lost;
  }

  async #request(target: Target, id: number): Promise<string> {
    if (target.era === 'modern') {
      const method = 'subscriptions/listen';
      const body = requestBody('modern', id, method, { notifications: { toolsListChanged: true } });
      return requestText('POST', target.url, requestHeaders('modern', method), body);
    }
    const session = await openSession(target, id);
    this.#sessions.push({ target, session });
    const headers = requestHeaders('legacy', '', { session });
    return requestText('GET', target.url, { ...headers, Accept: 'text/event-stream' }, '');
  }
}

function requestText(method: string, url: string, headers: Record<string, string>, body: string): string {
  const { host, pathname } = new URL(url);
  const fields = {
    Host: host,
    ...headers,
    ...(body !== '' && { 'Content-Length': Buffer.byteLength(body) }),
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  return `${[`${method} ${pathname} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n${body}`;
}

/** Resolves when the answer has begun as a stream does. */
function openSocket(target: Target, request: string): Promise<Socket> {
  const { hostname, port } = new URL(target.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(request));
    let answer = '';
    const fail = (why: string) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new Error(`a stream at ${target.url} ${why}`));
    };
    const timer = setTimeout(() => fail('was not answered in time'), OPEN_DEADLINE_MS);
    const onError = (error: Error) => fail(`broke: ${error.message}`);
    const onEnd = () => fail('was closed before it began');
    const onData = (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      if (answer.length < STATUS_TEXT.length) return;
      if (!answer.startsWith(STATUS_TEXT)) {
        fail(`was refused: ${answer.slice(0, MAX_QUOTED_CHARACTERS)}`);
        return;
      }
      clearTimeout(timer);
      socket.off('error', onError).off('end', onEnd).off('data', onData);
      // What comes later is read and thrown away; an error is followed by `close`, where it is counted.
      socket.on('error', () => {}).resume();
      resolve(socket);
    };
    socket.on('error', onError).on('end', onEnd).on('data', onData);
  });
}

/** Does `count` pieces of work, a few at a time. Ends with the first that fails. */
async function concurrently(count: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: CONCURRENT_COUNT }, lane));
}
