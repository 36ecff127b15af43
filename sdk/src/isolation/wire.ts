/**
 * Values of the interface as JSON, and back. What comes back was written by a plugin that may not be trusted, so every
 * reader here throws a TypeError for what it cannot be.
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { Changes } from '../exchange.js';
import { frozen } from '../frozen.js';
import type { Identity, JsonObject } from '../identity.js';
import { Outcome } from '../outcome.js';
import type { Decision, ListEntry, PageAnswer } from '../plugin.js';
import { type Fields, Refusal, RefusalKind } from '../refusal.js';
import { MAX_REMARKS_COUNT, REMARK_KINDS, type Remark } from '../remarks.js';
import { ISOLABLE_HOOKS, type LoadedFacts, type RunAnswer, type WireChanges } from './messages.js';

/** RFC 9110, sections 5.1 and 5.5: nothing that would end the field, or the head. */
const FieldName = Type.String({ pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$" });
const FieldValue = Type.String({ pattern: '^[\\t\\x20-\\x7e]*$', maxLength: 8_192 });
const FieldList = Type.Array(Type.Tuple([FieldName, FieldValue]), { maxItems: 64 });
const Members = Type.Record(Type.String(), Type.Unknown());

const REFUSAL = Type.Object({
  kind: Type.Union(Object.keys(RefusalKind).map((kind) => Type.Literal(kind as RefusalKind))),
  message: Type.String({ maxLength: 8_192 }),
  headers: Type.Optional(FieldList),
  data: Type.Optional(Type.Unknown()),
});

const OUTCOME = Type.Object({
  /** The result as JSON text. */
  json: Type.Optional(Type.String()),
  error: Type.Optional(
    Type.Object({ code: Type.Integer(), message: Type.String(), data: Type.Optional(Type.Unknown()) }),
  ),
  refusal: Type.Optional(REFUSAL),
  headers: Type.Optional(FieldList),
  /** It is what the hook was given, with the header fields beyond those that it had. */
  isGiven: Type.Optional(Type.Boolean()),
});

const IDENTITY = Type.Object(
  {
    id: Type.String({ minLength: 1, maxLength: 1_024 }),
    consumer: Type.Optional(Type.String()),
    tenant: Type.Optional(Type.String()),
    scopes: Type.Array(Type.String()),
    claims: Members,
    credential: Type.Optional(Type.String()),
    expiresAtMs: Type.Optional(Type.Number()),
  },
  { additionalProperties: false },
);

const CHANGES = Type.Object(
  {
    arguments: Type.Optional(Members),
    headers: Type.Optional(Type.Record(FieldName, Type.Union([FieldValue, Type.Null()]))),
  },
  { additionalProperties: false },
);

const ENTRIES = Type.Array(
  Type.Union([
    /** Place among those that were given. */
    Type.Integer({ minimum: 0 }),
    Type.Object({
      target: Type.Object({
        kind: Type.Union([Type.Literal('tool'), Type.Literal('prompt'), Type.Literal('resource')]),
        upstream: Type.String(),
        name: Type.String(),
      }),
      entry: Members,
    }),
  ]),
);

const PAGE = Type.Object({
  status: Type.Integer({ minimum: 200, maximum: 599 }),
  headers: FieldList,
  body: Type.String(),
});

const FACTS = Type.Object({
  name: Type.String(),
  version: Type.String(),
  reads: Type.Array(Type.String(), { maxItems: 256 }),
  hooks: Type.Array(Type.Union(ISOLABLE_HOOKS.map((name) => Type.Literal(name)))),
  challenge: Type.Optional(FieldValue),
});

type WireRefusal = Static<typeof REFUSAL>;
const REMARKS = Type.Array(
  Type.Object(
    {
      kind: Type.Union(REMARK_KINDS.map((kind) => Type.Literal(kind))),
      rule: Type.Optional(Type.String()),
      reason: Type.Optional(Type.String()),
      data: Type.Optional(Members),
      isEnforced: Type.Optional(Type.Literal(false)),
    },
    { additionalProperties: false },
  ),
  { maxItems: MAX_REMARKS_COUNT },
);

export type WireOutcome = Static<typeof OUTCOME>;

export function readFacts(value: unknown): LoadedFacts {
  return checked(FACTS, value, 'description of itself') as LoadedFacts;
}

export function wireRefusal({ kind, message, details: { headers, data } }: Refusal): WireRefusal {
  return { kind, message, ...(headers && { headers: pairs(headers) }), ...(data !== undefined && { data }) };
}

/** @param given what the hook was given; when that is what it gives back, it is not sent again. */
export function wireOutcome(outcome: Outcome, given?: Outcome): WireOutcome {
  const { refusal, error, headers } = outcome;
  if (given !== undefined && isSameBody(outcome, given)) {
    return { isGiven: true, headers: pairs(headers.slice(given.headers.length)) };
  }
  if (refusal !== undefined) return { refusal: wireRefusal(refusal), headers: pairs(headers) };
  if (error !== undefined) return { error, headers: pairs(headers) };
  return { json: outcome.resultJson as string, headers: pairs(headers) };
}

function isSameBody(a: Outcome, b: Outcome): boolean {
  if (a === b) return true;
  if (a.errorCode !== 0 || b.errorCode !== 0) return a.error !== undefined && a.error === b.error;
  return a.resultJson === b.resultJson;
}

function pairs(fields: Fields): [string, string][] {
  return fields.map(([name, value]) => [name, value]);
}

/** Reads what a hook may answer that has an outcome. */
export function readOutcome(value: unknown, given: Outcome | undefined): Outcome | Refusal {
  const wire = checked(OUTCOME, value, 'outcome');
  if (wire.isGiven === true) {
    if (given === undefined) throw new TypeError('the plugin gave back an outcome that it never got');
    return wire.headers === undefined || wire.headers.length === 0 ? given : given.withHeaders(wire.headers);
  }
  if (wire.refusal !== undefined) return refusalOf(wire.refusal);
  if (wire.error !== undefined) return withFields(Outcome.ofError(wire.error as never), wire.headers);
  const result: unknown = JSON.parse(wire.json ?? 'null');
  if (typeof result !== 'object' || result === null || Array.isArray(result))
    throw new TypeError('the plugin gave a result that is no object');
  return withFields(Outcome.ofResult(frozen(result as JsonObject)), wire.headers);
}

function withFields(outcome: Outcome, headers: Fields | undefined): Outcome {
  return headers === undefined || headers.length === 0 ? outcome : outcome.withHeaders(headers);
}

function refusalOf({ kind, message, headers, data }: WireRefusal): Refusal {
  return new Refusal(kind, message, {
    ...(headers && { headers }),
    ...(data !== undefined && { data }),
  } as never);
}

/** An answer that may be a refusal, as every hook's that has one. */
function refusalIn(value: unknown): Refusal | undefined {
  const isOne = typeof value === 'object' && value !== null && 'refusal' in value;
  return isOne ? refusalOf(checked(REFUSAL, (value as { refusal: unknown }).refusal, 'refusal')) : undefined;
}

export function readDecision(value: unknown): Decision {
  if (value === 'permit') return 'permit';
  return readNothing(value);
}

export function readIdentity(value: unknown): Identity | Refusal | undefined {
  const refusal = value === undefined || value === null ? undefined : refusalIn(value);
  if (refusal !== undefined || value === undefined || value === null) return refusal;
  return frozen(checked(IDENTITY, value, 'identity') as Identity);
}

/** For hooks that can refuse and say nothing else. */
export function readNothing(value: unknown): Refusal | undefined {
  if (value === undefined || value === null) return undefined;
  const refusal = refusalIn(value);
  if (refusal === undefined) throw new TypeError('the plugin answered what its hook cannot answer');
  return refusal;
}

export function readEntries(value: unknown, given: readonly ListEntry[]): readonly ListEntry[] {
  return checked(ENTRIES, value, 'list of entries').map((each) => {
    if (typeof each !== 'number') return frozen(each) as ListEntry;
    const own = given[each];
    if (own === undefined) throw new TypeError('the plugin gave back an entry that it never got');
    return own;
  });
}

export function wireEntries(own: readonly ListEntry[], given: readonly ListEntry[]): Static<typeof ENTRIES> {
  const places = new Map(given.map(({ entry }, place) => [entry, place]));
  return own.map(({ target, entry }) => places.get(entry) ?? ({ target, entry } as never));
}

/** What a hook came to: its answer for the reader of that, and what it said beside. */
export function readRemarks({ remarks }: RunAnswer): readonly Remark[] {
  return remarks === undefined ? [] : (frozen(checked(REMARKS, remarks, 'remark')) as Remark[]);
}

export function readPage(value: unknown): PageAnswer | undefined {
  return value === undefined || value === null ? undefined : checked(PAGE, value, 'page');
}

export function wireChanges({ arguments: own, headers }: Changes): WireChanges {
  const fields = Object.entries(headers ?? {}).map(([name, value]) => [name, value ?? null] as const);
  return {
    ...(own !== undefined && { arguments: own }),
    ...(headers !== undefined && { headers: Object.fromEntries(fields) }),
  };
}

export function readChanges(value: unknown): Changes | undefined {
  if (value === undefined) return undefined;
  const { arguments: own, headers } = checked(CHANGES, value, 'change');
  const fields = Object.entries(headers ?? {}).map(([name, field]) => [name, field ?? undefined] as const);
  return {
    ...(own !== undefined && { arguments: frozen(own as JsonObject) }),
    ...(headers !== undefined && { headers: Object.fromEntries(fields) }),
  };
}

function checked<T extends TSchema>(schema: T, value: unknown, what: string): Static<T> {
  if (Value.Check(schema, value)) return value;
  const first = Value.Errors(schema, value).First();
  throw new TypeError(`the plugin gave a ${what} that is none: ${first?.path} ${first?.message}`);
}
