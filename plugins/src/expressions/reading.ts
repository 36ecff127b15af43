/**
 * What an expression reads, found in its tree: `principal.claims.team`, `headers["x-tenant"]`. Refused is what would
 * read more than it names, or what callers could make expensive.
 */
import type { Compiled } from './expression.js';
import { LOCAL_CLOCK, MATCHES, writtenOutProblem } from './functions.js';

/** A node of the library's tree. What `args` is depends on `op`. */
export interface Node {
  readonly op: string;
  args: unknown;
  /** Where it stands in the text. */
  readonly start?: number;
}

export interface Reading {
  /** Attributes, none a part of another. */
  readonly reads: readonly string[];
  readonly locals: readonly string[];
  /** What is read of attributes and locals, as far as it is written out: `session.count`. */
  readonly paths: readonly string[];
  /** Patterns of `matches`. */
  readonly patterns: readonly string[];
  /** True with a macro over a list. */
  readonly hasMacro: boolean;
}

const LIST_MACROS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

/** Members of the principal that can be read; of `claims` again each by its name. */
const PRINCIPAL: ReadonlySet<string> = new Set([
  'id',
  'consumer',
  'tenant',
  'scopes',
  'claims',
  'credential',
]);

const WHOLE = [
  'address',
  'arguments',
  'endpoint',
  'method',
  'revision',
  'session',
  'target',
  'transport',
] as const;

/** Names by which an expression begins to read. */
export const ROOTS: readonly string[] = [...WHOLE, 'client', 'headers', 'principal'];

/** What lets callers in is for the plugins that look at it, and never handed on (MCP, "Token Passthrough"). */
const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'proxy-authorization',
  'x-api-key',
]);

class Unreadable extends Error {}

export function readingOf(tree: Node, locals: readonly string[]): Compiled<Reading> {
  const walk = new Walk(new Set(locals));
  try {
    walk.visit(tree, []);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return { ok: false, problem: error.message };
  }
  const all = [...walk.reads];
  const reads = all.filter((read) => !all.some((other) => read.startsWith(`${other}.`))).sort();
  return {
    ok: true,
    it: {
      reads,
      locals: [...walk.used],
      paths: [...walk.paths],
      patterns: walk.patterns,
      hasMacro: walk.hasMacro,
    },
  };
}

class Walk {
  readonly reads = new Set<string>();
  readonly used = new Set<string>();
  readonly paths = new Set<string>();
  readonly patterns: string[] = [];
  hasMacro = false;

  constructor(private readonly locals: ReadonlySet<string>) {}

  /** @param bound names that macros around this place have given to items of lists, the innermost last. */
  visit(node: Node, bound: readonly string[]): void {
    if (this.chain(node, bound)) return;
    if (node.op === 'in' && this.member(node, bound)) return;
    if (node.op === 'rcall') {
      const [name, receiver, args] = node.args as [string, Node, Node[]];
      if (name === 'matches') return this.matches(node, receiver, args, bound);
      if (name === 'within' || LOCAL_CLOCK.has(name)) localClock(node, name, args);
      if (LIST_MACROS.has(name) && args[0]?.op === 'id') return this.macro(name, receiver, args, bound);
    }
    for (const child of children(node.args)) this.visit(child, bound);
  }

  private macro(name: string, receiver: Node, args: Node[], bound: readonly string[]): void {
    const around = bound.at(-1);
    if (around !== undefined && rootOf(receiver) !== around)
      throw new Unreadable(
        `has ${name} inside of another macro, over something else than a part of ${around}: callers could make that take long`,
      );
    this.hasMacro = true;
    this.visit(receiver, bound);
    const [variable, ...rest] = args as [Node, ...Node[]];
    for (const arg of rest) this.visit(arg, [...bound, variable.args as string]);
  }

  private matches(node: Node, receiver: Node, args: Node[], bound: readonly string[]): void {
    const [pattern] = args;
    if (args.length !== 1 || pattern?.op !== 'value' || typeof pattern.args !== 'string')
      throw new Unreadable('has a pattern for matches that is not written out as a text');
    this.patterns.push(pattern.args);
    (node.args as unknown[])[0] = MATCHES;
    this.visit(receiver, bound);
  }

  /** `"x-tenant" in headers` reads that header alone. */
  private member(node: Node, bound: readonly string[]): boolean {
    const [left, right] = node.args as [Node, Node];
    if (left.op !== 'value' || typeof left.args !== 'string') return false;
    const path = pathOf(right);
    if (path === undefined || path.rest.length > 0 || bound.includes(path.names[0] as string)) return false;
    const [root, second] = path.names;
    const isMap = root === 'headers' || (root === 'principal' && second === 'claims');
    refuseInherited([left.args]);
    this.read(isMap ? [...path.names, left.args] : path.names);
    return true;
  }

  /** `principal.claims["team"].name`, from a name on. */
  private chain(node: Node, bound: readonly string[]): boolean {
    const path = pathOf(node);
    if (path === undefined) return false;
    if (!bound.includes(path.names[0] as string)) this.read(path.names);
    for (const index of path.rest) this.visit(index, bound);
    return true;
  }

  private read(names: readonly string[]): void {
    const [root, ...members] = names as [string, ...string[]];
    refuseInherited(members);
    this.paths.add(names.join('.'));
    if (this.locals.has(root)) this.used.add(root);
    else if (root === 'principal') this.reads.add(principalRead(members));
    else if (root === 'headers') this.reads.add(headerRead(members));
    else if (root === 'client') this.reads.add(clientRead(members));
    else if (WHOLE.some((each) => each === root)) this.reads.add(root);
    else if (root === 'cel')
      throw new Unreadable('has cel.bind, which is not taken here; write the value out');
    // Anything else is unknown to the checker too, which says so better.
  }
}

/** Time zones and schedules are written out, so that they are checked at once and kept. */
function localClock(node: Node, name: string, args: readonly Node[]): void {
  const texts = args.map((arg) =>
    arg.op === 'value' && typeof arg.args === 'string' ? arg.args : undefined,
  );
  const problem = writtenOutProblem(name, texts);
  if (problem !== undefined) throw new Unreadable(problem);
  const own = LOCAL_CLOCK.get(name);
  if (own !== undefined && args.length === 1) (node.args as unknown[])[0] = own;
}

/** Every object has these without anybody having put them there. */
function refuseInherited(members: readonly string[]): void {
  const inherited = members.find((member) => member in Object.prototype);
  if (inherited !== undefined) throw new Unreadable(`reads ${inherited}, which is no name of a value`);
}

function principalRead([member, claim]: readonly string[]): string {
  if (member === undefined || !PRINCIPAL.has(member))
    throw new Unreadable(
      `reads ${member === undefined ? 'all of principal' : `principal.${member}`}; it has ${[...PRINCIPAL].join(', ')}`,
    );
  return member === 'claims' && claim !== undefined ? `principal.claims.${claim}` : `principal.${member}`;
}

function headerRead([name]: readonly string[]): string {
  if (name === undefined) throw new Unreadable('reads all headers; name one: headers["x-tenant"]');
  if (name !== name.toLowerCase())
    throw new Unreadable(
      `reads the header ${name}; names of headers are in lower case: ${name.toLowerCase()}`,
    );
  if (CREDENTIAL_HEADERS.has(name))
    throw new Unreadable(`reads the header ${name}; what lets a caller in is never handed on`);
  return `headers.${name}`;
}

function clientRead([member]: readonly string[]): string {
  if (member !== 'name' && member !== 'version')
    throw new Unreadable('reads something of client; it has name and version');
  return `client.${member}`;
}

/** The names of a chain from its root on, as far as they are written out, and the nodes behind. */
function pathOf(node: Node): { names: string[]; rest: Node[] } | undefined {
  if (node.op === 'id') return { names: [node.args as string], rest: [] };
  if (node.op !== '.' && node.op !== '[]') return undefined;
  const [object, key] = node.args as [Node, string | Node];
  const path = pathOf(object);
  if (path === undefined) return undefined;
  const name = typeof key === 'string' ? key : key.op === 'value' ? key.args : undefined;
  if (typeof name === 'string' && path.rest.length === 0) path.names.push(name);
  else if (typeof key !== 'string') path.rest.push(key);
  return path;
}

function rootOf(node: Node): string | undefined {
  return pathOf(node)?.names[0];
}

function children(args: unknown): Node[] {
  if (Array.isArray(args)) return args.flatMap(children);
  return typeof args === 'object' && args !== null && 'op' in args ? [args as Node] : [];
}
