/**
 * Changes that are made once, however often they are sent: the id of a revision tells who made it with which key and
 * which request, so every replica knows it, and for as long as the revision is in the history.
 */
import { createHash } from 'node:crypto';
import { clone, create, type DescMessage, type JsonValue, type Message, toJson } from '@bufbuild/protobuf';
import { type WriteOptions, WriteOptionsSchema } from '@sluice/proto/admin';
import type { ConfigurationHead } from '../../revisions/head.js';
import { AdminError } from '../admin-error.js';
import type { Caller } from '../caller.js';

export interface Attempt {
  /** Of the revision that it makes. */
  readonly id: string;
  /** What all ids of this caller and key begin with. */
  readonly prefix: string;
}

const MAX_KEY_LENGTH = 255;

/** Undefined when there is no key. */
export function attemptOf(
  { name }: Caller,
  key: string,
  schema: DescMessage,
  request: Message & { readonly options?: WriteOptions | undefined },
): Attempt | undefined {
  if (key === '') return undefined;
  if (key.length > MAX_KEY_LENGTH)
    throw AdminError.field('options.idempotency_key', `has more than ${MAX_KEY_LENGTH} characters`);
  const prefix = `once:${digest(JSON.stringify([name, key]))}:`;
  return {
    prefix,
    id: prefix + digest(`${schema.typeName}\n${canonicalJson(whatItChanges(schema, request))}`),
  };
}

/** @throws AdminError when the key was used for another change */
export function requireSameRequest(head: ConfigurationHead, { id, prefix }: Attempt): void {
  const known = head.between(head.oldest, head.revision) ?? [];
  const other = known.findLast((revision) => revision.id.startsWith(prefix) && revision.id !== id);
  if (other === undefined) return;
  const message = `the idempotency key has made revision ${other.number} with another request; take a new key for every change`;
  throw new AdminError('IDEMPOTENCY_KEY_REUSED', message, { metadata: { revision: String(other.number) } });
}

/** Whoever repeats a change may wait for it in another way. */
function whatItChanges(
  schema: DescMessage,
  request: Message & { readonly options?: WriteOptions | undefined },
): JsonValue {
  const copy = clone(schema, request) as Message & { options?: WriteOptions };
  const { message = '', expectedRevision = 0n, rollout } = request.options ?? {};
  copy.options = create(WriteOptionsSchema, { message, expectedRevision, ...(rollout && { rollout }) });
  return toJson(schema, copy);
}

/** Maps have no order on the wire. */
function canonicalJson(value: JsonValue): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
