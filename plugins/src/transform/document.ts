/** Changes to one JSON document, compiled: the arguments of a call, its result, or an entry of a list. */
import { isDeepStrictEqual } from 'node:util';
import { type ConfigProblem, type Json, type JsonObject, type Static, Type } from '@sluice/sdk';
import { compileExpression } from '../expressions/expression.js';
import type { Scope } from '../expressions/scope.js';
import { compileTemplate } from '../expressions/template.js';
import {
  isInside,
  type Pointer,
  parsePointer,
  pointerProblem,
  valueAt,
  without,
  withValue,
} from '../pointer.js';
import { compilePatch, PatchOperation, patchProblems } from './json-patch.js';

const MAX_CHANGE_COUNT = 100;

export const DocumentChanges = Type.Object(
  {
    rename: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        maxProperties: MAX_CHANGE_COUNT,
        description: 'What is at one JSON Pointer goes to another; nothing where there is none.',
      }),
    ),
    remove: Type.Optional(
      Type.Array(Type.String(), { maxItems: MAX_CHANGE_COUNT, description: 'JSON Pointers to what goes.' }),
    ),
    set: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        maxProperties: MAX_CHANGE_COUNT,
        description:
          'Values by JSON Pointer. In texts {{principal.id}} stands for the value of that expression.',
      }),
    ),
    compute: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        maxProperties: MAX_CHANGE_COUNT,
        description: 'CEL expressions by JSON Pointer, whose values are put there.',
      }),
    ),
    patch: Type.Optional(
      Type.Array(PatchOperation, { maxItems: MAX_CHANGE_COUNT, description: 'JSON Patch (RFC 6902).' }),
    ),
  },
  { additionalProperties: false },
);
export type DocumentChanges = Static<typeof DocumentChanges>;

/**
 * The changed document; the same one when nothing changed.
 *
 * @throws NoPlace, NoValue
 */
export type Change = (document: JsonObject, ctx: Scope, locals: Scope, maxBytes: number) => JsonObject;

/** Where compiling writes what it finds. */
export interface Findings {
  readonly problems: ConfigProblem[];
  readonly reads: Set<string>;
}

/** A value that depends on the request, or one that is always the same. */
type Value = (ctx: Scope, locals: Scope) => Json;

/**
 * @param path of the changes in the configuration.
 * @param locals names that expressions may use beside the attributes.
 * @param isFixed says why a place is not to be changed.
 */
export function compileDocument(
  { rename = {}, remove = [], set = {}, compute = {}, patch }: DocumentChanges,
  path: string,
  locals: readonly string[],
  findings: Findings,
  isFixed: (pointer: Pointer) => string | undefined = () => undefined,
): Change {
  const places = new Places(findings, isFixed);
  const moves = Object.entries(rename).map(([from, to]) => {
    const move = {
      from: places.at(from, `${path}.rename.${from}`),
      to: places.at(to, `${path}.rename.${from}`),
    };
    if (isInside(move.from, move.to))
      findings.problems.push({ path: `${path}.rename.${from}`, message: 'goes inside of itself' });
    return move;
  });
  const removals = remove.map((each, index) => places.at(each, `${path}.remove[${index}]`));
  const values: { pointer: Pointer; value: Value }[] = [];
  for (const [each, value] of Object.entries(set)) {
    const own = `${path}.set.${each}`;
    values.push({ pointer: places.at(each, own), value: compileValue(value as Json, own, locals, findings) });
  }
  for (const [each, source] of Object.entries(compute)) {
    const own = `${path}.compute.${each}`;
    values.push({ pointer: places.at(each, own), value: compileComputed(source, own, locals, findings) });
  }
  const patched = compilePatchAt(patch, `${path}.patch`, places, findings);
  return function change(document, ctx, own, maxBytes) {
    // All expressions see the document as it came to this rule.
    const now = values.map(({ pointer, value }) => ({ pointer, value: value(ctx, own) }));
    let after = document;
    for (const { from, to } of moves) {
      const value = valueAt(after, from);
      if (value !== undefined) after = withValue(without(after, from), to, value);
    }
    for (const pointer of removals) after = without(after, pointer);
    for (const { pointer, value } of now) {
      if (!isDeepStrictEqual(valueAt(after, pointer), value)) after = withValue(after, pointer, value);
    }
    return patched === undefined ? after : patched(after, maxBytes);
  };
}

class Places {
  constructor(
    private readonly findings: Findings,
    private readonly isFixed: (pointer: Pointer) => string | undefined,
  ) {}

  at(text: string, path: string): Pointer {
    const message = pointerProblem(text) ?? this.isFixed(parsePointer(text));
    if (message === undefined) return parsePointer(text);
    this.findings.problems.push({ path, message });
    return ['unused'];
  }
}

function compilePatchAt(patch: DocumentChanges['patch'], path: string, places: Places, findings: Findings) {
  if (patch === undefined) return undefined;
  const problems = patchProblems(patch, path);
  findings.problems.push(...problems);
  if (problems.length > 0) return undefined;
  patch.forEach((operation, index) => {
    if (operation.op !== 'test') places.at(operation.path, `${path}[${index}].path`);
    if (operation.op === 'move' && operation.from !== undefined)
      places.at(operation.from, `${path}[${index}].from`);
  });
  return compilePatch(patch);
}

/** Texts with templates, wherever they stand in the value. */
function compileValue(value: Json, path: string, locals: readonly string[], findings: Findings): Value {
  if (typeof value === 'string') {
    const compiled = compileTemplate(value, locals);
    if (!compiled.ok) {
      findings.problems.push({ path, message: compiled.problem });
      return () => value;
    }
    const template = compiled.it;
    for (const read of template.reads) findings.reads.add(read);
    return template.isConstant ? () => value : (ctx, own) => template.text(ctx, own);
  }
  if (Array.isArray(value)) {
    const items = value.map((item, index) => compileValue(item, `${path}[${index}]`, locals, findings));
    return (ctx, own) => items.map((item) => item(ctx, own));
  }
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(
      ([name, member]) => [name, compileValue(member as Json, `${path}.${name}`, locals, findings)] as const,
    );
    return (ctx, own) => Object.fromEntries(members.map(([name, member]) => [name, member(ctx, own)]));
  }
  return () => value;
}

function compileComputed(source: string, path: string, locals: readonly string[], findings: Findings): Value {
  const compiled = compileExpression(source, locals);
  if (!compiled.ok) {
    findings.problems.push({ path, message: compiled.problem });
    return () => null;
  }
  const expression = compiled.it;
  for (const read of expression.reads) findings.reads.add(read);
  return (ctx, own) => expression.value(ctx, own);
}
