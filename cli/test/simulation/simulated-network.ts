/**
 * Calls from nodes to control planes, as grpc-js shows them on both sides. What is said on one call arrives in order;
 * a call may be gone before either side notices.
 */
import { EventEmitter } from 'node:events';
import {
  type ConnectRequest,
  ConnectRequestSchema,
  ConnectResponseSchema,
  create,
  fromBinary,
  type PullRequest,
  PullRequestSchema,
  type PullResponse,
  PullResponseSchema,
  toBinary,
} from '@sluice/proto/cluster';
import type { Delivery } from '../../../control-plane/src/delivery/service.js';
import type {
  DeliveryTransport,
  Standing,
  StandingEvents,
} from '../../../data-plane/src/snapshot/delivery-port.js';
import { Pipe } from './pipe.js';
import type { SimulatedProcess, Surroundings } from './simulated-process.js';

/** Two keepalives without an answer; milliseconds. */
const NOTICED_WITHIN_MS = 7_000;
/** As grpc-transport.ts has it. */
const PULL_DEADLINE_MS = 60_000;
const MAX_DRAIN_MS = 300;

/** What a control plane serves at its address. */
export interface Served {
  readonly process: SimulatedProcess;
  readonly delivery: Pick<Delivery, 'implementation'>;
}

export class SimulatedNetwork {
  readonly addresses: string[] = [];
  private readonly servers = new Map<string, Served>();
  private readonly calls = new Set<Call>();
  private readonly blocked = new Set<string>();
  /** Changes a piece of a pull on its way. */
  damage: ((piece: PullResponse) => PullResponse) | undefined;

  constructor(readonly surroundings: Surroundings) {}

  listen(address: string, served: Served): void {
    this.servers.set(address, served);
    served.process.whenKilled(() => {
      if (this.servers.get(address) === served) this.servers.delete(address);
      for (const call of this.calls) if (call.server === served.process) call.cut();
    });
  }

  /** Nothing goes between the two until `unblock`; calls under way are gone. */
  block(node: string, address: string): void {
    this.blocked.add(`${node} ${address}`);
    this.cut(node, address);
  }

  unblock(node: string, address: string): void {
    this.blocked.delete(`${node} ${address}`);
  }

  unblockAll(): void {
    this.blocked.clear();
  }

  cut(node: string, address: string): void {
    for (const call of this.calls) if (call.node === node && call.address === address) call.cut();
  }

  /** The server at an address, when a packet from the node arrives. */
  reach(node: string, address: string): Served | 'refused' | 'silent' {
    if (this.blocked.has(`${node} ${address}`)) return 'silent';
    return this.servers.get(address) ?? 'refused';
  }

  open(call: Call): void {
    this.calls.add(call);
  }

  over(call: Call): void {
    this.calls.delete(call);
  }
}

interface ClientEvents {
  response(bytes: Uint8Array): void;
  /** Told once; undefined: it ended well. */
  ended(error: string | undefined): void;
}

/** One call, seen from outside. */
class Call {
  private readonly toServer: Pipe;
  private readonly toClient: Pipe;
  private serverCall: ServerCall | undefined;
  private isOver = false;
  private isCut = false;
  server: SimulatedProcess | undefined;

  constructor(
    private readonly network: SimulatedNetwork,
    private readonly client: SimulatedProcess,
    readonly node: string,
    readonly address: string,
    begin: (served: Served, call: ServerCall) => void,
    private readonly events: ClientEvents,
  ) {
    const { surroundings } = network;
    // The server is known when the first packet has arrived.
    this.toServer = new Pipe(surroundings, { isAlive: true });
    this.toClient = new Pipe(surroundings, client);
    network.open(this);
    client.whenKilled(() => this.cut());
    this.toServer.send(() => {
      const served = network.reach(node, address);
      if (served === 'silent') this.cut();
      else if (served === 'refused') this.toClient.send(() => this.end('connection refused'));
      else {
        this.server = served.process;
        this.serverCall = new ServerCall(this, served.process);
        begin(served, this.serverCall);
      }
    });
  }

  /** From the client. */
  say(deliver: (call: ServerCall) => void): void {
    this.toServer.send(() => {
      if (this.serverCall !== undefined && this.server?.isAlive) deliver(this.serverCall);
    });
  }

  /** From the server. */
  answer(bytes: Uint8Array): void {
    this.toClient.send(() => {
      if (!this.isOver) this.events.response(bytes);
    });
  }

  /** From the server; the last. */
  finish(error: string | undefined): void {
    this.toClient.send(() => this.end(error));
  }

  /** The client wants no more. */
  cancel(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.say((call) => call.wasCancelled());
    this.network.over(this);
  }

  /** What is under way is lost, and each side notices some time. */
  cut(): void {
    if (this.isCut) return;
    this.isCut = true;
    this.network.over(this);
    this.toServer.cut();
    this.toClient.cut();
    const { random } = this.network.surroundings;
    const noticedMs = () => (random.oneIn(3) ? random.below(NOTICED_WITHIN_MS) : random.below(20));
    this.client.after(noticedMs(), () => this.end('the connection was lost'));
    this.server?.after(noticedMs(), () => this.serverCall?.wasCancelled());
  }

  private end(error: string | undefined): void {
    if (this.isOver) return;
    this.isOver = true;
    this.network.over(this);
    this.events.ended(error);
  }
}

/** What the service is given: as much of the calls of grpc-js as it uses. */
class ServerCall extends EventEmitter {
  cancelled = false;
  request: PullRequest | undefined;
  private isDone = false;
  readonly metadata = { get: (): string[] => [] };
  readonly getAuthContext = (): object => ({});

  constructor(
    private readonly call: Call,
    private readonly process: SimulatedProcess,
  ) {
    super();
    this.on('error', (error: { details: string }) => this.done(error.details));
  }

  write(bytes: Uint8Array): boolean {
    if (!this.isDone) this.call.answer(bytes);
    const { random } = this.process.surroundings;
    if (!random.oneIn(16)) return true;
    this.process.after(random.below(MAX_DRAIN_MS), () => this.emit('drain'));
    return false;
  }

  end(): void {
    this.done(undefined);
  }

  wasCancelled(): void {
    if (this.cancelled || this.isDone) return;
    this.cancelled = true;
    this.emit('cancelled');
  }

  private done(error: string | undefined): void {
    if (this.isDone) return;
    this.isDone = true;
    this.call.finish(error);
  }
}

/** What a node has of the network. */
export class SimulatedTransport implements DeliveryTransport {
  private index: number;

  constructor(
    private readonly network: SimulatedNetwork,
    private readonly process: SimulatedProcess,
    private readonly node: string,
  ) {
    this.index = network.surroundings.random.below(network.addresses.length);
  }

  async *pull(request: PullRequest): AsyncIterable<PullResponse> {
    const bytes = toBinary(PullRequestSchema, request);
    const { have } = request;
    this.process.trace(
      `asks ${this.address} for what follows ${have?.storeId ?? 'nothing'} ${have?.revision ?? ''}`,
    );
    const pieces: PullResponse[] = [];
    let over: { readonly error: string | undefined } | undefined;
    let wake = () => {};
    const call = this.call(
      (served, server) => {
        server.request = fromBinary(PullRequestSchema, bytes);
        served.delivery.implementation.pull?.(server as never, undefined as never);
      },
      {
        response: (answer) => {
          pieces.push(...this.cutUp(fromBinary(PullResponseSchema, answer)));
          wake();
        },
        ended: (error) => {
          over = { error };
          wake();
        },
      },
    );
    const endDeadline = this.process.after(PULL_DEADLINE_MS, () => {
      over = { error: 'Deadline exceeded' };
      wake();
    });
    try {
      for (;;) {
        for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
          yield this.network.damage?.(piece) ?? piece;
          // The next one may be a moment later.
          if (this.network.surroundings.random.oneIn(4))
            await this.process.sleep(this.network.surroundings.random.below(5));
        }
        if (over !== undefined) {
          if (over.error !== undefined) throw new Error(over.error);
          return;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      endDeadline();
      call.cancel();
    }
  }

  connect(hears: StandingEvents): Standing {
    const { addresses } = this.network;
    this.index = (this.index + 1) % addresses.length;
    let isClosed = false;
    const call = this.call(
      (served, server) => served.delivery.implementation.connect?.(server as never, undefined as never),
      {
        response: (bytes) => {
          if (!isClosed) hears.heard(fromBinary(ConnectResponseSchema, bytes));
        },
        ended: (error) => {
          if (!isClosed) hears.ended(error ?? 'it ended the stream');
        },
      },
    );
    return {
      address: this.address,
      say: (request: ConnectRequest) => {
        const bytes = toBinary(ConnectRequestSchema, request);
        if (!isClosed) call.say((server) => server.emit('data', fromBinary(ConnectRequestSchema, bytes)));
      },
      close: () => {
        isClosed = true;
        call.say((server) => server.emit('end'));
      },
    };
  }

  async close(): Promise<void> {}

  private get address(): string {
    return this.network.addresses[this.index] as string;
  }

  private call(begin: (served: Served, call: ServerCall) => void, events: ClientEvents): Call {
    return new Call(this.network, this.process, this.node, this.address, begin, events);
  }

  /** Configurations of a run are small; pieces come all the same. */
  private cutUp(answer: PullResponse): PullResponse[] {
    const { random } = this.network.surroundings;
    if (answer.changed.length < 2 || random.oneIn(2)) return [answer];
    const at = 1 + random.below(answer.changed.length - 1);
    const { position, snapshot, changed, removed, last } = answer;
    const of = position === undefined ? {} : { position };
    return [
      create(PullResponseSchema, { ...of, snapshot, removed, changed: changed.slice(0, at) }),
      create(PullResponseSchema, { ...of, snapshot, changed: changed.slice(at), last }),
    ];
  }
}
