/** What of a configuration a node sees: what belongs to its region and to its tenants. */
import { createHash } from 'node:crypto';
import type { Resource } from '../gen/sluice/config/v1/resource_pb.js';

export interface View {
  /** Empty for a node that was started without a region: it sees what belongs to no particular one. */
  readonly region: string;
  /** Undefined: all of them. What belongs to the operator is seen by every node. */
  readonly tenants: readonly string[] | undefined;
}

export function sees({ region, tenants }: View, { tenant, regions }: Resource): boolean {
  return (
    (regions.length === 0 || regions.includes(region)) &&
    (tenant === '' || tenants === undefined || tenants.includes(tenant))
  );
}

/** Names a view in subjects; the same for all nodes that see the same. */
export function viewId({ region, tenants }: View): string {
  const text = JSON.stringify([region, tenants === undefined ? null : [...new Set(tenants)].sort()]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
