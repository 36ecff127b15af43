/** JSON Patch (RFC 6902), with places of the document itself alone. */
import { isDeepStrictEqual } from 'node:util';
import { type ConfigProblem, type JsonObject, type Static, Type } from '@sluice/sdk';
import { applyPatch, type Operation } from 'rfc6902';
import { isInside, NoPlace, type Pointer, parsePointer, pointerProblem, valueAt } from '../pointer.js';
import { isWithin } from './size.js';

export const PatchOperation = Type.Object(
  {
    op: Type.Union(
      ['add', 'remove', 'replace', 'move', 'copy', 'test'].map((op) => Type.Literal(op)),
      { description: 'add, remove, replace, move, copy or test.' },
    ),
    path: Type.String({ description: 'JSON Pointer to the place.' }),
    from: Type.Optional(Type.String({ description: 'JSON Pointer to what is moved or copied.' })),
    value: Type.Optional(Type.Unknown({ description: 'What is put there, or has to be there.' })),
  },
  { additionalProperties: false },
);
type PatchOperation = Static<typeof PatchOperation>;

/** The patched document; the same one when a `test` of the patch says that it is not for this document. */
export type Patch = (document: JsonObject, maxBytes: number) => JsonObject;

export function patchProblems(operations: readonly PatchOperation[], path: string): ConfigProblem[] {
  return operations.flatMap((operation, index) => {
    const own = `${path}[${index}]`;
    const problems: ConfigProblem[] = [];
    const place = pointerProblem(operation.path);
    if (place !== undefined) problems.push({ path: `${own}.path`, message: place });
    const needsFrom = operation.op === 'move' || operation.op === 'copy';
    if (needsFrom !== (operation.from !== undefined))
      problems.push({
        path: `${own}.from`,
        message: needsFrom ? 'is missing' : `means nothing with ${operation.op}`,
      });
    const from = operation.from === undefined ? undefined : pointerProblem(operation.from);
    if (from !== undefined) problems.push({ path: `${own}.from`, message: from });
    const needsValue = ['add', 'replace', 'test'].includes(operation.op);
    if (needsValue !== 'value' in operation)
      problems.push({
        path: `${own}.value`,
        message: needsValue ? 'is missing' : `means nothing with ${operation.op}`,
      });
    if (problems.length === 0 && operation.from !== undefined) {
      const [outer, inner] = [parsePointer(operation.from), parsePointer(operation.path)];
      if (isInside(outer, inner))
        problems.push({ path: `${own}.path`, message: 'is inside of what is moved' });
    }
    return problems;
  });
}

/** @param operations without {@link patchProblems}. */
export function compilePatch(operations: readonly PatchOperation[]): Patch {
  const steps = operations.map((operation) => ({
    operation: operation as Operation,
    path: parsePointer(operation.path),
    from: operation.from === undefined ? undefined : parsePointer(operation.from),
  }));
  return function patch(document, maxBytes) {
    const copy = structuredClone(document);
    for (const { operation, path, from } of steps) {
      if (operation.op === 'test') {
        // The library compares lists by looking for the shortest way from one to the other.
        if (!isDeepStrictEqual(valueAt(copy, path), operation.value)) return document;
        continue;
      }
      place(copy, path, operation.op, operation.op === 'replace' || operation.op === 'remove');
      if (from !== undefined) place(copy, from, operation.op, true);
      const [error] = applyPatch(copy, [operation]);
      if (error) throw new NoPlace(`${operation.op} finds no place at ${operation.path}`);
      // Copies of copies grow fast.
      if (operation.op === 'copy' && !isWithin(copy, maxBytes))
        throw new NoPlace('the patch makes it too large');
    }
    return isDeepStrictEqual(copy, document) ? document : copy;
  };
}

/** The library follows inherited members too (`/toString/x`); here every step is one of the document's own. */
function place(document: JsonObject, pointer: Pointer, op: string, isThere: boolean): void {
  const parent = valueAt(document, pointer.slice(0, -1));
  const last = pointer[pointer.length - 1] as string;
  if (Array.isArray(parent)) {
    const isBehind = last === '-' || last === String(parent.length);
    if ((isBehind && !isThere) || valueAt(parent, [last]) !== undefined) return;
  } else if (typeof parent === 'object' && parent !== null) {
    if (!isThere || Object.hasOwn(parent, last)) return;
  }
  throw new NoPlace(`${op} finds no place at /${pointer.join('/')}`);
}
