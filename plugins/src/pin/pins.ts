/** Holds what tools are against what was accepted: in lists, and before calls. */
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import {
  type Changes,
  type JsonObject,
  type ListEntry,
  type MaybePromise,
  type Outcome,
  type PluginHost,
  Refusal,
  type Remark,
  type Target,
} from '@sluice/sdk';
import { compilePatterns } from '../patterns.js';
import { canonicalText } from './canonical-text.js';
import { changesBetween, type DefinitionChange } from './compatibility.js';
import type { Config } from './config.js';
import { FirstSeen } from './first-seen.js';

/** Tools that wait and were said to; beyond it they are said again. */
const MAX_TOLD_COUNT = 10_000;
/** Lines that one use writes in a minute: a server may be another each time it is asked. */
const MAX_LINES_A_MINUTE_COUNT = 100;
const MINUTE_MS = 60_000;
/** Entries of a list that are looked at in one go. */
const ENTRIES_AT_ONCE_COUNT = 64;
/** Names in one remark. */
const MAX_NAMED_COUNT = 20;

/** What hooks are given. */
export interface Ctx {
  readonly endpoint: string;
  readonly method: string;
  readonly target: Target | undefined;
  readonly definition: (target?: Target) => MaybePromise<JsonObject | undefined>;
  readonly remark: (remark: Remark) => void;
}

export type Next = (changes?: Changes) => MaybePromise<Outcome>;

/** What is to be said about a definition. */
type Verdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'new' }
  | {
      readonly kind: 'changed';
      readonly reference: JsonObject;
      readonly changes: readonly DefinitionChange[];
    };

/** Shows tools in the words of their upstreams. */
const MERGED_PATH = '/mcp';

const ACCEPTED: Verdict = { kind: 'accepted' };
const NEW: Verdict = { kind: 'new' };

export class Pins {
  private readonly isMeant: (target: Target) => boolean;
  private readonly accepted = new Map<string, string>();
  private readonly firstSeen: FirstSeen | undefined;
  /** By the definitions' own objects, which lists keep from one request to the next. */
  private readonly verdicts = new WeakMap<object, { readonly of: string; readonly verdict: Verdict }>();
  private readonly told = new Set<string>();
  private lines = { untilMs: 0, count: 0 };

  constructor(
    private readonly config: Config,
    private readonly host: PluginHost,
  ) {
    this.isMeant = compilePatterns(config.targets);
    for (const [upstream, tools] of Object.entries(config.accepted))
      for (const [name, text] of Object.entries(tools))
        this.accepted.set(keyOf({ upstream, name }), canonicalText(JSON.parse(text)));
    if (config.new === 'accept') this.firstSeen = new FirstSeen(host.store, host.log);
  }

  exchange(ctx: Ctx, next: Next): MaybePromise<Outcome | Refusal> {
    const { method, target } = ctx;
    if (method !== 'tools/call' || target?.kind !== 'tool' || !this.isMeant(target)) return next();
    const definition = ctx.definition();
    const verdict =
      definition instanceof Promise
        ? definition.then((own) => this.verdict(target, own))
        : this.verdict(target, definition);
    if (verdict === ACCEPTED) return next();
    return verdict instanceof Promise
      ? verdict.then((own) => this.judged(ctx, target, own) ?? next())
      : (this.judged(ctx, target, verdict) ?? next());
  }

  /** Undefined for a call that may pass. */
  private judged(ctx: Ctx, target: Target, verdict: Verdict): Refusal | undefined {
    if (verdict.kind === 'accepted') return undefined;
    const { calls, changed } = this.config;
    const name = JSON.stringify(keyOf(target));
    if (verdict.kind === 'new')
      return this.held(target, 'new', `${name} waits to be accepted: nobody has looked at it yet`);
    const breaking = verdict.changes.find(({ isBreaking }) => isBreaking);
    if (changed === 'hide')
      return this.held(target, 'changed', `${name} has changed, and waits to be accepted again`);
    if (calls === 'deny' || (calls === 'compatible' && breaking !== undefined)) {
      const [first] = breaking === undefined ? verdict.changes : [breaking];
      const what = first === undefined ? '' : `: ${first.path} ${first.what}`;
      return this.held(
        target,
        'changed',
        `${name} has changed since it was accepted, and waits to be accepted again${what}`,
      );
    }
    ctx.remark({
      kind: 'held',
      rule: 'changed',
      reason: `${name} is called as it was accepted, and has changed since`,
      isEnforced: false,
    });
    return undefined;
  }

  private held({ upstream }: Target, why: 'changed' | 'new', message: string): Refusal {
    this.host.metrics.count('held_calls_total', 'Calls of tools that wait to be accepted.', {
      upstream,
      why,
    });
    return new Refusal('forbidden', message);
  }

  async entries(ctx: Ctx, entries: readonly ListEntry[]): Promise<readonly ListEntry[]> {
    const held: string[] = [];
    const shown: (ListEntry | undefined)[] = [];
    // Others are served between the parts of a long list.
    for (let from = 0; from < entries.length; from += ENTRIES_AT_ONCE_COUNT) {
      if (from > 0) await setImmediate();
      const part = entries.slice(from, from + ENTRIES_AT_ONCE_COUNT);
      shown.push(...(await Promise.all(part.map((listed) => this.shown(ctx, listed, held)))));
    }
    if (held.length > 0) {
      ctx.remark({
        kind: 'held',
        reason: `${held.length} tools wait to be accepted`,
        data: { tools: held.slice(0, MAX_NAMED_COUNT) },
      });
    }
    return shown.filter((listed) => listed !== undefined);
  }

  /** Undefined for an entry that is not shown. */
  private async shown(ctx: Ctx, listed: ListEntry, held: string[]): Promise<ListEntry | undefined> {
    const { target, entry } = listed;
    if (target.kind !== 'tool' || !this.isMeant(target)) return listed;
    const key = keyOf(target);
    const own: JsonObject = { ...entry, name: target.name };
    // Most are as they were accepted, whatever else is known of their upstream.
    if (this.accepted.get(key) === canonicalText(own)) return listed;
    let definition: JsonObject | undefined;
    let isOfNow = true;
    try {
      const asked = ctx.definition(target);
      // What had to be waited for is newer than the list.
      isOfNow = !(asked instanceof Promise);
      definition = await asked;
    } catch (thrown) {
      // One upstream that does not tell costs its own entries.
      if (!(thrown instanceof Refusal)) throw thrown;
      held.push(key);
      return undefined;
    }
    const isDirect = ctx.endpoint === `/mcp/${target.upstream}`;
    const verdict = isDirect
      ? await this.verdictOnShown(target, own, definition)
      : await this.verdict(target, definition);
    if (verdict.kind === 'accepted' && isDirect) return listed;
    if (verdict.kind === 'new') {
      held.push(key);
      return undefined;
    }
    if (verdict.kind === 'changed') {
      held.push(key);
      if (this.config.changed === 'hide') return undefined;
    }
    const reference = verdict.kind === 'changed' ? verdict.reference : (definition as JsonObject);
    // An endpoint that puts upstreams together may have words of its own for what it has made its list of.
    const hasOwnWords = !isDirect && ctx.endpoint !== MERGED_PATH && verdict.kind === 'accepted' && isOfNow;
    const shown = asAccepted(reference, listed, definition, hasOwnWords);
    return canonicalText(shown) === canonicalText(entry) ? listed : { target, entry: shown };
  }

  /** An upstream may show a client something else than it showed a moment before. */
  private async verdictOnShown(
    target: Target,
    own: JsonObject,
    definition: JsonObject | undefined,
  ): Promise<Verdict> {
    const before = await this.verdict(target, definition);
    if (definition === undefined || canonicalText(own) === canonicalText(definition)) return before;
    // Clients of older revisions are shown none that describes no object.
    if (own.outputSchema === undefined && definition.outputSchema !== undefined) {
      const whole: JsonObject = { ...own, outputSchema: definition.outputSchema };
      if (canonicalText(whole) === canonicalText(definition)) return before;
    }
    return this.compared(target, own, this.referenceOf(target));
  }

  private verdict(target: Target, definition: JsonObject | undefined): MaybePromise<Verdict> {
    // What is on no list is nothing that anybody could have looked at.
    if (definition === undefined) return NEW;
    const key = keyOf(target);
    const kept = this.verdicts.get(definition);
    if (kept?.of === key) return kept.verdict;
    const reference = this.accepted.get(key);
    if (reference === undefined && this.firstSeen !== undefined)
      return this.firstSeen
        .of(key, canonicalText(definition))
        .then((first) => this.compared(target, definition, first));
    const verdict = this.compared(target, definition, reference);
    this.verdicts.set(definition, { of: key, verdict });
    return verdict;
  }

  private referenceOf(target: Target): string | undefined {
    const key = keyOf(target);
    return this.accepted.get(key) ?? this.firstSeen?.known(key);
  }

  private compared(target: Target, definition: JsonObject, reference: string | undefined): Verdict {
    if (reference === undefined) {
      this.tell(target, definition, 'a tool is new and waits to be accepted', []);
      return NEW;
    }
    if (canonicalText(definition) === reference) return ACCEPTED;
    const before = (JSON.parse(reference) as { value: JsonObject }).value;
    const changes = changesBetween(before, definition);
    this.tell(target, definition, 'a tool has changed and waits to be accepted', changes);
    return { kind: 'changed', reference: before, changes };
  }

  /** Once for each definition: a list is asked for again and again. */
  private tell(
    target: Target,
    definition: JsonObject,
    what: string,
    changes: readonly DefinitionChange[],
  ): void {
    const key = digestOf(`${keyOf(target)} ${canonicalText(definition)}`);
    if (this.told.has(key)) return;
    if (this.told.size >= MAX_TOLD_COUNT) this.told.clear();
    this.told.add(key);
    const { log, metrics } = this.host;
    const { upstream, name } = target;
    const isBreaking = changes.some((each) => each.isBreaking);
    metrics.count('held_total', 'Definitions of tools that were held back.', { upstream });
    const fields = { upstream, tool: name, isBreaking, changes: changes.slice(0, MAX_NAMED_COUNT) };
    if (this.mayWrite()) log.warn(fields, what);
    else log.debug(fields, what);
  }

  private mayWrite(): boolean {
    const nowMs = this.host.clock.now();
    if (nowMs >= this.lines.untilMs) this.lines = { untilMs: nowMs + MINUTE_MS, count: 0 };
    return ++this.lines.count <= MAX_LINES_A_MINUTE_COUNT;
  }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** `files:read`; no upstream has a colon in its name. */
function keyOf({ upstream, name }: Pick<Target, 'upstream' | 'name'>): string {
  return `${upstream}:${name}`;
}

/**
 * The accepted definition as an endpoint shows it. Nothing of an entry is taken over but what an endpoint itself has made:
 * the list may be older than what is known of its upstream.
 */
function asAccepted(
  reference: JsonObject,
  { target, entry }: ListEntry,
  definition: JsonObject | undefined,
  hasOwnWords: boolean,
): JsonObject {
  const shown: Record<string, JsonObject[string]> = { ...reference, name: entry.name };
  if (hasOwnWords && entry.description !== undefined) shown.description = entry.description;
  // Clients of older revisions are shown none that describes no object.
  if (entry.outputSchema === undefined && definition?.outputSchema !== undefined) delete shown.outputSchema;
  const meta = withoutUpstream(target, entry._meta);
  if (meta !== undefined && meta === withoutUpstream(target, reference._meta)) shown._meta = entry._meta;
  return shown;
}

/** Merged lists have the upstream in front of its URIs. */
function withoutUpstream({ upstream }: Target, meta: JsonObject[string]): string | undefined {
  return meta === undefined ? undefined : canonicalText(meta).replaceAll(`"${upstream}+`, '"');
}
