/**
 * Makes the class of what a hook is given: a getter for each attribute that was declared, and a throw for each that was
 * not. Declared attributes cost a property read; only an undeclared one meets the proxy behind the class.
 */
import { createHash } from 'node:crypto';
import { attributeProblem, EARLY_ATTRIBUTES } from './attributes.js';

/** A plugin read what it had not declared. Its author has to add it to `reads`. */
export class UndeclaredRead extends Error {
  override readonly name = 'UndeclaredRead';
  constructor(
    readonly plugin: string,
    readonly attribute: string,
    why: string,
  ) {
    super(`plugin ${plugin} read ${JSON.stringify(attribute)}: ${why}`);
  }
}

type Source = Readonly<Record<string, unknown>>;
type Get = (this: object) => unknown;
type ViewClass<Made extends readonly unknown[]> = new (...of: Made) => object;

/**
 * What views are made of. A view has the getters of it that were declared and none of the others, and holds what they
 * read in fields that are private to it, because a header or a claim may have any name.
 */
interface Origin<Made extends readonly unknown[]> {
  readonly base: ViewClass<Made>;
  /** Reads one attribute; undefined where there is no such attribute. */
  get(name: string): Get | undefined;
}

/** A class with a getter for each attribute. What is read through those of a class is as fast as a field. */
export function gettersOf<Made extends readonly unknown[]>(base: ViewClass<Made>): Origin<Made> {
  return {
    base,
    get(name) {
      for (let own = base.prototype; own !== Object.prototype; own = Object.getPrototypeOf(own)) {
        const get = Object.getOwnPropertyDescriptor(own, name)?.get;
        if (get !== undefined) return get;
      }
      return undefined;
    },
  };
}

/** Any object, whose members are read by their names. */
class Members {
  readonly #source: Source;
  constructor(source: object) {
    this.#source = source as Source;
  }
  static get(name: string): Get {
    return function (this: object) {
      return (this as Members).#source[name];
    };
  }
}
const MEMBERS: Origin<[source: object]> = { base: Members, get: Members.get };

/** What was declared below one name; undefined where all of it was. */
interface Declared {
  [part: string]: Declared | undefined;
}

/** Asked of everything by `await`, `console.log` and JSON. */
const ASKED_BY_THE_LANGUAGE: ReadonlySet<string> = new Set([
  'then',
  'toJSON',
  'constructor',
  'inspect',
  'nodeType',
]);

/** Makes both: what hooks are given before it is known who calls, and after. Throws a TypeError for an unknown attribute. */
export function viewClasses<Early extends readonly unknown[], Full extends readonly unknown[]>(
  plugin: string,
  reads: readonly string[],
  early: Origin<Early>,
  full: Origin<Full>,
): { early: ViewClass<Early>; full: ViewClass<Full> } {
  const declared: Declared = Object.create(null);
  for (const name of reads) {
    const problem = attributeProblem(name);
    if (problem !== undefined) throw new TypeError(`plugin ${plugin} reads ${problem}`);
    declare(declared, name);
  }
  const isEarly = (name: string) => EARLY_ATTRIBUTES.some((each) => each === name);
  return {
    early: viewClass(plugin, '', declared, early, (name) => !isEarly(name)),
    full: viewClass(plugin, '', declared, full, () => false),
  };
}

/** Both, over objects that have the attributes as members. */
export function memberViewClasses(plugin: string, reads: readonly string[]) {
  return viewClasses(plugin, reads, MEMBERS, MEMBERS);
}

/** The parts of an attribute's name. A header or a claim may have dots in its own, so no more is split than is known. */
function attributePath(name: string): readonly string[] {
  const [head, ...rest] = splitOnce(name);
  const [inner] = rest;
  if (inner === undefined) return [head];
  return head === 'principal' ? [head, ...attributePath(inner)] : [head, inner];
}

function declare(declared: Declared, name: string): void {
  const [head, ...rest] = splitOnce(name);
  if (rest[0] === undefined) {
    declared[head] = undefined;
    return;
  }
  // The whole contains its parts.
  if (head in declared && declared[head] === undefined) return;
  declared[head] ??= Object.create(null) as Declared;
  // A header or a claim may have dots in its name, so only the attributes' own parts are split further.
  if (head === 'principal') declare(declared[head], rest[0]);
  else declared[head][rest[0]] = undefined;
}

function splitOnce(name: string): [string, ...string[]] {
  const dot = name.indexOf('.');
  return dot === -1 ? [name] : [name.slice(0, dot), name.slice(dot + 1)];
}

function viewClass<Made extends readonly unknown[]>(
  plugin: string,
  path: string,
  declared: Declared,
  origin: Origin<Made>,
  isTooEarly: (name: string) => boolean,
): ViewClass<Made> {
  const View = class extends origin.base {};
  const undeclared = new Proxy(Object.create(null), {
    get(_, name) {
      if (typeof name === 'symbol' || ASKED_BY_THE_LANGUAGE.has(name)) return undefined;
      throw new UndeclaredRead(plugin, path + name, 'declare it in `reads`');
    },
  });
  Object.setPrototypeOf(View.prototype, undeclared);
  for (const [name, parts] of Object.entries(declared)) {
    const own = path + name;
    const whole = origin.get(name);
    let get = whole;
    if (isTooEarly(name)) {
      get = () => {
        throw new UndeclaredRead(plugin, own, 'it is not known before it is known who calls');
      };
    } else if (parts !== undefined && whole !== undefined) {
      const Part = viewClass(plugin, `${own}.`, parts, MEMBERS, () => false);
      get = function () {
        const value = whole.call(this);
        return value === undefined || value === null ? undefined : new Part(value);
      };
    }
    Object.defineProperty(View.prototype, name, { get, enumerable: true });
  }
  return View;
}

/** A configuration as a short text that says nothing of it but whether it is the same. */
export function editionOf(configured: string): string {
  return createHash('sha256').update(configured).digest('base64url').slice(0, 22);
}

/** The declared attributes alone, as an object that can be sent elsewhere and looked at there through a view. */
export function declaredOf(source: object, reads: readonly string[]): Readonly<Record<string, unknown>> {
  const picked: Record<string, unknown> = Object.create(null);
  // The whole contains its parts, so the shorter names come first.
  for (const name of [...reads].sort((a, b) => a.length - b.length))
    pick(source as Source, attributePath(name), picked);
  return picked;
}

function pick(source: Source, [head, ...rest]: readonly string[], into: Record<string, unknown>): void {
  const value = source[head as string];
  if (rest.length === 0) {
    into[head as string] = value;
    return;
  }
  // Where there is no whole there is no part, which is not the same as a whole without that part.
  if (typeof value !== 'object' || value === null) return;
  const inner = into[head as string];
  if (inner === value) return;
  into[head as string] ??= Object.create(null);
  pick(value as Source, rest, into[head as string] as Record<string, unknown>);
}

/** Reads the values of attributes, for a digest. Order is that of `reads`. */
export function compileValues(reads: readonly string[]): (source: object) => unknown[] {
  const read = reads.map(compileValue);
  return (source) => read.map((each) => each(source as Source));
}

/** No attribute has a dot in its own name; the names of headers and claims may. */
function compileValue(name: string): (source: Source) => unknown {
  const [root, path] = splitOnce(name) as [string, string?];
  if (path === undefined) return (source) => source[root];
  if (!path.includes('.')) return (source) => member(source[root], path);
  return (source) => {
    let value: unknown = source[root];
    let rest: string | undefined = path;
    while (rest !== undefined) {
      const isWhole: boolean = typeof value === 'object' && value !== null && rest in value;
      const [head, tail]: [string, string?] = isWhole ? [rest] : (splitOnce(rest) as [string, string?]);
      value = member(value, head);
      rest = tail;
    }
    return value;
  };
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Source)[name] : undefined;
}
