/** Tools that say in the lists which pass that calling them changes nothing, and that once is as good as twice. */
import type { JsonObject, ListEntry, Target } from '@sluice/sdk';

/** Of one upstream; what is beyond is not known to be read-only. */
const MAX_TOOL_COUNT = 20_000;

export class ReadOnlyTools {
  private readonly byUpstream = new Map<string, Set<string>>();

  /** The last list counts: a tool may have become another one. */
  learn(entries: readonly ListEntry[]): void {
    for (const { target, entry } of entries) {
      const names = this.byUpstream.get(target.upstream);
      if (!isReadOnly(entry)) names?.delete(target.name);
      else if (names === undefined) this.byUpstream.set(target.upstream, new Set([target.name]));
      else if (names.size < MAX_TOOL_COUNT) names.add(target.name);
    }
  }

  has({ upstream, name }: Target): boolean {
    return this.byUpstream.get(upstream)?.has(name) === true;
  }

  /** What was said of the tools of an upstream does not count any more. */
  forget(upstream: string): void {
    this.byUpstream.delete(upstream);
  }
}

/** Hints, not promises (2026-07-28, server/tools, "Tool Annotations"). Both have to be there: their defaults are false. */
function isReadOnly({ annotations }: JsonObject): boolean {
  if (typeof annotations !== 'object' || annotations === null) return false;
  const { readOnlyHint, idempotentHint } = annotations as JsonObject;
  return readOnlyHint === true && idempotentHint === true;
}
