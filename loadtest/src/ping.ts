import { connect, type Socket } from 'node:net';
import type { OpenTarget } from './call-target.js';
import type { PingFigures } from './generator-messages.js';
import { echoAnswerProblem, requestHeaders } from './mcp-request.js';
import { percentile, shuffled } from './statistics.js';

/** Calls of one target before the next one's turn: short enough that all see the same machine. */
const CALLS_PER_BLOCK = 100;
/** The first calls of a block find cold caches and are not counted. */
const UNCOUNTED_CALLS_PER_BLOCK = 10;
/** Every answer's body is kept in a block, and this one of them is read. */
const CHECKED_CALL_OF_BLOCK = CALLS_PER_BLOCK - 1;
const CALL_DEADLINE_MS = 10_000;

/**
 * Calls the targets in turn, each over one connection of its own with one call under way, in blocks in random
 * order, until each has had about `secondsEach`. A bare socket is used because the clock starts when the request is
 * written and stops when the last byte of the answer is there, to the microsecond.
 */
export async function ping(
  targets: readonly [string, OpenTarget][],
  secondsEach: number,
): Promise<PingFigures[]> {
  const runs = targets.map(([key, target]) => ({
    key,
    connection: new PingConnection(target),
    micros: [] as number[],
    problem: undefined as string | undefined,
  }));
  const end = performance.now() + targets.length * secondsEach * 1000;
  try {
    do {
      for (const run of shuffled(runs)) {
        if (run.problem) continue;
        try {
          await run.connection.block(run.micros);
        } catch (error) {
          run.problem = (error as Error).message;
        }
      }
    } while (performance.now() < end && runs.some((run) => !run.problem));
  } finally {
    for (const run of runs) run.connection.close();
  }
  return runs.map(({ key, micros, problem }) => {
    const sorted = Float64Array.from(micros).sort();
    const [p50Micros, p99Micros] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
    return { key, calls: sorted.length, p50Micros, p99Micros, problem };
  });
}

/** One HTTP/1.1 connection that sends a call when the answer to the last one is there. */
class PingConnection {
  readonly #target: OpenTarget;
  readonly #head: string;
  readonly #socket: Socket;
  readonly #received = new AnswerReader();
  #onAnswer: (error?: Error) => void = () => {};

  constructor(target: OpenTarget) {
    this.#target = target;
    const { hostname, port, host, pathname } = new URL(target.url);
    const headers = requestHeaders(target.era, 'tools/call', {
      name: target.tool,
      session: target.sessions[0],
      more: target.headers,
    });
    const lines = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#head = `POST ${pathname} HTTP/1.1\r\n${lines.join('')}`;
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.setTimeout(CALL_DEADLINE_MS, () => this.#socket.destroy(new Error('a call took over 10 s')));
    this.#socket.on('error', (error) => this.#onAnswer(error));
    this.#socket.on('close', () => this.#onAnswer(new Error('the connection was closed')));
    this.#socket.on('data', (chunk) => {
      if (this.#received.push(chunk)) this.#onAnswer();
    });
  }

  /** Sends a block of calls and adds their times to `micros`. */
  block(micros: number[]): Promise<void> {
    return new Promise((resolve, reject) => {
      let calls = 0;
      let id = 0;
      let begin = 0n;
      const send = () => {
        id = this.#target.nextId();
        const body = this.#target.callBody(id);
        const request = `${this.#head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
        begin = process.hrtime.bigint();
        this.#socket.write(request);
      };
      const finish = (error?: Error) => {
        this.#onAnswer = () => {};
        if (error) reject(error);
        else resolve();
      };
      this.#onAnswer = (error) => {
        const end = process.hrtime.bigint();
        if (error) return finish(error);
        const answer = this.#received.take();
        if (calls >= UNCOUNTED_CALLS_PER_BLOCK) micros.push(Number(end - begin) / 1000);
        if (answer.status !== 200 || calls === CHECKED_CALL_OF_BLOCK) {
          const problem = echoAnswerProblem(this.#target.era, id, answer.body());
          if (answer.status !== 200)
            return finish(new Error(`HTTP status ${answer.status}: ${problem ?? ''}`));
          if (problem) return finish(new Error(problem));
        }
        calls += 1;
        if (calls === CALLS_PER_BLOCK) finish();
        else send();
      };
      if (this.#socket.destroyed) finish(new Error('the connection was closed'));
      else send();
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Collects one HTTP/1.1 answer: a body with a length, or a chunked one. */
export class AnswerReader {
  #bytes: Buffer = Buffer.alloc(0);
  #bodyStart = -1;
  /** Absent for a chunked body. */
  #bodyBytes: number | undefined;

  /** Adds what came; true when the answer is whole. */
  push(chunk: Buffer): boolean {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#bodyStart < 0) {
      const headEnd = this.#bytes.indexOf('\r\n\r\n');
      if (headEnd < 0) return false;
      this.#bodyStart = headEnd + 4;
      const length = /\r\ncontent-length: *([0-9]+)/i.exec(this.#bytes.toString('latin1', 0, headEnd));
      this.#bodyBytes = length ? Number(length[1]) : undefined;
    }
    if (this.#bodyBytes !== undefined) return this.#bytes.length >= this.#bodyStart + this.#bodyBytes;
    return (
      this.#bytes.toString('latin1', Math.max(this.#bodyStart - 2, this.#bytes.length - 7)) ===
      '\r\n0\r\n\r\n'
    );
  }

  /** The whole answer; the reader is then ready for the next one. */
  take(): { status: number; body: () => string } {
    const [bytes, start, chunked] = [this.#bytes, this.#bodyStart, this.#bodyBytes === undefined];
    this.#bytes = Buffer.alloc(0);
    this.#bodyStart = -1;
    const body = () => (chunked ? joinChunks(bytes.subarray(start)) : bytes.subarray(start)).toString('utf8');
    return { status: Number(bytes.toString('latin1', 9, 12)), body };
  }
}

function joinChunks(bytes: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (lineEnd < 0 || !(size > 0)) return Buffer.concat(chunks);
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}
