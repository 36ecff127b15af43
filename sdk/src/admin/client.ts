/** The client of the admin API: over gRPC, to whichever control plane answers. */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
} from '@bufbuild/protobuf';
import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import { type AdminTls, controlPlaneAddress, readToken } from './addresses.js';
import { Connection, NotSentError } from './connection.js';
import { AdminCallError } from './error.js';
import { type AdminServices, type CallOptions, isRead, servicesOver } from './services.js';

const DEFAULT_TIMEOUT_MS = 30_000;
/** What a call waits for when it names no time: as the server has it. */
const DEFAULT_WAIT_MS = 30_000;
/** Rounds over all addresses. */
const MAX_ROUND_COUNT = 4;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 2_000;

/** Where to, and as whom. */
export interface AdminOptions {
  /**
   * One control plane or several, of which one that answers is used: `host:port`, encrypted unless it is on this
   * machine; `https://` or `http://` in front decides.
   */
  readonly address: string | readonly string[];
  readonly token?: string | undefined;
  /** The path of a file that holds it. It is read for each call. */
  readonly tokenFile?: string | undefined;
  /** With it a connection is encrypted to this machine, too. */
  readonly tls?: AdminTls | undefined;
  /** Time for a call, beside what it waits for by itself (`deadline` of a request). Default 30000. */
  readonly timeoutMs?: number | undefined;
}

/** Every service of the admin API: `client.configuration.apply({ … })`, `client.fleet.listNodes({})`. */
export interface AdminClient extends AdminServices {
  /** Ends the connections. Calls under way fail. */
  close(): void;
}

/**
 * A client of the admin API. It connects with the first call.
 *
 * A call that fails because a control plane does not answer is made again, at another one where there are several, when
 * that is safe: reads, writes with an idempotency key, dry runs, and whatever never left this machine.
 *
 * @throws TypeError for an address that is none
 */
export function connectAdmin(options: AdminOptions): AdminClient {
  const addresses = typeof options.address === 'string' ? [options.address] : options.address;
  if (addresses.length === 0) throw new TypeError('there is no address of a control plane');
  const connections = addresses.map((each) => new Connection(controlPlaneAddress(each, options.tls)));
  /** The one that answered last. */
  let current = 0;

  async function call(
    method: DescMethodUnary,
    init: MessageInitShape<DescMessage>,
    { timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS, signal }: CallOptions,
  ): Promise<unknown> {
    const request = create(method.input, init);
    const deadline = Date.now() + timeoutMs + waitMsOf(request);
    const isSafe = isRead(method) || isRepeatable(request);
    const token = await readToken(options);
    let before: AdminCallError | undefined;
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      const connection = connections[current] as Connection;
      try {
        return await connection.call(method, request, { token, deadline, signal });
      } catch (error) {
        if (!(error instanceof AdminCallError)) throw error;
        // That nobody could be reached says more than that the time for it was over.
        if (error.code === 'DEADLINE_EXCEEDED') throw before ?? error;
        if (error.code !== 'UNAVAILABLE') throw error;
        if (!isSafe && !(error instanceof NotSentError)) throw error;
        before = error;
        current = (current + 1) % connections.length;
        const pauseMs = attempt % connections.length === 0 ? pauseMsAfter(attempt / connections.length) : 0;
        if (attempt >= MAX_ROUND_COUNT * connections.length || Date.now() + pauseMs >= deadline) throw error;
        if (pauseMs > 0) await paused(pauseMs, signal);
      }
    }
  }

  return {
    ...servicesOver(call),
    close() {
      for (const connection of connections) connection.close();
    },
  };
}

/** Grows with each round over all addresses, and is another one for each caller. */
function pauseMsAfter(round: number): number {
  const longest = Math.min(FIRST_PAUSE_MS * 2 ** (round - 1), MAX_PAUSE_MS);
  return randomInt(longest / 2, longest + 1);
}

async function paused(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal && { signal }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
}

/** What requests may have that says how long they take, and whether they may be made twice. */
interface Waiting {
  readonly deadline?: Duration;
  readonly wait?: string;
  readonly options?: { readonly deadline?: Duration; readonly wait?: string };
}

function waitMsOf(request: Message): number {
  const own = request as Waiting;
  const { wait, deadline } = own.options ?? own;
  if (deadline !== undefined) return durationMs(deadline);
  return wait === undefined || (own.options && (wait === '' || wait === 'none')) ? 0 : DEFAULT_WAIT_MS;
}

function isRepeatable(request: Message): boolean {
  const { options } = request as { options?: { idempotencyKey?: string; dryRun?: boolean } };
  return options !== undefined && (Boolean(options.idempotencyKey) || options.dryRun === true);
}
