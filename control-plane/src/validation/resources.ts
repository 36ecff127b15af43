/** Whether a change of resources may become a revision. */
import { create } from '@bufbuild/protobuf';
import { type Finding, FindingSchema } from '@sluice/proto/admin';
import {
  type Entry,
  keyOf,
  type ResourceKey,
  type ResourceState,
  type StateChange,
} from '@sluice/proto/cluster';

/** Something that keeps a configuration from being compiled. */
export interface CompileProblem {
  readonly resource?: ResourceKey;
  readonly field?: string;
  readonly reason: string;
  readonly hint?: string;
}

/** Compiles what would hold, with the data plane's own compiler; given by whoever starts the control plane. */
export type Compile = (after: ResourceState, change: StateChange) => Promise<readonly CompileProblem[]>;

/** What a name may be: it stands in paths, in keys and in what clients see. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** Errors first, then warnings. */
export async function validateChange(
  _before: ResourceState,
  after: ResourceState,
  change: StateChange,
  compile?: Compile,
): Promise<readonly Finding[]> {
  const findings = change.changed.flatMap(keyFindings);
  if (findings.length > 0 || compile === undefined) return findings;
  const problems = await compile(after, change);
  return problems.map(({ resource, field = '', reason, hint = '' }) =>
    create(FindingSchema, { ...(resource && { resource }), field, message: reason, hint }),
  );
}

function keyFindings({ resource }: Entry): Finding[] {
  const key = keyOf(resource);
  if (key === undefined) return [];
  const isPlugin = resource.spec.case === 'plugin';
  const hint = 'use at most 128 letters, digits, "_", "." and "-", and begin with a letter or a digit';
  const finding = (field: string, message: string) =>
    create(FindingSchema, { resource: key, field, message, hint });
  return [
    ...((isPlugin ? key.name !== '' : NAME.test(key.name)) ? [] : [finding('name', 'is no name')]),
    ...(key.tenant === '' || NAME.test(key.tenant) ? [] : [finding('tenant', 'is no name of a tenant')]),
  ];
}
