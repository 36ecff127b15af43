/** Which endpoint a path leads to. Made once for each configuration and never changed. */

export class RouteTable<Endpoint> {
  constructor(
    private readonly merged: Endpoint,
    private readonly direct: ReadonlyMap<string, Endpoint>,
    private readonly fallback: Endpoint | undefined,
  ) {}

  /** The endpoint behind a path, or undefined when there is none. */
  find(path: string): Endpoint | undefined {
    if (path === '/mcp') return this.merged;
    if (!path.startsWith('/mcp/')) return undefined;
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
