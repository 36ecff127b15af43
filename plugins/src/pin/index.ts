/**
 * Remembers what tools were when somebody looked at them. A tool that is another by now is held back until it is
 * accepted: lists go on showing the old definition, or nothing, and calls that the change may break are refused. What is
 * accepted stands in the configuration, where `sluice pin accept` writes it. Stands among the plugins that shape;
 * written last there, it sees what the server shows.
 */
import {
  type Changes,
  definePlugin,
  type JsonObject,
  type ListEntry,
  type MaybePromise,
  type Outcome,
  type PluginHost,
  Refusal,
  type Remark,
  type Static,
  type Target,
  TargetPattern,
  Type,
} from '@sluice/sdk';
import { compilePatterns, patternProblem } from '../patterns.js';
import { canonicalText } from './canonical-text.js';
import { changesBetween, type DefinitionChange } from './compatibility.js';
import { FirstSeen } from './first-seen.js';

/** Tools that wait and were said to; beyond it they are said again. */
const MAX_TOLD_COUNT = 10_000;
/** Names in one remark. */
const MAX_NAMED_COUNT = 20;

const Config = Type.Object(
  {
    targets: Type.Array(TargetPattern(), {
      default: ['*:*'],
      minItems: 1,
      maxItems: 1_000,
      description: 'Tools that are pinned, by `upstream:name` with `*`.',
    }),
    new: Type.Union([Type.Literal('hold'), Type.Literal('accept')], {
      default: 'hold',
      description:
        'What happens to a tool that nobody has accepted: `hold` hides and refuses it, `accept` takes what is seen first for accepted.',
    }),
    changed: Type.Union([Type.Literal('serve_old'), Type.Literal('hide')], {
      default: 'serve_old',
      description:
        'What lists show of a tool that has changed: the definition that was accepted, or nothing.',
    }),
    calls: Type.Union([Type.Literal('compatible'), Type.Literal('deny'), Type.Literal('allow')], {
      default: 'compatible',
      description:
        'Calls of a tool that has changed and is still shown: `compatible` lets them pass unless the change is breaking, `deny` refuses and `allow` lets pass all.',
    }),
    accepted: Type.Record(Type.String(), Type.Record(Type.String(), Type.String()), {
      default: {},
      description:
        'Definitions that were accepted, as JSON text, by upstream and tool. `sluice pin accept` writes them into `sluice.pins.json` beside the configuration file, from where they come here.',
    }),
  },
  { additionalProperties: false },
);
type Config = Static<typeof Config>;

interface Ctx {
  readonly endpoint: string;
  readonly method: string;
  readonly target: Target | undefined;
  readonly definition: (target?: Target) => MaybePromise<JsonObject | undefined>;
  readonly remark: (remark: Remark) => void;
}

type Next = (changes?: Changes) => MaybePromise<Outcome>;

/** What is to be said about a definition. */
type Verdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'new' }
  | {
      readonly kind: 'changed';
      readonly reference: JsonObject;
      readonly changes: readonly DefinitionChange[];
    };

const ACCEPTED: Verdict = { kind: 'accepted' };
const NEW: Verdict = { kind: 'new' };

export default definePlugin({
  name: 'pin',
  version: '1.0.0',
  description: 'Holds back tools that are new or have changed until somebody has accepted them.',
  phase: 'shape',
  config: Config,
  reads: ['definition', 'endpoint', 'method', 'remark', 'target'],
  changes: ['entries'],

  check({ targets, accepted }) {
    const problems = targets.flatMap((pattern, index) => {
      const message = patternProblem(pattern);
      return message === undefined ? [] : [{ path: `targets[${index}]`, message }];
    });
    for (const [upstream, tools] of Object.entries(accepted))
      for (const [name, text] of Object.entries(tools)) {
        const message = definitionProblem(name, text);
        if (message !== undefined) problems.push({ path: `accepted.${upstream}.${name}`, message });
      }
    return problems;
  },

  hooks(config, host) {
    const pins = new Pins(config, host);
    return {
      exchange: (ctx: Ctx, next: Next) => pins.exchange(ctx, next),
      entries: (ctx: Ctx, entries: readonly ListEntry[]) => pins.entries(ctx, entries),
    };
  },
});

function definitionProblem(name: string, text: string): string | undefined {
  try {
    const definition: unknown = JSON.parse(text);
    const isTool =
      typeof definition === 'object' && definition !== null && (definition as JsonObject).name === name;
    return isTool ? undefined : 'is no definition of a tool of this name';
  } catch {
    return 'is no JSON; let `sluice pin accept` write it';
  }
}

class Pins {
  private readonly isMeant: (target: Target) => boolean;
  private readonly accepted = new Map<string, string>();
  private readonly firstSeen: FirstSeen | undefined;
  /** By the definitions' own objects, which lists keep from one request to the next. */
  private readonly verdicts = new WeakMap<object, { readonly of: string; readonly verdict: Verdict }>();
  private readonly told = new Set<string>();

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
    const shown = await Promise.all(entries.map((listed) => this.shown(ctx, listed, held)));
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
    try {
      definition = await ctx.definition(target);
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
    if (verdict.kind === 'accepted') return listed;
    held.push(key);
    if (verdict.kind === 'new' || this.config.changed === 'hide') return undefined;
    // An endpoint that shows its upstream as it is has made nothing of its entries, but to leave this out.
    const outputSchema = own.outputSchema ?? definition?.outputSchema;
    const base = isDirect || definition === undefined ? { ...own, outputSchema } : definition;
    return { target, entry: asAccepted(verdict.reference, base, entry) };
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
    const key = `${keyOf(target)} ${canonicalText(definition)}`;
    if (this.told.has(key)) return;
    if (this.told.size >= MAX_TOLD_COUNT) this.told.clear();
    this.told.add(key);
    const { log, metrics } = this.host;
    const { upstream, name } = target;
    const isBreaking = changes.some((each) => each.isBreaking);
    metrics.count('held_total', 'Definitions of tools that were held back.', { upstream });
    log.warn({ upstream, tool: name, isBreaking, changes: changes.slice(0, MAX_NAMED_COUNT) }, what);
  }
}

/** `files:read`; no upstream has a colon in its name. */
function keyOf({ upstream, name }: Pick<Target, 'upstream' | 'name'>): string {
  return `${upstream}:${name}`;
}

/**
 * The accepted definition as this endpoint shows it: what has not changed stays as it came, with names and URIs.
 *
 * @param base what the entry was made of
 */
function asAccepted(reference: JsonObject, base: JsonObject, entry: JsonObject): JsonObject {
  const shown: Record<string, JsonObject[string]> = Object.create(null);
  for (const [member, value] of Object.entries(reference)) {
    const isKept = base[member] !== undefined && canonicalText(base[member]) === canonicalText(value);
    if (!isKept) shown[member] = value;
    else if (entry[member] !== undefined) shown[member] = entry[member];
  }
  // By this name it is called here.
  shown.name = entry.name;
  return shown;
}
