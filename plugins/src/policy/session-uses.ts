/**
 * What has been used in a session before, whichever worker of whichever node served it. Each worker writes what it let
 * through under a name of its own and reads what the others wrote. It writes before it reads, so of two requests that
 * race at least one sees the other: a limit is never passed, at the price that both may be refused.
 */
import { hash, randomUUID } from 'node:crypto';
import type { Clock, PluginStore } from '@sluice/sdk';

/** A window is counted in so many parts; what lies in the oldest counts to the end of that. */
const PART_COUNT = 60;
/** What is kept of a session of which nobody says that it has ended: longer than one lives that nobody uses. */
const SESSION_TTL_MS = 86_400_000;
const MAX_TOOL_COUNT = 500;
const MAX_TOOL_LENGTH = 512;
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

/** A use on its way. */
interface Pending {
  readonly tool: string | undefined;
  /** That it says let it through. */
  rules: readonly string[];
  /** When it last began to read what others have, in the order of its worker. */
  readAt: number;
}

/** The same with what is on its way. */
interface Own extends Stored {
  readonly key: string;
  readonly pending: Set<Pending>;
  writing: Promise<void> | undefined;
  queued: Promise<void> | undefined;
}

/** A use that is on its way, and that others count already. */
export interface Reserved {
  readonly before: Uses;
  /**
   * Has others count it as let through by these rules, and no more by those of an earlier claim. Resolves to what
   * counted before, with what others have claimed.
   */
  claim(rules: readonly string[]): Promise<Uses>;
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
  private readCount = 0;

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
   * @param named the tool that is used, as `upstream:name`.
   * @throws TooManyTools
   */
  async reserve(session: string, ends: boolean, named: string | undefined): Promise<Reserved> {
    const folder = folderOf(session);
    const own = this.own(folder);
    const tool = named === undefined ? undefined : keptName(named);
    if (tool !== undefined && !Object.hasOwn(own.tools, tool)) checkRoom(own);
    const pending: Pending = { tool, rules: [], readAt: Number.POSITIVE_INFINITY };
    own.pending.add(pending);
    const later = () => void this.write(own, ends).catch(this.options.failed);
    const before = async () => {
      await this.write(own, ends);
      // Whoever begins to read last has all others before it: here by this number, elsewhere because they have written.
      pending.readAt = ++this.readCount;
      return this.sum([own, ...(await this.others(folder))], ends, pending);
    };
    try {
      return {
        before: await before(),
        claim: (rules) => {
          pending.rules = rules;
          return before();
        },
        confirm: (rules) => {
          own.pending.delete(pending);
          this.add(own, ends, tool, rules);
          later();
        },
        release: () => {
          own.pending.delete(pending);
          later();
        },
      };
    } catch (error) {
      own.pending.delete(pending);
      throw error;
    }
  }

  /** It has ended, and nobody asks any more. */
  forget(session: string): void {
    const folder = folderOf(session);
    const own = this.atHand.get(folder);
    if (own?.pending.size === 0) this.atHand.delete(folder);
    this.erase(folder, own).catch(this.options.failed);
  }

  private async erase(folder: string, own: Own | undefined): Promise<void> {
    const { store } = this.options;
    while (own?.writing !== undefined) await own.writing.catch(() => undefined);
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
      pending: new Set(),
      writing: undefined,
      queued: undefined,
    };
    this.atHand.set(folder, own);
    if (this.atHand.size > MAX_AT_HAND_COUNT) this.letGo();
    return own;
  }

  /** What is stored counts on as that of another. */
  private letGo(): void {
    for (const [folder, { pending, writing }] of this.atHand) {
      if (this.atHand.size <= MAX_AT_HAND_COUNT * 0.9) return;
      if (pending.size === 0 && writing === undefined) this.atHand.delete(folder);
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
    const tools = { ...own.tools };
    const rules = { ...part.rules };
    for (const pending of own.pending) {
      if (pending.tool !== undefined) tools[pending.tool] = nowMs;
      for (const rule of pending.rules) rules[rule] = (rules[rule] ?? 0) + 1;
    }
    const whole = { count: part.count + own.pending.size, rules };
    const stored: Stored = { parts: { ...own.parts, [name]: whole }, tools };
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

  /** @param asker the use that is on its way, where one asks. */
  private sum(all: readonly (Stored | Own)[], ends: boolean, asker?: Pending): Uses {
    const nowMs = this.options.clock.now();
    const oldest = ends ? 0 : this.partOf(nowMs) - PART_COUNT;
    const since = ends ? Number.NEGATIVE_INFINITY : nowMs - this.options.windowMs;
    const rules: Record<string, number> = Object.create(null);
    for (const rule of this.options.rules) rules[rule] = 0;
    // Of rules that there are no more nobody asks.
    const add = (rule: string, times: number) => {
      if (rule in rules) rules[rule] = (rules[rule] ?? 0) + times;
    };
    const tools = new Set<string>();
    let count = 0;
    for (const each of all) {
      for (const [name, part] of Object.entries(each.parts)) {
        if (Number(name) < oldest) continue;
        count += part.count;
        for (const [rule, times] of Object.entries(part.rules)) add(rule, times);
      }
      for (const [tool, atMs] of Object.entries(each.tools)) if (atMs > since) tools.add(tool);
      if (!('pending' in each)) continue;
      for (const other of each.pending) {
        // Those that read later have this one before them.
        if (asker !== undefined && other.readAt >= asker.readAt) continue;
        count++;
        if (other.tool !== undefined) tools.add(other.tool);
        for (const rule of other.rules) add(rule, 1);
      }
    }
    return { count, tools: [...tools].sort(), rules };
  }
}

/** Callers choose names, and a value of the store has an end; what is this long is told apart all the same. */
function keptName(tool: string): string {
  if (tool.length <= MAX_TOOL_LENGTH) return tool;
  return `${tool.slice(0, MAX_TOOL_LENGTH)}…${hash('sha256', tool, 'base64url')}`;
}

function checkRoom({ tools, pending }: Own): void {
  if (Object.keys(tools).length + pending.size >= MAX_TOOL_COUNT) throw new TooManyTools();
}

/** A digest: keys of a store have an end, and what names a session may be of any length. */
function folderOf(session: string): string {
  return `uses/${hash('sha256', session, 'base64url')}/`;
}
