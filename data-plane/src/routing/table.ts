/** Which endpoint a path leads to. Made once for each configuration and never changed. */

/** Paths that are never an upstream's, whatever is served there: operations, and the doors of the old transport. */
const OWN_PATHS: ReadonlySet<string> = new Set([
  '/health',
  '/live',
  '/liveness',
  '/ready',
  '/readiness',
  '/metrics',
  '/sse',
  '/messages',
]);
/** The same for all that is below; documents about a host are the gateway's to give (RFC 8615). */
const OWN_PREFIXES = ['/sse/', '/messages/', '/.well-known/'] as const;

export class RouteTable<Endpoint> {
  constructor(
    private readonly merged: Endpoint,
    /** Upstreams by their names, and other servers by what stands behind /mcp/ in their paths. */
    private readonly direct: ReadonlyMap<string, Endpoint>,
    /** That of the default upstream: it takes every path that nothing else has. */
    private readonly fallback: Endpoint | undefined,
  ) {}

  /** The endpoint behind a path, or undefined when there is none. */
  find(path: string): Endpoint | undefined {
    if (path === '/mcp') return this.merged;
    if (!path.startsWith('/mcp/')) return isOwn(path) ? undefined : this.fallback;
    const end = path.endsWith('/') ? path.length - 1 : path.length;
    if (end <= 5) return this.merged;
    return this.direct.get(path.slice(5, end)) ?? this.fallback;
  }

  /** Names that lead somewhere, for messages. */
  get names(): string[] {
    return [...this.direct.keys()];
  }

  [Symbol.iterator](): IterableIterator<Endpoint> {
    return [this.merged, ...this.direct.values()][Symbol.iterator]();
  }
}

function isOwn(path: string): boolean {
  return OWN_PATHS.has(path) || OWN_PREFIXES.some((prefix) => path.startsWith(prefix));
}
