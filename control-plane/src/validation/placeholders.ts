/**
 * References as `${NAME}` in resources, whose values only nodes have: a rule looks at a placeholder instead, and what it
 * says of the form of that text is not said.
 */

/** Long enough to be a secret, and usual in most places. */
const PLACEHOLDER = '0123456789abcdef'.repeat(4);

const REFERENCE = /\$\$\{|\$\{[^}]*\}/g;

export interface WithPlaceholders<T> {
  readonly value: T;
  /** Where a reference stood, as fields are written in files. */
  readonly fields: ReadonlySet<string>;
}

const NO_FIELDS: ReadonlySet<string> = new Set();

/** @param bytes of the resource that the message is in; most hold no reference */
export function withPlaceholders<T>(message: T, bytes: Uint8Array): WithPlaceholders<T> {
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes('${'))
    return { value: message, fields: NO_FIELDS };
  const fields = new Set<string>();
  return { value: replaced(message, '', fields) as T, fields };
}

function replaced(value: unknown, field: string, fields: Set<string>): unknown {
  if (typeof value === 'string') {
    return value.replace(REFERENCE, (found) => {
      if (found === '$${') return '${';
      fields.add(field);
      return PLACEHOLDER;
    });
  }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((each, index) => replaced(each, `${field}[${index}]`, fields));
  const isMessage = '$typeName' in value;
  const copy: object = Object.create(Object.getPrototypeOf(value));
  for (const [name, each] of Object.entries(value)) {
    const own = isMessage ? snakeCase(name) : name;
    // Not by assignment: a free-form member may be called `__proto__`.
    Object.defineProperty(copy, name, {
      value: isMessage && name === '$typeName' ? each : member(each, field, own, isMessage, fields),
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
  fields: Set<string>,
): unknown {
  if (!isOfMessage || !isChoice(value)) return replaced(value, within(parent, own), fields);
  const { case: which, value: chosen } = value;
  return { case: which, value: replaced(chosen, within(parent, snakeCase(which)), fields) };
}

/** How protobuf-es holds a `oneof` of messages; free-form members never look like that. */
function isChoice(value: unknown): value is { case: string; value: object } {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 2) return false;
  const { case: which, value: chosen } = value as { case?: unknown; value?: unknown };
  return typeof which === 'string' && typeof chosen === 'object' && chosen !== null && '$typeName' in chosen;
}

function within(field: string, name: string): string {
  return field === '' ? name : `${field}.${name}`;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
