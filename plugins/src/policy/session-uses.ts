/**
 * What has been used in a session before, whichever worker of whichever node served it. Each worker writes what it let
 * through under a name of its own and reads what the others wrote. It writes before it reads, so of two requests that
 * race at least one sees the other: a limit is never passed, at the price that both may be refused.
 */
import { hash, randomUUID } from 'node:crypto';
import type { Clock, PluginStore } from '@sluice/sdk';

/** A window is counted in so many parts; what lies in the oldest counts to the end of that. */
const PART_COUNT = 60;
/** What is kept of sessions that end by themselves: longer than one lives that nobody uses. */
const SESSION_TTL_MS = 7 * 86_400_000;
const MAX_TOOL_COUNT = 500;
/** Sessions that a worker has at hand without asking the store. */
const MAX_AT_HAND_COUNT = 10_000;

/** What counted before a request. */
export interface Uses {
  /** Uses that were let through. */
  readonly count: number;
  /** Tools that were used, as `upstream:name`. */
  readonly tools: readonly string[];
  /** How often each rule let something through. */
  readonly rules: Readonly<Record<string, number>>;
}

/** This session has used more different tools than are kept. */
export class TooManyTools extends Error {
  override readonly name = 'TooManyTools';
  constructor() {
    super(`more than ${MAX_TOOL_COUNT} different tools were used in this session`);
  }
}

/** What one worker has let through, as it is stored. */
interface Part {
  count: number;
  rules: Record<string, number>;
}
interface Stored {
  readonly parts: Record<string, Part>;
  /** When each was used last, in milliseconds since the epoch. */
  readonly tools: Record<string, number>;
}

/** The same with what is on its way. */
interface Own extends Stored {
  readonly key: string;
  readonly pendingTools: Map<string, number>;
  pendingCount: number;
  writing: Promise<void> | undefined;
  queued: Promise<void> | undefined;
}

/** A use that is on its way, and that others count already. */
export interface Reserved {
  readonly before: Uses;
  /** @param rules that let it through */
  confirm(rules: readonly string[]): void;
  release(): void;
}

interface Options {
  readonly store: PluginStore;
  readonly clock: Clock;
  readonly windowMs: number;
  readonly rules: readonly string[];
  readonly failed: (error: unknown) => void;
}

export class SessionUses {
  private readonly writer = randomUUID();
  private readonly atHand = new Map<string, Own>();

  constructor(private readonly options: Options) {}

  /**
   * @param session names it; of any form.
   * @param ends whether somebody ends it, so that all of it counts and not a window.
   */
  async before(session: string, ends: boolean): Promise<Uses> {
    const folder = folderOf(session);
    const own = this.atHand.get(folder);
    return this.sum([...(own === undefined ? [] : [own]), ...(await this.others(folder))], ends);
  }

  /**
   * @param tool that is used, as `upstream:name`.
   * @throws TooManyTools
   */
  async reserve(session: string, ends: boolean, tool: string | undefined): Promise<Reserved> {
    const folder = folderOf(session);
    const own = this.own(folder);
    own.pendingCount++;
    if (tool !== undefined) own.pendingTools.set(tool, (own.pendingTools.get(tool) ?? 0) + 1);
    const settle = () => {
      own.pendingCount--;
      if (tool === undefined) return;
      const left = (own.pendingTools.get(tool) ?? 1) - 1;
      if (left === 0) own.pendingTools.delete(tool);
      else own.pendingTools.set(tool, left);
    };
    const later = () => void this.write(own, ends).catch(this.options.failed);
    try {
      if (tool !== undefined && !Object.hasOwn(own.tools, tool)) checkRoom(own);
      await this.write(own, ends);
      const others = await this.others(folder);
      return {
        before: this.sum([own, ...others], ends, tool ?? true),
        confirm: (rules) => {
          settle();
          this.add(own, ends, tool, rules);
          later();
        },
        release: () => {
          settle();
          later();
        },
      };
    } catch (error) {
      settle();
      throw error;
    }
  }

  /** Nobody counts it any more. */
  async forget(session: string): Promise<void> {
    const { store } = this.options;
    const folder = folderOf(session);
    const own = this.atHand.get(folder);
    if (own?.pendingCount === 0) this.atHand.delete(folder);
    await own?.writing;
    await Promise.all((await store.keys(folder)).map((key) => store.delete(key)));
  }

  private own(folder: string): Own {
    const known = this.atHand.get(folder);
    if (known !== undefined) return known;
    // A name that was never written: what this worker has forgotten is what another one wrote.
    const key = `${folder}${this.writer}-${this.atHand.size}-${randomUUID()}`;
    const own: Own = {
      key,
      parts: {},
      tools: {},
      pendingTools: new Map(),
      pendingCount: 0,
      writing: undefined,
      queued: undefined,
    };
    this.atHand.set(folder, own);
    if (this.atHand.size > MAX_AT_HAND_COUNT) this.letGo();
    return own;
  }

  /** What is stored counts on as that of another. */
  private letGo(): void {
    for (const [folder, { pendingCount, writing }] of this.atHand) {
      if (this.atHand.size <= MAX_AT_HAND_COUNT * 0.9) return;
      if (pendingCount === 0 && writing === undefined) this.atHand.delete(folder);
    }
  }

  private add(own: Own, ends: boolean, tool: string | undefined, rules: readonly string[]): void {
    const nowMs = this.options.clock.now();
    const name = String(ends ? 0 : this.partOf(nowMs));
    own.parts[name] ??= { count: 0, rules: {} };
    const part = own.parts[name];
    part.count++;
    for (const rule of rules) part.rules[rule] = (part.rules[rule] ?? 0) + 1;
    if (tool !== undefined) own.tools[tool] = nowMs;
  }

  /** Resolves when what is known now has been written. What comes while one is written goes together. */
  private write(own: Own, ends: boolean): Promise<void> {
    if (own.writing === undefined) {
      own.writing = this.writeNow(own, ends).finally(() => {
        own.writing = undefined;
      });
      return own.writing;
    }
    own.queued ??= own.writing
      .catch(() => undefined)
      .then(() => {
        own.queued = undefined;
        return this.write(own, ends);
      });
    return own.queued;
  }

  private writeNow(own: Own, ends: boolean): Promise<void> {
    const { store, clock, windowMs } = this.options;
    const nowMs = clock.now();
    if (!ends) this.expire(own, nowMs);
    const name = String(ends ? 0 : this.partOf(nowMs));
    const part = own.parts[name] ?? { count: 0, rules: {} };
    const pending = Object.fromEntries([...own.pendingTools.keys()].map((tool) => [tool, nowMs]));
    const stored: Stored = {
      parts: { ...own.parts, [name]: { ...part, count: part.count + own.pendingCount } },
      tools: { ...own.tools, ...pending },
    };
    const ttlMs = ends ? SESSION_TTL_MS : windowMs + windowMs / PART_COUNT;
    return store.set(own.key, JSON.stringify(stored), { ttlMs });
  }

  private expire(own: Own, nowMs: number): void {
    const oldest = this.partOf(nowMs) - PART_COUNT;
    for (const name of Object.keys(own.parts)) if (Number(name) < oldest) delete own.parts[name];
    for (const [tool, atMs] of Object.entries(own.tools))
      if (atMs <= nowMs - this.options.windowMs) delete own.tools[tool];
  }

  private partOf(nowMs: number): number {
    return Math.floor(nowMs / (this.options.windowMs / PART_COUNT));
  }

  private async others(folder: string): Promise<Stored[]> {
    const { store } = this.options;
    const own = this.atHand.get(folder)?.key;
    const keys = (await store.keys(folder)).filter((key) => key !== own);
    const values = await Promise.all(keys.map((key) => store.get(key)));
    return values.flatMap((value) => (value === undefined ? [] : [JSON.parse(value) as Stored]));
  }

  /** @param except the tool of the request that asks, or true where it has none: it counts itself no use. */
  private sum(all: readonly (Stored | Own)[], ends: boolean, except?: string | true): Uses {
    const nowMs = this.options.clock.now();
    const oldest = ends ? 0 : this.partOf(nowMs) - PART_COUNT;
    const since = ends ? Number.NEGATIVE_INFINITY : nowMs - this.options.windowMs;
    const rules: Record<string, number> = Object.create(null);
    for (const rule of this.options.rules) rules[rule] = 0;
    const tools = new Set<string>();
    let count = 0;
    for (const each of all) {
      for (const [name, part] of Object.entries(each.parts)) {
        if (Number(name) < oldest) continue;
        count += part.count;
        for (const [rule, times] of Object.entries(part.rules))
          if (rule in rules) rules[rule] = (rules[rule] ?? 0) + times;
      }
      for (const [tool, atMs] of Object.entries(each.tools)) if (atMs > since) tools.add(tool);
      if (!('pendingTools' in each)) continue;
      count += each.pendingCount;
      for (const [tool, times] of each.pendingTools) if (times > (tool === except ? 1 : 0)) tools.add(tool);
    }
    return { count: except === undefined ? count : count - 1, tools: [...tools].sort(), rules };
  }
}

function checkRoom({ tools, pendingTools }: Own): void {
  if (Object.keys(tools).length + pendingTools.size > MAX_TOOL_COUNT) throw new TooManyTools();
}

/** A digest: keys of a store have an end, and what names a session may be of any length. */
function folderOf(session: string): string {
  return `uses/${hash('sha256', session, 'base64url')}/`;
}
