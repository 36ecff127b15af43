/**
 * Everything that a change of resources must pass before it may be a revision: rules for fields, rules for a resource
 * among all others, references, each plugin's own schema, and a compile with the very compiler of the data plane.
 */
import { type Finding, FindingSchema } from '@sluice/proto/admin';
import {
  create,
  type Entry,
  fieldViolations,
  type KeyText,
  parseKeyText,
  type ResourceKey,
  type ResourceState,
  type StateChange,
} from '@sluice/proto/cluster';
import { lostChecks } from './lost-checks.js';
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
  const broken = await brokenFields(change);
  const findings = checkAll(before, after, change, broken);
  if (findings.some(({ warning }) => !warning) || compile === undefined) return sorted(findings);
  const problems = await compile(after, change);
  return sorted([...findings, ...problems.map(findingOfCompile)]);
}

/** Largest resource: a change and what was there before have to fit into one message of any store. */
const MAX_RESOURCE_BYTES = 256 * 1024;

/** So many are looked at before others have their turn. */
const TURN_COUNT = 50;

/** Problems of fields by themselves, of those resources that have any. */
async function brokenFields({ changed }: StateChange): Promise<ReadonlyMap<KeyText, readonly Problem[]>> {
  const broken = new Map<KeyText, readonly Problem[]>();
  for (const [at, { key, resource, bytes }] of changed.entries()) {
    const problems: Problem[] = (await fieldViolations(resource)).map(({ field, message, hint }) => ({
      severity: 'error',
      path: field,
      message,
      hint,
    }));
    if (bytes.length > MAX_RESOURCE_BYTES) {
      const message = `${bytes.length} bytes in all`;
      const hint = `make it at most ${MAX_RESOURCE_BYTES} bytes, or several of it`;
      problems.push({ severity: 'error', path: '', message, hint });
    }
    if (problems.length > 0) broken.set(key, problems);
    if (at % TURN_COUNT === TURN_COUNT - 1) await new Promise(setImmediate);
  }
  return broken;
}

function checkAll(
  before: ResourceState,
  after: ResourceState,
  change: StateChange,
  broken: ReadonlyMap<KeyText, readonly Problem[]>,
): Finding[] {
  index.follow(after);
  const changed = new Map<KeyText, Entry>(change.changed.map((entry) => [entry.key, entry]));
  const findings: Finding[] = [];
  const tell = (key: KeyText, problems: readonly Problem[]) => {
    for (const problem of errorsFirst(problems).slice(0, MAX_TOLD_COUNT))
      findings.push(findingOf(key, problem));
  };
  for (const [key, entry] of changed) {
    // The other rules take for granted that values are those of the schema.
    tell(key, broken.get(key) ?? [...checkOwner(entry, index), ...checkResource(entry, index, after)]);
  }
  for (const [key, problems] of danglingLinks(before, change, index)) tell(key, problems);
  for (const [key, problems] of affectedByGateway(before, after, change)) tell(key, problems);
  for (const [key, problems] of checkReachableGateway(before, after, change, index)) tell(key, problems);
  // What is refused anyway takes nothing away.
  if (findings.every(({ warning }) => warning))
    for (const [key, problems] of lostChecks(before, after, change, index)) tell(key, problems);
  return findings;
}

/** Of one resource; who mends those hears of the others. */
const MAX_TOLD_COUNT = 20;

/** Longest text of a finding: what somebody wrote may be of any length. */
const MAX_TEXT_LENGTH = 500;

function clipped(text: string): string {
  return text.length <= MAX_TEXT_LENGTH ? text : `${text.slice(0, MAX_TEXT_LENGTH)}…`;
}

function errorsFirst(problems: readonly Problem[]): readonly Problem[] {
  const isError = ({ severity }: Problem) => severity === 'error';
  return [...problems.filter(isError), ...problems.filter((each) => !isError(each))];
}

function findingOf(key: KeyText, { severity, path, message, hint }: Problem): Finding {
  const resource = parseKeyText(key);
  return create(FindingSchema, {
    ...(resource && { resource }),
    field: clipped(path),
    message: clipped(message),
    hint: clipped(hint),
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
