/**
 * A compiled policy in a thread of its own, so that one that takes long holds up nobody else and can be ended. The thread is
 * started when something is first asked, and is gone when nothing was for a while.
 */
import { Worker } from 'node:worker_threads';
import { type Clock, durationMs, sizeBytes } from '@sluice/sdk';
import { readBundle } from './bundle.js';
import { CompiledPolicy, type EvaluatedMessage, type PolicyOrder } from './compiled-policy.js';
import { MAX_WAIT_MS, PAGE_BYTES, type WasmConfig } from './config.js';
import { OpaFailure } from './result.js';

/** Inputs that wait for their turn. */
const MAX_WAITING_COUNT = 1_024;
/** For the thread to begin, on a busy machine too. */
const START_TIMEOUT_MS = 10_000;
const IDLE_MS = 60_000;
/** Of JavaScript, beside the memory of the policy. */
const MAX_HEAP_MIB = 64;
/** Threads run what was built, also where this is run from its source. */
const PROGRAM = new URL('../../../dist/policy/opa/thread.js', import.meta.url);

interface Waiting {
  readonly input: string;
  /** Milliseconds of the clock. */
  readonly sinceMs: number;
  resolve(result: unknown): void;
  reject(failure: OpaFailure): void;
}

export class WasmOpa {
  private readonly order: PolicyOrder;
  private readonly timeoutMs: number;
  private readonly waiting: Waiting[] = [];
  private current: Waiting | undefined;
  private thread: PolicyThread | undefined;
  private stopTimer: () => void = () => undefined;
  private isClosed = false;
  /** Where threads cannot be started. */
  private readonly here: CompiledPolicy | undefined;

  /** @throws Error when the file cannot be used. */
  constructor(
    config: WasmConfig,
    private readonly clock: Clock,
  ) {
    const maxPageCount = Math.floor(sizeBytes(config.max_memory) / PAGE_BYTES);
    this.order = { ...readBundle(config), maxPageCount };
    this.timeoutMs = durationMs(config.timeout);
    // A process of a plugin's own may start no threads, and its hooks have a limit of their own.
    if (process.permission?.has('worker') === false) this.here = new CompiledPolicy(this.order);
  }

  /**
   * What the policy says to an input; undefined where it is undefined.
   *
   * @param input JSON text
   * @throws OpaFailure
   */
  async evaluate(input: string): Promise<unknown> {
    if (this.here !== undefined) return resultOf(this.here.evaluate(input));
    if (this.isClosed) throw new OpaFailure('failed', 'the policy is not in use any more');
    if (this.waiting.length >= MAX_WAITING_COUNT)
      throw new OpaFailure('busy', 'too many requests wait for the policy already');
    return new Promise((resolve, reject) => {
      this.waiting.push({ input, sinceMs: this.clock.now(), resolve, reject });
      this.next();
    });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.stopTimer();
    const left = [...(this.current === undefined ? [] : [this.current]), ...this.waiting.splice(0)];
    this.current = undefined;
    for (const { reject } of left) reject(new OpaFailure('failed', 'the policy is not in use any more'));
    await this.thread?.end();
  }

  private next(): void {
    if (this.current !== undefined) return;
    this.dropStale();
    const first = this.waiting[0];
    this.stopTimer();
    if (first === undefined) {
      this.thread?.rest();
      this.stopTimer = this.clock.after(IDLE_MS, () => this.drop());
      return;
    }
    this.thread ??= new PolicyThread(this.order, {
      ready: () => this.next(),
      evaluated: (message) => this.evaluated(message),
      failed: (reason) => this.failed(new OpaFailure('failed', `the policy failed: ${reason}`)),
    });
    if (!this.thread.isReady) {
      this.stopTimer = this.clock.after(START_TIMEOUT_MS, () =>
        this.failed(new OpaFailure('timeout', 'the thread of the policy did not begin in time')),
      );
      return;
    }
    this.waiting.shift();
    this.current = first;
    const why = `the policy said nothing within ${this.timeoutMs} ms`;
    this.stopTimer = this.clock.after(this.timeoutMs, () => this.failed(new OpaFailure('timeout', why)));
    this.thread.evaluate(first.input);
  }

  /** Behind many that take their whole time nobody waits without end. */
  private dropStale(): void {
    const now = this.clock.now();
    while (this.waiting[0] !== undefined && now - this.waiting[0].sinceMs > MAX_WAIT_MS) {
      const why = `the policy had no time for it within ${MAX_WAIT_MS} ms`;
      this.waiting.shift()?.reject(new OpaFailure('busy', why));
    }
  }

  private evaluated(message: EvaluatedMessage): void {
    const { current } = this;
    this.current = undefined;
    try {
      current?.resolve(resultOf(message));
    } catch (thrown) {
      current?.reject(thrown as OpaFailure);
    }
    this.next();
  }

  /** Ends the thread. What did not begin for nothing of its own begins anew; a policy that cannot begin fails all. */
  private failed(failure: OpaFailure): void {
    const { current } = this;
    const lost = current === undefined ? this.waiting.splice(0) : [current];
    this.current = undefined;
    this.drop();
    for (const { reject } of lost) reject(failure);
    this.next();
  }

  private drop(): void {
    const { thread } = this;
    this.thread = undefined;
    void thread?.end();
  }
}

interface ThreadEvents {
  ready(): void;
  evaluated(message: EvaluatedMessage): void;
  failed(reason: string): void;
}

class PolicyThread {
  isReady = false;
  private hasEnded = false;
  private readonly worker: Worker;

  constructor(order: PolicyOrder, events: ThreadEvents) {
    this.worker = new Worker(PROGRAM, {
      workerData: order,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
      env: {},
      // What a policy prints holds what it was asked about.
      stdout: true,
      stderr: true,
    });
    this.worker.stdout.resume();
    this.worker.stderr.resume();
    const failed = (reason: string) => {
      if (this.hasEnded) return;
      this.hasEnded = true;
      events.failed(reason);
    };
    this.worker.on('message', (message: 'ready' | EvaluatedMessage) => {
      if (this.hasEnded) return;
      if (message !== 'ready') return events.evaluated(message);
      this.isReady = true;
      events.ready();
    });
    this.worker.on('error', (thrown: Error) => failed(thrown.message));
    this.worker.on('exit', (code) => failed(`its thread ended with ${code}`));
  }

  evaluate(input: string): void {
    // A program waits for its answer, and for nothing else.
    this.worker.ref();
    this.worker.postMessage(input);
  }

  /** Nothing is asked for now. */
  rest(): void {
    this.worker.unref();
  }

  async end(): Promise<void> {
    this.hasEnded = true;
    await this.worker.terminate();
  }
}

/** A set of results has one member, or none where what was asked is undefined. */
function resultOf(message: EvaluatedMessage): unknown {
  if ('failure' in message) throw new OpaFailure('failed', `the policy failed: ${message.failure}`);
  const set: unknown = JSON.parse(message.result);
  if (!Array.isArray(set) || set.length > 1)
    throw new OpaFailure('answer', 'the policy answered with no set of results');
  return (set[0] as { result?: unknown } | undefined)?.result;
}
