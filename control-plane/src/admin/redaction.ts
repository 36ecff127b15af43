/**
 * No answer holds a secret. Where one is, an answer says `[redacted:FIELD]`; whoever sends that back, because they
 * changed something else, means the secret that is stored there.
 */
import { clone } from '@bufbuild/protobuf';
import { type Change, ChangeSchema, type Resource, ResourceSchema } from '@sluice/proto/cluster';
import { secretsOf } from './secrets.js';

const MARK = /^\[redacted:(.+)\]$/;

/** A secret alone that is only spoken of: `${NAME}`, `${secret:NAME}`, with a word like Bearer in front. */
const REFERENCE = /^(?:[A-Za-z]+ )?\$\{(?:secret:)?[A-Za-z0-9_.-]+\}$/;

/** @param before as it was; that a secret is another one now can be seen */
export function redacted(resource: Resource, before?: Resource): Resource {
  const copy = clone(ResourceSchema, resource);
  const known = new Map(
    before === undefined ? [] : secretsOf(before).map(({ field, value }) => [field, value]),
  );
  for (const { field, value, replace } of secretsOf(copy)) {
    const earlier = known.get(field);
    const isOther = earlier !== undefined && earlier !== value;
    if (value !== '' && !REFERENCE.test(value)) replace(`[redacted:${field}${isOther ? ', changed' : ''}]`);
  }
  return copy;
}

export function redactedChange({ $typeName: _, key, before, after }: Change): Change {
  return {
    $typeName: ChangeSchema.typeName,
    ...(key && { key }),
    ...(before && { before: redacted(before) }),
    ...(after && { after: redacted(after, before) }),
  };
}

/** A resource with what marks stand for, and the fields whose marks stand for nothing. */
export interface Restored {
  readonly resource: Resource;
  readonly unknownFields: readonly string[];
}

/** @param stored the resource that is there now under the same key */
export function restored(resource: Resource, stored: Resource | undefined): Restored {
  const copy = clone(ResourceSchema, resource);
  const marked = secretsOf(copy).filter(({ value }) => MARK.test(value));
  if (marked.length === 0) return { resource: copy, unknownFields: [] };
  const known = new Map(
    stored === undefined || goesTo(stored) !== goesTo(copy)
      ? []
      : secretsOf(clone(ResourceSchema, stored)).map(({ field, value }) => [field, value]),
  );
  const unknownFields: string[] = [];
  for (const { field, value, replace } of marked) {
    const secret = known.get(MARK.exec(value)?.[1] as string);
    if (secret === undefined) unknownFields.push(field);
    else replace(secret);
  }
  return { resource: copy, unknownFields };
}

/**
 * Who is handed the secrets of a resource. Whoever may change a resource need not know its secrets, so with another
 * receiver they have to be sent again: else they could be had by naming a server of one's own.
 */
function goesTo({ spec }: Resource): string {
  if (spec.case === 'plugin') return `${spec.value.plugin} ${spec.value.hash}`;
  if (spec.case !== 'upstream') return '';
  const { transport } = spec.value;
  if (transport.case === undefined) return '';
  if (transport.case === 'stdio') return JSON.stringify([transport.value.command, transport.value.args]);
  return originOf(transport.value.url);
}

/** Scheme, user, host and port, as they are written; of any other URL all of it but the query. */
function originOf(url: string): string {
  return /^(?:https?|wss?):\/\/[^/?#\\]*/i.exec(url)?.[0].toLowerCase() ?? url.replace(/\?.*$/s, '');
}
