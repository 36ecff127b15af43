/** For each method of the admin API, what is tried with it to find out who may. A method without an entry fails. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type Message,
  type MessageInitShape,
} from '@bufbuild/protobuf';
import { Isolation } from '@sluice/proto';
import {
  AbortRolloutRequestSchema,
  ApplyRequestSchema,
  DeleteResourceRequestSchema,
  DiffRequestSchema,
  DrainNodeRequestSchema,
  EndConnectionRequestSchema,
  ExportRequestSchema,
  GetResourceRequestSchema,
  GetRevisionRequestSchema,
  GetRolloutRequestSchema,
  HistoryRequestSchema,
  ImportRequestSchema,
  ListConnectionsRequestSchema,
  ListNodeEventsRequestSchema,
  ListNodesRequestSchema,
  ListPluginsRequestSchema,
  ListResourcesRequestSchema,
  ListRolloutsRequestSchema,
  PromoteRolloutRequestSchema,
  PutResourceRequestSchema,
  RollbackRequestSchema,
  ValidateRequestSchema,
  WaitRevisionRequestSchema,
} from '@sluice/proto/admin';
import { type Resource, ResourceKind, ResourceSchema } from '@sluice/proto/cluster';

/** Something that is tried. */
export interface AuthorizationCase {
  /** What the call is about, for people. */
  readonly about: string;
  readonly request: Message;
  /** What an answer has to hold to count as one that shows it. */
  readonly shows?: string;
}

type Case = readonly [about: string, request: Message, shows?: string];

/** Whose it is: of the tenant that limited callers have, of another one, or of the operator. */
const OWNERS = [
  ['own tenant', 'acme'],
  ['foreign tenant', 'globex'],
  ['the operator', ''],
] as const;

const TENANTS = ['acme', 'globex', 'empty'];

/** The name of the consumer that each owner has. */
const nameOf = (tenant: string) => `somebody-at-${tenant || 'home'}`;

export function consumerOf(tenant: string, scopes: string[] = []): Resource {
  return create(ResourceSchema, {
    tenant,
    spec: { case: 'consumer', value: { name: nameOf(tenant), scopes } },
  });
}

/** What there is, one revision each. */
export const STORED: readonly Resource[] = [
  ...TENANTS.map((name) => create(ResourceSchema, { spec: { case: 'tenantSpec', value: { name } } })),
  ...OWNERS.map(([, tenant]) => consumerOf(tenant)),
];

const CLUSTER: readonly Resource[] = [
  create(ResourceSchema, { spec: { case: 'gateway', value: {} } }),
  create(ResourceSchema, { spec: { case: 'region', value: { name: 'eu' } } }),
  create(ResourceSchema, { spec: { case: 'tenantSpec', value: { name: 'initech' } } }),
];

/** What reaches into the machines that nodes run on. */
const REACHING: readonly (readonly [about: string, resource: Resource])[] = [
  [
    'own tenant, a program on nodes',
    create(ResourceSchema, {
      tenant: 'acme',
      spec: {
        case: 'upstream',
        value: { name: 'run', transport: { case: 'stdio', value: { command: 'sh' } } },
      },
    }),
  ],
  [
    'own tenant, a secret on nodes',
    create(ResourceSchema, {
      tenant: 'acme',
      spec: { case: 'secret', value: { name: 'key', source: { case: 'file', value: '/etc/key' } } },
    }),
  ],
  [
    'own tenant, a plugin from elsewhere that is not there',
    create(ResourceSchema, {
      tenant: 'acme',
      spec: { case: 'plugin', value: { name: 'x', plugin: './x.js' } },
    }),
  ],
  [
    'own tenant, a plugin that asks the network of nodes',
    create(ResourceSchema, {
      tenant: 'acme',
      spec: {
        case: 'plugin',
        value: {
          name: 'x',
          plugin: 'anonymous',
          isolation: Isolation.PROCESS,
          mayFetch: ['https://x.example.com'],
        },
      },
    }),
  ],
  [
    'own tenant, a variable of nodes',
    create(ResourceSchema, {
      tenant: 'acme',
      spec: {
        case: 'upstream',
        value: {
          name: 'v',
          transport: {
            case: 'http',
            value: { url: 'https://v.example.com/mcp', headers: { authorization: 'Bearer ${HOME}' } },
          },
        },
      },
    }),
  ],
  [
    'own tenant, a socket of nodes',
    create(ResourceSchema, {
      tenant: 'acme',
      spec: {
        case: 'upstream',
        value: { name: 's', transport: { case: 'http', value: { url: 'unix:///run/s.sock' } } },
      },
    }),
  ],
];

/** The revision that made the consumer of an owner. */
const madeBy = (index: number) => BigInt(TENANTS.length + index + 1);

const DRY = { dryRun: true };

function perOwner<D extends DescMessage>(
  schema: D,
  init: (tenant: string) => MessageInitShape<D>,
  shows: boolean,
): Case[] {
  return OWNERS.map(([about, tenant]) => {
    const request = create(schema, init(tenant));
    return shows ? [about, request, nameOf(tenant)] : [about, request];
  });
}

const everywhere = <D extends DescMessage>(schema: D, init: MessageInitShape<D>): Case[] => [
  ['the cluster', create(schema, init)],
];

const consumerKey = (tenant: string) => ({ kind: ResourceKind.CONSUMER, tenant, name: nameOf(tenant) });

const put = (resource: Resource, kind: ResourceKind, name: string) =>
  create(PutResourceRequestSchema, { kind, name, resource, options: DRY });

const apply = (resource: Resource) => create(ApplyRequestSchema, { resources: [resource], options: DRY });

const CASES: Readonly<Record<string, readonly Case[]>> = {
  GetResource: [
    ...perOwner(GetResourceRequestSchema, consumerKey, true),
    [
      'the tenant resource of a foreign tenant',
      create(GetResourceRequestSchema, { kind: ResourceKind.TENANT, name: 'globex' }),
      'globex',
    ],
  ],
  ListResources: [
    ...perOwner(ListResourcesRequestSchema, () => ({}), true),
    ...OWNERS.slice(0, 2).map(
      ([about, tenant]): Case => [
        `${about}, asked for by name`,
        create(ListResourcesRequestSchema, { tenant }),
        nameOf(tenant),
      ],
    ),
  ],
  PutResource: [
    ...OWNERS.map(
      ([about, tenant]): Case => [
        about,
        put(consumerOf(tenant, ['more']), ResourceKind.CONSUMER, nameOf(tenant)),
      ],
    ),
    [
      'foreign tenant, what is so already',
      put(consumerOf('globex'), ResourceKind.CONSUMER, nameOf('globex')),
    ],
    ['a region', put(CLUSTER[1] as Resource, ResourceKind.REGION, 'eu')],
  ],
  DeleteResource: [
    ...perOwner(DeleteResourceRequestSchema, (tenant) => ({ ...consumerKey(tenant), options: DRY }), false),
    [
      'a tenant',
      create(DeleteResourceRequestSchema, { kind: ResourceKind.TENANT, name: 'empty', options: DRY }),
    ],
  ],
  Apply: [
    ...OWNERS.map(([about, tenant]): Case => [about, apply(consumerOf(tenant, ['more']))]),
    ...OWNERS.map(
      ([about, tenant]): Case => [
        `${about}, by prune`,
        create(ApplyRequestSchema, {
          prune: { tenants: [tenant], kinds: [ResourceKind.CONSUMER] },
          options: DRY,
        }),
      ],
    ),
    ...CLUSTER.map(
      (resource): Case => [
        `a ${resource.spec.case === 'tenantSpec' ? 'tenant' : resource.spec.case}`,
        apply(resource),
      ],
    ),
    ...REACHING.map(([about, resource]): Case => [about, apply(resource)]),
    [
      'own tenant, in steps',
      create(ApplyRequestSchema, {
        resources: [consumerOf('acme', ['more'])],
        options: { ...DRY, rollout: {} },
      }),
    ],
  ],
  Validate: [
    ...OWNERS.map(
      ([about, tenant]): Case => [
        about,
        create(ValidateRequestSchema, { resources: [consumerOf(tenant, ['more'])] }),
      ],
    ),
    ...REACHING.slice(0, 1).map(
      ([about, resource]): Case => [about, create(ValidateRequestSchema, { resources: [resource] })],
    ),
  ],
  Diff: OWNERS.map(
    ([about, tenant], index): Case => [
      about,
      create(DiffRequestSchema, { from: madeBy(index) - 1n, to: madeBy(index) }),
      nameOf(tenant),
    ],
  ),
  History: perOwner(HistoryRequestSchema, () => ({}), true),
  GetRevision: OWNERS.map(
    ([about, tenant], index): Case => [
      about,
      create(GetRevisionRequestSchema, { revision: madeBy(index) }),
      nameOf(tenant),
    ],
  ),
  Rollback: everywhere(RollbackRequestSchema, { revision: 4n, options: DRY }),
  WaitRevision: everywhere(WaitRevisionRequestSchema, { wait: 'all' }),
  Export: everywhere(ExportRequestSchema, {}),
  Import: everywhere(ImportRequestSchema, { checkpoint: { resources: [...STORED] }, options: DRY }),
  ListNodes: everywhere(ListNodesRequestSchema, {}),
  DrainNode: everywhere(DrainNodeRequestSchema, { node: 'n1' }),
  ListNodeEvents: everywhere(ListNodeEventsRequestSchema, {}),
  ListConnections: everywhere(ListConnectionsRequestSchema, { node: 'n1' }),
  EndConnection: everywhere(EndConnectionRequestSchema, { node: 'n1', connection: 'c1' }),
  GetRollout: everywhere(GetRolloutRequestSchema, { revision: 1n }),
  ListRollouts: everywhere(ListRolloutsRequestSchema, {}),
  PromoteRollout: everywhere(PromoteRolloutRequestSchema, { revision: 1n }),
  AbortRollout: everywhere(AbortRolloutRequestSchema, { revision: 1n }),
  ListPlugins: everywhere(ListPluginsRequestSchema, {}),
};

/** @throws TypeError for a method that nobody has thought about */
export function casesOf({ name, parent }: DescMethod): AuthorizationCase[] {
  const cases = CASES[name];
  if (cases === undefined)
    throw new TypeError(
      `nobody has said how to find out who may call ${parent.name}.${name}: add it to CASES`,
    );
  return cases.map(([about, request, shows]) => ({ about, request, ...(shows !== undefined && { shows }) }));
}
