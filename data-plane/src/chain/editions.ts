/**
 * What is behind an endpoint, as a short text that is another one when it is something else. It is a part of what plugins
 * tell views apart by, and is the same on every worker and node that runs the same.
 */
import { createHash } from 'node:crypto';
import type { ResolvedConfiguration, ResolvedServer, ResolvedUpstream } from '@sluice/proto';
import { compileSelection, EVERYTHING } from '../routing/selection.js';

/** Of what goes on unchanged from one configuration to the next. */
const digests = new WeakMap<object, string>();

export class Editions {
  private places: ReadonlyMap<string, ResolvedUpstream | ResolvedServer> | undefined;
  private common: string | undefined;

  constructor(private readonly configuration: ResolvedConfiguration) {}

  of(path: string): string {
    const { upstreams } = this.configuration;
    this.places ??= new Map<string, ResolvedUpstream | ResolvedServer>([
      ...upstreams.map((upstream) => [`/mcp/${upstream.name}`, upstream] as const),
      ...this.configuration.servers.map((server) => [server.path, server] as const),
    ]);
    const place = this.places.get(path);
    if (place !== undefined && 'transport' in place) return digestOf(place);
    const { takes } = place === undefined ? EVERYTHING : compileSelection(place.selection);
    const hash = createHash('sha256').update(this.naming());
    if (place !== undefined) hash.update(digestOf(place));
    for (const upstream of upstreams)
      if (takes(upstream.name, upstream.hidden)) hash.update(digestOf(upstream));
    return hash.digest('base64url');
  }

  private naming(): string {
    const { naming, discovery } = this.configuration.gateway;
    this.common ??= JSON.stringify([naming, discovery.pageSizeCount]);
    return this.common;
  }
}

function digestOf(part: object): string {
  let digest = digests.get(part);
  if (digest === undefined) {
    digest = createHash('sha256').update(JSON.stringify(part)).digest('base64url');
    digests.set(part, digest);
  }
  return digest;
}
