/** An admin API over a real store, for tests, and clients of both its transports. */
import { createHash } from 'node:crypto';
import {
  create,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import {
  type ChannelCredentials,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  BadRequestSchema,
  CatalogueService,
  ConfigurationService,
  ConflictSchema,
  ErrorInfoSchema,
  FleetService,
  InvalidResourcesSchema,
  RolloutService,
  StatusSchema,
} from '@sluice/proto/admin';
import {
  AcknowledgementSchema,
  ConnectionListSchema,
  HelloSchema,
  type Order,
  PositionSchema,
  type ResourceKey,
} from '@sluice/proto/cluster';
import { serviceDefinition } from '@sluice/proto/grpc';
import { type AdminApi, type AdminApiOptions, startAdminApi } from '../src/admin/index.js';
import { Views } from '../src/delivery/views.js';
import { Fleet } from '../src/fleet/fleet.js';
import { ConfigurationHead } from '../src/revisions/head.js';
import { Rollouts } from '../src/rollout/rollouts.js';
import { EmbeddedLog } from '../src/store/embedded.js';
import { EmbeddedRecords } from '../src/store/embedded-records.js';

export const TOKENS = {
  admin: 'admin-token-admin-token-admin-token',
  operator: 'operator-token-operator-token-opera',
  viewer: 'viewer-token-viewer-token-viewer-to',
  acmeOperator: 'acme-operator-token-acme-operator-t',
  acmeViewer: 'acme-viewer-token-acme-viewer-token',
} as const;

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

export const ACCESS = {
  tokens: [
    { name: 'ada', role: 'admin', sha256: sha256(TOKENS.admin) },
    { name: 'otto', role: 'operator', sha256: sha256(TOKENS.operator) },
    { name: 'vera', role: 'viewer', sha256: sha256(TOKENS.viewer) },
    { name: 'acme-otto', role: 'operator', tenants: ['acme'], sha256: sha256(TOKENS.acmeOperator) },
    { name: 'acme-vera', role: 'viewer', tenants: ['acme'], sha256: sha256(TOKENS.acmeViewer) },
  ],
} as const;

/** The clients of each node. */
const CONNECTIONS = ['ann', 'bob', 'cleo'];

export interface AdminCluster {
  readonly log: EmbeddedLog;
  readonly head: ConfigurationHead;
  readonly fleet: Fleet;
  /** Nobody drives them. */
  readonly rollouts: Rollouts;
  readonly api: AdminApi;
  readonly url: string;
  /** What the API could not do by its own fault. */
  readonly failures: Error[];
  /** Orders that nodes were given. */
  readonly orders: string[];
  /** One with a stream answers orders. */
  join(node: string, region: string, hasStream?: boolean): void;
  /** The node says that it runs the newest revision. */
  runs(node: string): void;
  refuses(node: string, revision: number, reason: string, resource?: ResourceKey): void;
  close(): Promise<void>;
}

export async function startAdminCluster(more: Partial<AdminApiOptions> = {}): Promise<AdminCluster> {
  const log = EmbeddedLog.open(undefined);
  const failures: Error[] = [];
  const orders: string[] = [];
  const head = await ConfigurationHead.open({
    log,
    nowMs: () => 1_700_000_000_000,
    onTrouble: (error) => failures.push(error as Error),
  });
  const records = EmbeddedRecords.open(undefined, () => 0);
  const rollouts = new Rollouts({ head, records, nowMs: () => 1_700_000_000_000 });
  const views = new Views(head, () => 0, rollouts);
  const fleet = new Fleet({
    head,
    views,
    nowMs: () => 1_700_000_000_000,
    elapsedMs: () => 0,
    orderElsewhere: (node, { what }) => {
      orders.push(`${node}: ${what.case}`);
      return node !== 'deaf';
    },
  });
  const api = await startAdminApi({
    head,
    fleet,
    rollouts,
    catalogue: [],
    access: ACCESS,
    listen: { port: 0 },
    onFailure: (error) => failures.push(error),
    ...more,
  });
  const obey = (node: string, { what }: Order) => {
    orders.push(`${node}: ${what.case}`);
    if (what.case !== 'listConnections') return;
    const { request, limit, cursor } = what.value;
    const all = [...CONNECTIONS.keys()].filter((id) => cursor === '' || id > Number(cursor));
    const page = all.slice(0, limit);
    fleet.listed(
      create(ConnectionListSchema, {
        node,
        incarnation: 'first',
        request,
        connections: page.map((id) => ({
          id: `c${id}`,
          endpoint: '/mcp',
          principal: CONNECTIONS[id] as string,
        })),
        nextCursor: page.length < all.length ? String(page.at(-1)) : '',
      }),
    );
  };
  const position = (revision: number) =>
    create(PositionSchema, { storeId: head.storeId, revision: BigInt(revision), digest: new Uint8Array() });
  return {
    log,
    head,
    fleet,
    rollouts,
    api,
    failures,
    orders,
    url: `${more.listen?.tls ? 'https' : 'http'}://127.0.0.1:${api.port}`,
    join(node, region, hasStream = false) {
      const hello = create(HelloSchema, { node, incarnation: 'first', region, version: '1.0.0' });
      const seen = { region, tenants: undefined };
      if (hasStream) fleet.joined(hello, seen, { order: (order) => obey(node, order), replaced() {} });
      else fleet.joined(hello, seen);
    },
    runs(node) {
      fleet.acknowledged(
        create(AcknowledgementSchema, {
          node,
          incarnation: 'first',
          position: position(head.revision),
        }),
      );
    },
    refuses(node, revision, reason, resource) {
      fleet.acknowledged(
        create(AcknowledgementSchema, {
          node,
          incarnation: 'first',
          position: position(revision),
          rejection: { reason, ...(resource && { resource }) },
        }),
      );
    },
    async close() {
      await api.close(0);
      fleet.close();
      rollouts.close();
      await records.close();
      head.close();
      await log.close();
    },
  };
}

/** Calls a method as a real client of gRPC does. */
export class GrpcCaller {
  private readonly clients;
  private readonly metadata = new Metadata();

  constructor(address: string, token?: string, channel: ChannelCredentials = credentials.createInsecure()) {
    if (token !== undefined) this.metadata.set('authorization', `Bearer ${token}`);
    this.clients = [ConfigurationService, FleetService, RolloutService, CatalogueService].map(
      (service: DescService) => {
        const Client = makeGenericClientConstructor(serviceDefinition(service), service.typeName);
        return { service, client: new Client(address, channel, { 'grpc.max_receive_message_length': -1 }) };
      },
    );
  }

  call<S extends DescService, N extends keyof S['method'] & string>(
    service: S,
    name: N,
    request: MessageInitShape<S['method'][N]['input']>,
  ): Promise<MessageShape<S['method'][N]['output']>> {
    const client = this.clients.find((each) => each.service === service)?.client;
    if (client === undefined) throw new TypeError(`nobody calls ${service.typeName}`);
    const { input } = service.method[name] as S['method'][N];
    const method = Reflect.get(client, name) as unknown as (...all: unknown[]) => void;
    return new Promise((resolve, reject) => {
      method.call(client, create(input, request), this.metadata, (error: unknown, answer: never) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
  }

  close(): void {
    for (const { client } of this.clients) client.close();
  }
}

/** What a gRPC error says in its details. */
export function statusOf(error: unknown) {
  const { code, details, metadata } = error as ServiceError;
  const [bytes] = metadata.get('grpc-status-details-bin');
  const status = bytes === undefined ? undefined : fromBinary(StatusSchema, bytes as Buffer);
  const detail = <D extends Parameters<typeof anyUnpack>[1] & { typeName: string }>(schema: D) =>
    status?.details.flatMap((each) => anyUnpack(each, schema as never) ?? [])[0];
  return {
    code,
    details,
    status,
    info: detail(ErrorInfoSchema) as MessageShape<typeof ErrorInfoSchema> | undefined,
    badRequest: detail(BadRequestSchema) as MessageShape<typeof BadRequestSchema> | undefined,
    invalid: detail(InvalidResourcesSchema) as MessageShape<typeof InvalidResourcesSchema> | undefined,
    conflict: detail(ConflictSchema) as MessageShape<typeof ConflictSchema> | undefined,
  };
}

/** An answer over HTTP. */
export interface RestAnswer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: JSON that a test looks into
  readonly body: any;
}

export class RestCaller {
  constructor(
    private readonly url: string,
    private readonly token?: string,
  ) {}

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<RestAnswer> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(this.token !== undefined && { authorization: `Bearer ${this.token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
  }
}
