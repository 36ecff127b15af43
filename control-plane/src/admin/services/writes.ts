/** The methods of ConfigurationService that make a revision. All of them take the same way through `write`. */
import { create } from '@bufbuild/protobuf';
import {
  type ApplyRequest,
  ApplyRequestSchema,
  type DeleteResourceRequest,
  DeleteResourceRequestSchema,
  type ImportRequest,
  ImportRequestSchema,
  type PruneScope,
  type PutResourceRequest,
  PutResourceRequestSchema,
  type RollbackRequest,
  RollbackRequestSchema,
  type ValidateRequest,
  type ValidateResponse,
  ValidateResponseSchema,
  type WriteResponse,
} from '@sluice/proto/admin';
import {
  type Checkpoint,
  entryOf,
  type KeyText,
  keyName,
  keyNameOf,
  keyOf,
  keyText,
  type Resource,
  type ResourceKey,
  ResourceKeySchema,
  ResourceState,
} from '@sluice/proto/cluster';
import type { Wanted } from '../../revisions/head.js';
import { AdminError } from '../admin-error.js';
import type { Call } from '../bound-method.js';
import { type Caller, requireChange, requireTenant } from '../caller.js';
import { redactedChange } from '../redaction.js';
import { look } from './look.js';
import { revisionNumber } from './numbers.js';
import { missing, requireKind } from './reads.js';
import { knownKey, stateAt } from './states.js';
import { type Writing, write } from './write.js';

/** Resources in one request. */
const MAX_RESOURCE_COUNT = 50_000;

export function putResource(
  writing: Writing,
  request: PutResourceRequest,
  call: Call,
): Promise<WriteResponse> {
  const { kind, name, resource, etag } = request;
  requireKind(kind);
  if (resource === undefined) throw AdminError.field('resource', 'is missing');
  const key = keyOfSent(resource, 'resource');
  if (key.kind !== kind || key.name !== name)
    throw AdminError.field(
      'resource',
      `is ${keyName(key)}, and the request names ${name} of another kind or name`,
    );
  requireChange(call.caller, key);
  return write(writing, call, {
    schema: PutResourceRequestSchema,
    request,
    etagOf: key,
    plan(state) {
      requireEtag(state, key, etag);
      return { changed: [resource], removed: [] };
    },
  });
}

export function deleteResource(
  writing: Writing,
  request: DeleteResourceRequest,
  call: Call,
): Promise<WriteResponse> {
  const { kind, name, tenant, etag } = request;
  requireKind(kind);
  const key = create(ResourceKeySchema, { kind, tenant, name });
  requireChange(call.caller, key);
  return write(writing, call, {
    schema: DeleteResourceRequestSchema,
    request,
    plan(state) {
      requireEtag(state, key, etag);
      if (state.get(keyText(key)) === undefined) throw missing(kind, tenant, name);
      return { changed: [], removed: [keyText(key)] };
    },
  });
}

export function apply(writing: Writing, request: ApplyRequest, call: Call): Promise<WriteResponse> {
  const { resources, prune, remove } = request;
  const plan = applied(resources, prune, remove, call);
  return write(writing, call, { schema: ApplyRequestSchema, request, plan });
}

export async function validate(
  writing: Writing,
  { resources, prune }: ValidateRequest,
  call: Call,
): Promise<ValidateResponse> {
  const { head, compile } = writing;
  const { state, revision } = head;
  const wanted = applied(resources, prune, [], call)(state);
  const { findings, changes } = await look(state, revision, wanted, call.caller, 'look', compile);
  return create(ValidateResponseSchema, { findings: [...findings], changes: changes.map(redactedChange) });
}

export function rollback(writing: Writing, request: RollbackRequest, call: Call): Promise<WriteResponse> {
  const { head } = writing;
  const revision = revisionNumber('revision', request.revision);
  if (revision === 0) throw AdminError.field('revision', 'say which revision to go back to');
  const wanted = stateAt(head, revision);
  // The newest state is the head's own, which changes under whoever keeps it.
  const kept = wanted === head.state ? wanted.fork() : wanted;
  return write(writing, call, {
    schema: RollbackRequestSchema,
    request,
    restores: revision,
    plan: (state) => replaced(state, kept),
  });
}

export function importAll(writing: Writing, request: ImportRequest, call: Call): Promise<WriteResponse> {
  const { checkpoint } = request;
  if (checkpoint === undefined) throw AdminError.field('checkpoint', 'is missing');
  const wanted = stateOf(checkpoint);
  const isOwn = checkpoint.storeId === writing.head.storeId;
  return write(writing, call, {
    schema: ImportRequestSchema,
    request,
    restores: isOwn ? revisionNumber('checkpoint.revision', checkpoint.revision) : 0,
    plan: (state) => replaced(state, wanted),
  });
}

function applied(
  resources: readonly Resource[],
  prune: PruneScope | undefined,
  remove: readonly ResourceKey[],
  { caller }: Call,
): (state: ResourceState) => Wanted {
  for (const [field, { length }] of Object.entries({ resources, remove }))
    if (length > MAX_RESOURCE_COUNT) throw AdminError.field(field, `are more than ${MAX_RESOURCE_COUNT}`);
  const places = new Map<KeyText, number>();
  for (const [index, resource] of resources.entries()) {
    const text = keyText(keyOfSent(resource, `resources[${index}]`));
    const first = places.get(text);
    if (first !== undefined)
      throw AdminError.field(
        `resources[${index}]`,
        `is ${keyNameOf(text)}, which resources[${first}] is too`,
      );
    places.set(text, index);
  }
  if (prune !== undefined && prune.tenants.length === 0)
    throw AdminError.field('prune.tenants', 'say whose resources may be removed; "" is the operator');
  for (const tenant of prune?.tenants ?? []) requireTenant(caller, tenant);
  const unwanted = unwantedKeys(remove, places, caller);
  return (state) => {
    for (const [key, { kind, tenant, name }] of unwanted)
      if (state.get(key) === undefined) throw missing(kind, tenant, name);
    const removed: KeyText[] = [...unwanted.keys()];
    if (prune !== undefined)
      for (const { key, resource } of state.entries())
        if (!places.has(key) && !unwanted.has(key) && isPruned(prune, resource)) removed.push(key);
    return { changed: resources, removed };
  };
}

/** Once each. Whether they are there is nobody's business who may not remove them. */
function unwantedKeys(
  remove: readonly ResourceKey[],
  places: ReadonlyMap<KeyText, number>,
  caller: Caller,
): ReadonlyMap<KeyText, ResourceKey> {
  const keys = new Map<KeyText, ResourceKey>();
  for (const [index, key] of remove.entries()) {
    requireKind(key.kind, `remove[${index}].kind`);
    requireChange(caller, key);
    const text = keyText(key);
    const wanted = places.get(text);
    if (wanted !== undefined)
      throw AdminError.field(`remove[${index}]`, `is ${keyName(key)}, which resources[${wanted}] is too`);
    keys.set(text, key);
  }
  return keys;
}

function isPruned({ tenants, kinds, labels }: PruneScope, resource: Resource): boolean {
  return (
    tenants.includes(resource.tenant) &&
    (kinds.length === 0 || kinds.includes(knownKey(resource).kind)) &&
    Object.entries(labels).every(([name, value]) => resource.labels[name] === value)
  );
}

/** Everything as it is in another state, and nothing else. */
function replaced(state: ResourceState, wanted: ResourceState): Wanted {
  const removed = [...state.entries()].map(({ key }) => key).filter((key) => wanted.get(key) === undefined);
  return { changed: [...wanted.entries()].map(({ resource }) => resource), removed };
}

function stateOf({ resources, digest }: Checkpoint): ResourceState {
  for (const [index, resource] of resources.entries()) keyOfSent(resource, `checkpoint.resources[${index}]`);
  const state = ResourceState.of(resources.map(entryOf));
  if (state.size !== resources.length)
    throw AdminError.field('checkpoint.resources', 'hold one resource more than once');
  // One that was written by hand has none.
  if (digest.byteLength > 0 && Buffer.compare(state.digest, digest) !== 0)
    throw AdminError.field(
      'checkpoint.digest',
      'does not fit the resources: the backup is damaged, or was changed; leave the digest out if that was on purpose',
    );
  return state;
}

function keyOfSent(resource: Resource, field: string): ResourceKey {
  const key = keyOf(resource);
  if (key === undefined)
    throw AdminError.field(
      field,
      'is nothing: give it one of upstream, endpoint, virtual_server, consumer, credential, policy, plugin, limit, secret, region, tenant_spec or gateway',
    );
  return key;
}

/** @throws AdminError when the resource is another than the caller has seen */
function requireEtag(state: ResourceState, key: ResourceKey, etag: string): void {
  if (etag === '') return;
  const now = state.get(keyText(key))?.resource.revision;
  if (etag === '*' ? now !== undefined : etag === String(now ?? 0n)) return;
  const seen =
    etag === '0'
      ? 'there was to be none'
      : etag === '*'
        ? 'there was to be one'
        : `the caller has seen ${etag}`;
  const is = now === undefined ? 'there is none' : `revision ${now} has changed it`;
  throw new AdminError('ETAG_MISMATCH', `${keyName(key)}: ${seen}, and ${is}`, {
    metadata: { etag: String(now ?? 0n) },
  });
}
