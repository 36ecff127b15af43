/** A node of tests: what it has, kept in step over the real delivery API, without serving anything. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ChannelCredentials, type ClientDuplexStream, Metadata, makeClientConstructor } from '@grpc/grpc-js';
import {
  type Announcement,
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  DeliveryService,
  entryOfBytes,
  keyText,
  type Order,
  type Position,
  PullRequestSchema,
  type PullResponse,
  ResourceState,
  type Welcome,
} from '@sluice/proto/cluster';
import { serviceDefinition } from '@sluice/proto/grpc';

export interface TestNodeOptions {
  readonly address: string;
  readonly node?: string;
  readonly region?: string;
  readonly token?: string;
  readonly incarnation?: string;
  readonly hearsAnnouncements?: boolean;
  readonly credentials?: ChannelCredentials;
}

const Client = makeClientConstructor(serviceDefinition(DeliveryService), 'delivery');

export class TestNode {
  readonly announcements: Announcement[] = [];
  readonly orders: Order[] = [];
  welcome: Welcome | undefined;
  /** How the stream ended. */
  ended: { code: number; details: string } | undefined;
  private readonly client: InstanceType<typeof Client>;
  private stream: ClientDuplexStream<ConnectRequest, ConnectResponse> | undefined;

  constructor(private readonly options: TestNodeOptions) {
    const credentials = options.credentials ?? ChannelCredentials.createInsecure();
    this.client = new Client(options.address, credentials, { 'grpc.max_receive_message_length': -1 });
  }

  get name(): string {
    return this.options.node ?? 'n1';
  }

  /** What is said of itself in everything that it sends. */
  get self() {
    return { node: this.name, incarnation: this.options.incarnation ?? 'first' };
  }

  connect(position?: Position): void {
    const stream = this.client.connect?.(this.metadata()) as ClientDuplexStream<
      ConnectRequest,
      ConnectResponse
    >;
    stream.on('data', ({ content }: ConnectResponse) => {
      if (content.case === 'welcome') this.welcome = content.value;
      if (content.case === 'announcement') this.announcements.push(content.value);
      if (content.case === 'order') this.orders.push(content.value);
    });
    stream.on('error', (error: Error & { code: number; details: string }) => {
      this.ended = { code: error.code, details: error.details };
    });
    this.stream = stream;
    this.say({
      case: 'hello',
      value: {
        ...this.self,
        region: this.options.region ?? '',
        version: '1',
        ...(position && { position }),
        hearsAnnouncements: this.options.hearsAnnouncements ?? false,
      },
    });
  }

  say(content: MessageInitShape<typeof ConnectRequestSchema>['content']): void {
    this.stream?.write(create(ConnectRequestSchema, { content } as never));
  }

  acknowledge(position: Position, reason?: string): void {
    const rejection = reason === undefined ? undefined : { reason };
    this.say({
      case: 'acknowledgement',
      value: { ...this.self, position, ...(rejection && { rejection }) },
    });
  }

  /** Stops reading, or reads again. */
  read(isReading: boolean): void {
    if (isReading) this.stream?.resume();
    else this.stream?.pause();
  }

  async pull(have?: Position, everything = false): Promise<PullResponse[]> {
    const pieces: PullResponse[] = [];
    for await (const piece of this.pulling(have, everything)) pieces.push(piece);
    return pieces;
  }

  /** The pieces of a pull, of which nothing is taken before they are read. */
  pulling(have?: Position, everything = false): AsyncIterable<PullResponse> {
    const request = create(PullRequestSchema, {
      node: this.name,
      region: this.options.region ?? '',
      ...(have && { have }),
      everything,
    });
    return this.client.pull?.(request, this.metadata()) as AsyncIterable<PullResponse>;
  }

  /** Ends its stream and its connection. */
  close(): void {
    this.stream?.end();
    this.client.close();
  }

  private metadata(): Metadata {
    const metadata = new Metadata();
    if (this.options.token !== undefined) metadata.set('authorization', `Bearer ${this.options.token}`);
    return metadata;
  }
}

/** What a node has after it took the pieces. */
export function afterPieces(state: ResourceState, pieces: readonly PullResponse[]): ResourceState {
  const start = pieces[0]?.snapshot ? ResourceState.empty() : state;
  return start.with({
    changed: pieces.flatMap(({ changed }) => changed.map((bytes) => entryOfBytes(bytes))),
    removed: pieces.flatMap(({ removed }) => removed.map(keyText)),
  });
}
