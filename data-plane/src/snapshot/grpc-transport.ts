/** The control planes over gRPC. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  ChannelCredentials,
  type ClientDuplexStream,
  type ClientReadableStream,
  type Client as GrpcClient,
  Metadata,
  makeClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  type ConnectRequest,
  type ConnectResponse,
  DeliveryService,
  type PullRequest,
  type PullResponse,
} from '@sluice/proto/cluster';
import { connectReason, serviceDefinition } from '@sluice/proto/grpc';
import type { DeliveryTransport, Standing, StandingEvents } from './delivery-port.js';

/** A pull that takes longer is given up; milliseconds. */
const PULL_DEADLINE_MS = 60_000;
/** A connection that is cut without a word is noticed after these two; milliseconds. */
const KEEPALIVE_TIME_MS = 5_000;
const KEEPALIVE_TIMEOUT_MS = 2_000;
/** The library's own pauses between two connections; milliseconds. */
const RECONNECT_MIN_MS = 100;
const RECONNECT_MAX_MS = 1_000;
/** Time for the end of a stream to be taken in; milliseconds. */
const CLOSE_TIMEOUT_MS = 1_000;
/** Pieces of a pull are far smaller, but for a resource that is large by itself. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

export interface GrpcTls {
  /** PEM file of the authority that control planes are checked against; without it those of the system. */
  readonly caFile?: string | undefined;
  /** PEM files of the certificate that the node shows. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export interface GrpcOptions {
  /** `host:port` of each. */
  readonly addresses: readonly string[];
  /** Without it nothing is encrypted. */
  readonly tls?: GrpcTls | undefined;
  /** What proves who the node is; asked for at each call, so that a file may be changed. */
  readonly token?: (() => string | undefined) | undefined;
}

interface DeliveryClient extends GrpcClient {
  pull(request: PullRequest, metadata: Metadata, options: object): ClientReadableStream<PullResponse>;
  connect(metadata: Metadata): ClientDuplexStream<ConnectRequest, ConnectResponse>;
}

const Client = makeClientConstructor(
  serviceDefinition(DeliveryService),
  'sluice.delivery.v1.DeliveryService',
);

export class GrpcTransport implements DeliveryTransport {
  private client: DeliveryClient | undefined;
  /** Streams that are closed, and have still something to send. */
  private readonly ending = new Set<Promise<void>>();
  /** Which one is asked. */
  private index: number;
  /** Of the node's own certificate; a control plane that refuses it cannot say so (RFC 8446, section 6.2). */
  private validTo: Date | undefined;

  /** Throws when a file cannot be read. */
  constructor(private readonly options: GrpcOptions) {
    // Nodes that were given the same list do not all go to the first.
    this.index = Math.floor(Math.random() * options.addresses.length);
    this.credentials();
  }

  async *pull(request: PullRequest): AsyncIterable<PullResponse> {
    const call = this.current().pull(request, this.metadata(), { deadline: Date.now() + PULL_DEADLINE_MS });
    try {
      for await (const piece of call) yield piece as PullResponse;
    } catch (thrown) {
      throw new Error(this.reasonOf(thrown));
    } finally {
      call.cancel();
    }
  }

  connect(hears: StandingEvents): Standing {
    this.client?.close();
    this.client = undefined;
    this.index = (this.index + 1) % this.options.addresses.length;
    const address = this.options.addresses[this.index] as string;
    let isOver = false;
    const end = (reason: string) => {
      if (isOver) return;
      isOver = true;
      hears.ended(reason);
    };
    let call: ClientDuplexStream<ConnectRequest, ConnectResponse>;
    try {
      call = this.current().connect(this.metadata());
    } catch (thrown) {
      setImmediate(end, this.reasonOf(thrown));
      return { address, say: () => undefined, close: () => undefined };
    }
    call.on('data', (response: ConnectResponse) => {
      if (!isOver) hears.heard(response);
    });
    call.on('error', (error) => end(this.reasonOf(error)));
    call.on('end', () => end('it ended the stream'));
    return {
      address,
      say: (request) => {
        if (!isOver) call.write(request);
      },
      close: () => {
        isOver = true;
        const ending = ended(call);
        this.ending.add(ending);
        void ending.then(() => this.ending.delete(ending));
      },
    };
  }

  async close(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    await Promise.all(this.ending);
    client?.close();
  }

  private current(): DeliveryClient {
    this.client ??= new Client(this.options.addresses[this.index] as string, this.credentials(), {
      'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.initial_reconnect_backoff_ms': RECONNECT_MIN_MS,
      'grpc.max_reconnect_backoff_ms': RECONNECT_MAX_MS,
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      // A channel of its own: another one to the same address may wait for its next attempt.
      'grpc.use_local_subchannel_pool': 1,
    }) as unknown as DeliveryClient;
    return this.client;
  }

  /** Read again for each connection, so that certificates can be renewed. */
  private credentials(): ChannelCredentials {
    const { tls } = this.options;
    if (tls === undefined) return ChannelCredentials.createInsecure();
    const read = (file: string | undefined) => (file === undefined ? null : readFileSync(file));
    const cert = read(tls.certFile);
    this.validTo = cert === null ? undefined : new Date(new X509Certificate(cert).validTo);
    return ChannelCredentials.createSsl(read(tls.caFile), read(tls.keyFile), cert);
  }

  private reasonOf(thrown: unknown): string {
    const { validTo, options } = this;
    const reason = reasonOf(thrown);
    if (validTo === undefined || validTo.getTime() > Date.now()) return reason;
    return `${reason}; the certificate ${options.tls?.certFile} has expired on ${validTo.toISOString()}`;
  }

  private metadata(): Metadata {
    const metadata = new Metadata();
    const token = this.options.token?.();
    if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
    return metadata;
  }
}

/** Ends a stream on which everything was said; resolves when the other side has taken that in, or its time is over. */
function ended(call: ClientDuplexStream<ConnectRequest, ConnectResponse>): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(() => call.cancel(), CLOSE_TIMEOUT_MS);
    call.once('status', () => {
      clearTimeout(late);
      resolve();
    });
    call.resume();
    call.end();
  });
}

function reasonOf(thrown: unknown): string {
  const { details, message } = thrown as Partial<ServiceError>;
  return connectReason(details || message || String(thrown));
}
