/** The texts in a resource, and where they stand as its fields are written in files. */

/** True when an encoded resource may hold a reference, `${…}`, which most do not. */
export function mayRefer(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes('${');
}

/** What becomes of a text. @param field where it stands, as `transport.http.headers.Authorization` */
export type TextChange = (text: string, field: string) => string;

/** A copy of a message with every text of it changed, those of free-form members too. */
export function withTexts<T>(message: T, change: TextChange): T {
  return changed(message, '', change) as T;
}

function changed(value: unknown, field: string, change: TextChange): unknown {
  if (typeof value === 'string') return change(value, field);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((each, index) => changed(each, `${field}[${index}]`, change));
  const isMessage = '$typeName' in value;
  const copy: object = Object.create(Object.getPrototypeOf(value));
  for (const [name, each] of Object.entries(value)) {
    const own = within(field, isMessage ? snakeCase(name) : name);
    // Not by assignment: a free-form member may be called `__proto__`.
    Object.defineProperty(copy, name, {
      value: isMessage ? memberOfMessage(name, each, field, own, change) : changed(each, own, change),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}

function memberOfMessage(
  name: string,
  value: unknown,
  parent: string,
  own: string,
  change: TextChange,
): unknown {
  if (name === '$typeName') return value;
  if (!isChoice(value)) return changed(value, own, change);
  const { case: which, value: chosen } = value;
  return { case: which, value: changed(chosen, within(parent, snakeCase(which)), change) };
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
