/** What a change would be, and what is wrong with it. */
import { create } from '@bufbuild/protobuf';
import { type Finding, FindingSchema } from '@sluice/proto/admin';
import { type Change, keyText, parseKeyText, type Resource, type ResourceState } from '@sluice/proto/cluster';
import { changeOf, changesIn } from '../../revisions/draft.js';
import type { Wanted } from '../../revisions/head.js';
import { type Compile, validateChange } from '../../validation/resources.js';
import { type Caller, maySee, requireChange, requireNoNodeReach, requireTenant } from '../caller.js';
import { restored } from '../redaction.js';
import { knownKey } from './states.js';
import { unreadableIn } from './unreadable.js';

export interface Look {
  /** With the secrets that marks stand for. */
  readonly wanted: Wanted;
  /** With secrets. */
  readonly changes: readonly Change[];
  /** Errors first. */
  readonly findings: readonly Finding[];
}

const NOTHING: Wanted = { changed: [], removed: [] };

/**
 * @param state that of `revision`
 * @param aim who only looks need not be one who may change it
 * @throws AdminError when the caller may not
 */
export async function look(
  state: ResourceState,
  revision: number,
  { changed, removed }: Wanted,
  caller: Caller,
  aim: 'change' | 'look',
  compile: Compile | undefined,
): Promise<Look> {
  // For what is so already too: whether it is so is nobody else's business.
  const keys = [...changed.map(knownKey), ...removed.flatMap((key) => parseKeyText(key) ?? [])];
  for (const key of keys) {
    if (aim === 'change') requireChange(caller, key);
    else requireTenant(caller, key.tenant);
  }
  const unreadable = changed.flatMap((resource) => unreadableIn(resource) ?? []);
  if (unreadable.length > 0) return { wanted: NOTHING, changes: [], findings: unreadable };
  const marks: Finding[] = [];
  const whole = changed.map((resource) => withSecrets(resource, state, marks));
  const wanted = { changed: whole, removed };
  const change = changeOf(state, wanted, revision + 1);
  for (const { resource } of change.changed) requireNoNodeReach(caller, resource);
  const changes = changesIn(state, change);
  // A state is handed on to the next one, which somebody may make while this one is looked at.
  const before = state.fork();
  const after = state.fork().with(change);
  const found = marks.length > 0 ? marks : await validateChange(before, after, change, compile);
  return { wanted, changes, findings: found.flatMap((finding) => findingFor(caller, finding)) };
}

export function isError({ warning }: Finding): boolean {
  return !warning;
}

function withSecrets(resource: Resource, state: ResourceState, marks: Finding[]): Resource {
  const key = knownKey(resource);
  const { resource: whole, unknownFields } = restored(resource, state.get(keyText(key))?.resource);
  for (const field of unknownFields)
    marks.push(
      create(FindingSchema, {
        resource: key,
        field,
        message: 'stands for a secret that is not stored there for this address',
        hint: 'send the secret itself, or ${secret:NAME}',
      }),
    );
  return whole;
}

/** What others have can stand against a change; what it is, is their business. */
function findingFor(caller: Caller, finding: Finding): Finding[] {
  const { resource } = finding;
  // What is about no single resource may name any.
  if (resource === undefined ? caller.tenants === undefined : maySee(caller, resource)) return [finding];
  if (finding.warning) return [];
  return [
    create(FindingSchema, {
      message:
        resource === undefined
          ? 'with it the configuration of all could not be run'
          : 'it would make a resource of another tenant invalid',
      hint: 'ask an admin, who sees which one',
    }),
  ];
}
