/**
 * References in the texts of resources: `${NAME}` is a variable of the node's environment, `${secret:NAME}` what a
 * Secret resource leads to, `${…:-default}` either with a default, and `$${` a literal `${`.
 */

/** What a reference is to, and how to get it; throws an Error that says what is missing. */
export interface ReferenceSource {
  variable(name: string): string | undefined;
  secret(name: string): string | undefined;
}

/** `$${`, or a reference, or the beginning of something that is neither. */
const REFERENCE = /\$\$\{|\$\{(?:(secret:)?([A-Za-z_0-9][\w.-]*?)(?::-((?:(?!\$\{)[^}])*))?\})?/g;

/** Called with where a text stands, as its field is written in a resource, and what is wrong there. */
export type Complain = (field: string, message: string) => never;

/** True when an encoded resource may hold a reference, which most do not. */
export function mayRefer(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes('${');
}

/** A copy of a message in which every reference is replaced by what it leads to. What is put in is not read again. */
export function withReferences<T>(message: T, source: ReferenceSource, complain: Complain): T {
  return replaced(message, '', source, complain) as T;
}

function replaced(value: unknown, field: string, source: ReferenceSource, complain: Complain): unknown {
  if (typeof value === 'string') return substituted(value, field, source, complain);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value))
    return value.map((each, index) => replaced(each, `${field}[${index}]`, source, complain));
  const isMessage = '$typeName' in value;
  const copy: object = Object.create(Object.getPrototypeOf(value));
  for (const [name, each] of Object.entries(value)) {
    const own = within(field, isMessage ? snakeCase(name) : name);
    // Not by assignment: a free-form member may be called `__proto__`.
    Object.defineProperty(copy, name, {
      value: name === '$typeName' && isMessage ? each : member(each, field, own, isMessage, source, complain),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}

function member(
  value: unknown,
  parent: string,
  own: string,
  isOfMessage: boolean,
  source: ReferenceSource,
  complain: Complain,
): unknown {
  if (!isOfMessage || !isChoice(value)) return replaced(value, own, source, complain);
  const { case: which, value: chosen } = value;
  return { case: which, value: replaced(chosen, within(parent, snakeCase(which)), source, complain) };
}

/** How protobuf-es holds a `oneof` of messages; free-form members never look like that. */
function isChoice(value: unknown): value is { case: string; value: object } {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 2) return false;
  const { case: which, value: chosen } = value as { case?: unknown; value?: unknown };
  return typeof which === 'string' && typeof chosen === 'object' && chosen !== null && '$typeName' in chosen;
}

function substituted(input: string, field: string, source: ReferenceSource, complain: Complain): string {
  if (!input.includes('${')) return input;
  let text = '';
  let end = 0;
  for (const match of input.matchAll(REFERENCE)) {
    const [whole, secret, name, fallback] = match;
    text += input.slice(end, match.index);
    end = match.index + whole.length;
    if (whole === '$${') text += '${';
    else if (name === undefined)
      complain(
        field,
        '`${` does not begin a reference: write ${NAME}, ${secret:NAME}, or $${ for a literal ${',
      );
    else text += found(secret === undefined ? 'variable' : 'secret', name, fallback, field, source, complain);
  }
  return text + input.slice(end);
}

function found(
  kind: 'variable' | 'secret',
  name: string,
  fallback: string | undefined,
  field: string,
  source: ReferenceSource,
  complain: Complain,
): string {
  let value: string | undefined;
  try {
    value = source[kind](name);
  } catch (thrown) {
    if (fallback === undefined) complain(field, thrown instanceof Error ? thrown.message : String(thrown));
  }
  if (fallback !== undefined && (value === undefined || value === '')) return fallback;
  if (value === undefined)
    complain(
      field,
      kind === 'variable'
        ? `the environment variable ${name} is not set on the node`
        : `there is no secret ${name}`,
    );
  return value as string;
}

function within(field: string, name: string): string {
  return field === '' ? name : `${field}.${name}`;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
