/** What expressions are held against: plain objects with the attributes that they read, and nothing else. */

export type Scope = Readonly<Record<string, unknown>>;
type Place = (ctx: Scope, scope: Record<string, unknown>) => void;

/** @param reads attributes, none a part of another. */
export function compileScope(reads: readonly string[]): (ctx: Scope, locals: Scope) => Scope {
  const places = reads.map(placeOf);
  return function scopeOf(ctx, locals) {
    const scope: Record<string, unknown> = {};
    for (const place of places) place(ctx, scope);
    return Object.assign(scope, locals);
  };
}

/** Objects on the way are there also when the value is not, so that `has(principal.claims.team)` can be asked. */
function placeOf(read: string): Place {
  const path = attributePath(read);
  const [root, ...parents] = path.slice(0, -1);
  const last = path[path.length - 1] as string;
  if (root === undefined)
    return (ctx, scope) => {
      // No session and no target are values too; only members can be missing.
      scope[last] = ctx[last] ?? (last === 'target' ? {} : null);
    };
  return (ctx, scope) => {
    let value = ctx[root] as Scope | undefined;
    let place = inside(scope, root);
    for (const name of parents) {
      value = value?.[name] as Scope | undefined;
      place = inside(place, name);
    }
    const member = value?.[last];
    if (member !== undefined) place[last] = member;
  };
}

function inside(scope: Record<string, unknown>, name: string): Record<string, unknown> {
  // The names of parents are principal, claims, headers, client: attributes, and none that a caller chose.
  scope[name] ??= {};
  return scope[name] as Record<string, unknown>;
}

/** The names of claims and headers may have dots of their own. */
function attributePath(read: string): string[] {
  const [root, second, ...rest] = read.split('.') as [string, ...string[]];
  if (second === undefined) return [root];
  if (root === 'principal' && second === 'claims' && rest.length > 0) return [root, second, rest.join('.')];
  return [root, [second, ...rest].join('.')];
}
