/**
 * Everything that a change of resources must pass before it may be a revision: rules for fields, rules for a resource
 * among all others, references, each plugin's own schema, and a compile with the very compiler of the data plane.
 */
import { type Finding, FindingSchema } from '@sluice/proto/admin';
import {
  create,
  type Entry,
  type KeyText,
  parseKeyText,
  type ResourceKey,
  type ResourceState,
  type StateChange,
} from '@sluice/proto/cluster';
import type { Problem } from './problem.js';
import { danglingLinks } from './references.js';
import { checkResource } from './resource-checks.js';
import { ResourceIndex } from './resource-index.js';
import { affectedByGateway, checkOwner, checkReachableGateway } from './resource-owners.js';

/** Something that cannot be compiled. */
export interface CompileProblem {
  /** Absent when it is no single one. */
  readonly resource?: ResourceKey;
  readonly field?: string;
  readonly reason: string;
  readonly hint?: string;
}

/** Compiles what would hold, with the data plane's own compiler; given by whoever starts the control plane. */
export type Compile = (after: ResourceState, change: StateChange) => Promise<readonly CompileProblem[]>;

/** Of the configuration that was looked at last: the next one differs from it by little. */
const index = new ResourceIndex();

/**
 * Looks at what is changed and at what that concerns; what else there is, is not looked at again.
 *
 * @param after what would hold; `before` and `after` can both be read
 * @returns errors first, then warnings; without errors it may be a revision
 */
export async function validateChange(
  before: ResourceState,
  after: ResourceState,
  change: StateChange,
  compile?: Compile,
): Promise<readonly Finding[]> {
  const findings = checkAll(before, after, change);
  if (findings.some(({ warning }) => !warning) || compile === undefined) return sorted(findings);
  const problems = await compile(after, change);
  return sorted([...findings, ...problems.map(findingOfCompile)]);
}

function checkAll(before: ResourceState, after: ResourceState, change: StateChange): Finding[] {
  index.follow(after);
  const changed = new Map<KeyText, Entry>(change.changed.map((entry) => [entry.key, entry]));
  const findings: Finding[] = [];
  const tell = (key: KeyText, problems: readonly Problem[]) => {
    for (const problem of problems) findings.push(findingOf(key, problem));
  };
  for (const [key, entry] of changed) {
    const owner = checkOwner(entry, index);
    const own = checkResource(entry, index, after);
    tell(key, [...owner, ...own]);
  }
  for (const [key, problems] of danglingLinks(before, change, index)) tell(key, problems);
  for (const [key, problems] of affectedByGateway(before, after, change)) tell(key, problems);
  for (const [key, problems] of checkReachableGateway(before, after, change, index)) tell(key, problems);
  return findings;
}

function findingOf(key: KeyText, { severity, path, message, hint }: Problem): Finding {
  const resource = parseKeyText(key);
  return create(FindingSchema, {
    ...(resource && { resource }),
    field: path,
    message,
    hint,
    warning: severity === 'warning',
  });
}

function findingOfCompile({ resource, field, reason, hint }: CompileProblem): Finding {
  return create(FindingSchema, {
    ...(resource && { resource }),
    field: field ?? '',
    message: reason,
    hint: hint ?? '',
  });
}

function sorted(findings: readonly Finding[]): Finding[] {
  return [...findings.filter(({ warning }) => !warning), ...findings.filter(({ warning }) => warning)];
}
