/** Who calls the admin API, and what they may see and change. */
import { Role } from '@sluice/proto/admin';
import { type Resource, type ResourceKey, ResourceKind } from '@sluice/proto/cluster';
import type { MayTell } from '../fleet/fleet-view.js';
import { AdminError } from './admin-error.js';

export interface Caller {
  /** How it proved itself and who it is: `token/ci`, `oidc/alice`, `certificate/ops`. The author of revisions. */
  readonly name: string;
  readonly role: Role;
  /** Undefined: all of them, and what belongs to the operator. An admin always has all. */
  readonly tenants: readonly string[] | undefined;
}

export const ROLE_WORDS = ['viewer', 'operator', 'admin'] as const;
export type RoleWord = (typeof ROLE_WORDS)[number];

const ROLE_OF_WORD: Readonly<Record<RoleWord, Role>> = {
  viewer: Role.VIEWER,
  operator: Role.OPERATOR,
  admin: Role.ADMIN,
};

export function roleOfWord(word: RoleWord): Role {
  return ROLE_OF_WORD[word];
}

export function roleWord(role: Role): string {
  return ROLE_WORDS.find((word) => ROLE_OF_WORD[word] === role) ?? 'nobody';
}

/** What makes the cluster itself, whoever it belongs to. */
const CLUSTER_KINDS: readonly ResourceKind[] = [
  ResourceKind.GATEWAY,
  ResourceKind.REGION,
  ResourceKind.TENANT,
];

/** @throws AdminError when the role does not suffice */
export function requireRole({ name, role }: Caller, wanted: Role, what: string): void {
  if (role >= wanted && wanted !== Role.UNSPECIFIED) return;
  const message = `${what} needs the role ${roleWord(wanted)}, and ${name} is ${roleWord(role)}`;
  throw new AdminError('ROLE_TOO_LOW', message, { metadata: { role: roleWord(wanted) } });
}

/** What belongs to the operator is seen by everybody, but for the names of other tenants. */
export function maySee({ tenants }: Caller, { kind, tenant, name }: ResourceKey): boolean {
  if (tenants === undefined) return true;
  if (kind === ResourceKind.TENANT) return tenants.includes(name);
  return tenant === '' || tenants.includes(tenant);
}

/** Of which resources the caller may be told what nodes have against them; undefined: of all. */
export function mayTell(caller: Caller): MayTell | undefined {
  if (caller.tenants === undefined) return undefined;
  // What is about no single resource may name any.
  return (resource) => resource !== undefined && maySee(caller, resource);
}

/** @throws AdminError when the caller asks for a tenant of others; the same whether it exists or not */
export function requireTenant({ name, tenants }: Caller, tenant: string): void {
  if (tenant === '' || tenants === undefined || tenants.includes(tenant)) return;
  throw new AdminError('FOREIGN_TENANT', `${name} has no right to the tenant ${tenant}`, {
    metadata: { tenant },
  });
}

/** @throws AdminError for a caller who has not all tenants: what is asked for tells of clients of any of them */
export function requireAllTenants({ name, tenants }: Caller): void {
  if (tenants === undefined) return;
  const message = `connections are those of all tenants, and ${name} is limited to ${list(tenants)}`;
  throw new AdminError('CLUSTER_RESOURCE', message);
}

/** @throws AdminError when the caller may not write a resource of this key */
export function requireChange(caller: Caller, { kind, tenant }: ResourceKey): void {
  requireTenant(caller, tenant);
  if (caller.role >= Role.ADMIN) return;
  if (CLUSTER_KINDS.includes(kind)) {
    const message = 'the gateway, regions and tenants are changed by admins only';
    throw new AdminError('CLUSTER_RESOURCE', message);
  }
  if (tenant === '' && caller.tenants !== undefined) {
    const message = `what belongs to no tenant serves everybody, and ${caller.name} is limited to ${list(caller.tenants)}`;
    throw new AdminError('CLUSTER_RESOURCE', message);
  }
}

/**
 * Whoever is trusted with one tenant is not trusted with the machines: what runs a program, reads the environment or
 * files of a node, or reaches around its network is written by somebody who is trusted with all of them.
 *
 * @throws AdminError for a resource that does so
 */
export function requireNoNodeReach({ name, tenants }: Caller, resource: Resource): void {
  if (tenants === undefined) return;
  const reach = nodeReach(resource);
  if (reach === undefined) return;
  const message = `${name} is limited to ${list(tenants)}, and ${reach}: ask an admin to make it`;
  throw new AdminError('NODE_REACH', message);
}

/** `${NAME}`, but neither `${secret:NAME}`, which stays inside the tenant, nor the literal `$${`. */
const VARIABLE = /(?<!\$)\$\{(?!secret:)/;

function nodeReach(resource: Resource): string | undefined {
  const { spec } = resource;
  if (spec.case === 'secret') return 'a secret is read from the environment or a file of a node';
  if (spec.case === 'upstream' && spec.value.transport.case === 'stdio')
    return 'stdio runs a program on a node';
  if (spec.case === 'upstream' && spec.value.transport.case === 'http') {
    if (/^\s*unix:/i.test(spec.value.transport.value.url)) return 'a Unix socket is reached on a node';
  }
  if (spec.case === 'plugin') {
    if (/^(?:\.{0,2}\/|npm:)/.test(spec.value.plugin)) return 'a plugin from elsewhere runs code on a node';
    if (spec.value.mayFetch.length > 0) return 'may_fetch opens the network of a node';
  }
  if (VARIABLE.test(textOf(resource))) return '${NAME} reads the environment of a node';
  return undefined;
}

function textOf(resource: Resource): string {
  return JSON.stringify(resource, (_, value) => (typeof value === 'bigint' ? undefined : value));
}

function list(tenants: readonly string[]): string {
  return tenants.length === 0 ? 'no tenant' : tenants.join(', ');
}
