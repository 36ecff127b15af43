/** A plugin where it runs: loads it, gives its hooks what they declared, and hands back what they say. */
import { INLINE_ATTRIBUTES } from '../attributes.js';
import { RequestFailure } from '../failures.js';
import { frozen } from '../frozen.js';
import { Outcome } from '../outcome.js';
import type { FetchAnswer, Hooks, Plugin, PluginHost } from '../plugin.js';
import { Refusal } from '../refusal.js';
import { MAX_REMARKS_COUNT, type Remark } from '../remarks.js';
import { memberViewClasses } from '../view.js';
import {
  type FromPlugin,
  ISOLABLE_HOOKS,
  type LoadedFacts,
  type LoadOrder,
  type LogLevel,
  type RunAnswer,
  type RunOrder,
  type Service,
  type ToPlugin,
} from './messages.js';
import { checkLength } from './size.js';
import { readOutcome, type WireOutcome, wireChanges, wireEntries, wireOutcome, wireRefusal } from './wire.js';

/** Hooks that have to answer at once, so that nobody else can be asked. */
const INLINE_ONLY = ['head', 'admission', 'refused', 'notification', 'input', 'changed'] as const;

interface Waiting {
  resolve(value: never): void;
  reject(reason: Error): void;
}

type Views = ReturnType<typeof memberViewClasses>;

export class PluginSide {
  private hooks: Hooks = {};
  private views: Views | undefined;
  private readonly nexts = new Map<number, Waiting>();
  private readonly calls = new Map<number, Waiting>();
  private callCount = 0;

  /**
   * @param post sends a message to the gateway.
   * @param maxLength of an answer, in characters.
   */
  constructor(
    private readonly post: (message: FromPlugin) => void,
    private readonly maxLength: number,
  ) {}

  /** Rejects with a sentence that says why the plugin cannot run here. */
  async load(order: LoadOrder): Promise<LoadedFacts> {
    const plugin = await pluginOf(order);
    const config = configOf(plugin, order.config);
    if (plugin.sharedBytes(config) > 0)
      throw new Error('it wants memory that workers share, which is to be had with isolation: inline alone');
    const reads = plugin.reads(config);
    const unsendable = INLINE_ATTRIBUTES.find((name) => reads.includes(name));
    if (unsendable !== undefined)
      throw new Error(
        `it reads \`${unsendable}\`, which cannot be sent; it runs with isolation: inline alone`,
      );
    const hooks = plugin.hooks(config, this.host(order.binding));
    const inline = INLINE_ONLY.find((name) => hooks[name] !== undefined);
    if (inline !== undefined)
      throw new Error(`its hook \`${inline}\` cannot wait; it runs with isolation: inline alone`);
    this.hooks = hooks;
    this.views = memberViewClasses(order.binding, reads);
    return {
      name: plugin.name,
      version: plugin.version,
      reads,
      hooks: ISOLABLE_HOOKS.filter((name) => hooks[name] !== undefined),
      challenge: challengeOf(hooks, order.binding),
    };
  }

  /** What the gateway says about runs and calls that are under way. */
  receive(message: ToPlugin): void {
    switch (message.type) {
      case 'came':
        take(this.nexts, message.run)?.resolve(message.outcome as never);
        return;
      case 'notNext':
        take(this.nexts, message.run)?.reject(new Error(message.message));
        return;
      case 'served':
        take(this.calls, message.call)?.resolve(message.value as never);
        return;
      case 'notServed':
        take(this.calls, message.call)?.reject(new Error(message.message));
        return;
      default:
    }
  }

  /** Resolves with the answer as JSON; rejects when the hook threw what is neither a refusal nor a failure over one request. */
  async run(order: RunOrder): Promise<RunAnswer> {
    const remarks: Remark[] = [];
    const own = await this.answer(order, remarks);
    const answer = remarks.length === 0 ? own : { ...own, remarks };
    checkLength(answer, this.maxLength);
    return answer;
  }

  private async answer(order: RunOrder, remarks: Remark[]): Promise<RunAnswer> {
    try {
      return { value: await this.call(order, remarks) };
    } catch (thrown) {
      if (thrown instanceof Refusal) return { value: { refusal: wireRefusal(thrown) } };
      if (thrown instanceof RequestFailure) return { failure: thrown.message };
      throw thrown;
    } finally {
      this.nexts.delete(order.run);
    }
  }

  async shutdown(): Promise<void> {
    await this.hooks.shutdown?.();
  }

  private async call(order: RunOrder, remarks: Remark[]): Promise<unknown> {
    const { hooks } = this;
    const view = () => this.view(order, remarks);
    switch (order.hook) {
      case 'identify':
        return orRefusal(await hooks.identify?.(view()));
      case 'decide':
        return orRefusal(await hooks.decide?.(view()));
      case 'sessionStart':
        return orRefusal(await hooks.sessionStart?.(view()));
      case 'sessionEnd':
        hooks.sessionEnd?.(order.session as string);
        return undefined;
      case 'page':
        return hooks.page?.(order.request as never);
      case 'outcome': {
        const given = outcomeOf(order.outcome);
        return this.outcomeOrRefusal(await hooks.outcome?.(view(), given), given);
      }
      case 'entries': {
        const given = frozen((order.entries ?? []) as never[]);
        return wireEntries((await hooks.entries?.(view(), given)) ?? given, given);
      }
      case 'exchange': {
        let given: Outcome | undefined;
        const next: Parameters<NonNullable<Hooks['exchange']>>[1] = async (changes) => {
          const came = new Promise<WireOutcome>((resolve, reject) =>
            this.nexts.set(order.run, { resolve, reject }),
          );
          this.post({
            type: 'next',
            run: order.run,
            ...(changes !== undefined && { changes: wireChanges(changes) }),
          });
          given = outcomeOf(await came);
          return given;
        };
        return this.outcomeOrRefusal(await hooks.exchange?.(view(), next), given);
      }
    }
  }

  private outcomeOrRefusal(answer: Outcome | Refusal | undefined, given: Outcome | undefined): unknown {
    if (answer instanceof Refusal) return { refusal: wireRefusal(answer) };
    if (!(answer instanceof Outcome))
      throw new TypeError('the hook gave no outcome; return what next() gave, or what Outcome makes');
    if (answer !== given) checkLength(answer.result, this.maxLength);
    return wireOutcome(answer, given);
  }

  private view({ attributes = {}, early }: RunOrder, remarks: Remark[]): unknown {
    const views = this.views as Views;
    if (early === true) return new views.early(frozen(attributes));
    const remark = (one: Remark) => {
      if (remarks.length < MAX_REMARKS_COUNT) remarks.push(one);
    };
    return new views.full(frozen({ ...attributes, remark }));
  }

  private host(binding: string): PluginHost {
    const log = (level: LogLevel) => (fields: object, message: string) =>
      this.post({ type: 'log', level, fields: plain(fields), message: String(message) });
    const ask = <T>(service: Service, ...given: readonly unknown[]) => this.ask<T>(service, given);
    return {
      binding,
      clock: {
        now: () => Date.now(),
        after: (delayMs, callback) => {
          const timer = setTimeout(callback, delayMs);
          timer.unref();
          return () => clearTimeout(timer);
        },
      },
      log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
      metrics: {
        count: (name, help, labels = {}, value = 1) =>
          this.post({ type: 'measure', kind: 'count', name, help, labels, value }),
        observe: (name, help, value, labels = {}) =>
          this.post({ type: 'measure', kind: 'observe', name, help, labels, value }),
        gauge: (name, help, value, labels = {}) =>
          this.post({ type: 'measure', kind: 'gauge', name, help, labels, value }),
      },
      store: {
        get: (key) => ask<string | undefined>('get', key),
        set: (key, value, options) => ask<void>('set', key, value, options?.ttlMs),
        delete: (key) => ask<void>('delete', key),
        keys: (prefix) => ask<readonly string[]>('keys', prefix),
      },
      buckets: {
        take: (bucket, { intervalUs, burst }, count) => ask('units', bucket, [intervalUs, burst, count]),
      },
      shared: new SharedArrayBuffer(0),
      // What it would tell comes to a hook that runs inline alone.
      watch: () => () => undefined,
      fetch: (url, options) => ask<FetchAnswer>('fetch', url, options),
    };
  }

  private ask<T>(service: Service, given: readonly unknown[]): Promise<T> {
    const call = ++this.callCount;
    return new Promise((resolve, reject) => {
      this.calls.set(call, { resolve: resolve as Waiting['resolve'], reject });
      this.post({ type: 'serve', call, service, given });
    });
  }
}

async function pluginOf({ module, builtIn }: LoadOrder): Promise<Plugin> {
  const loaded = (await import(module)) as { default?: unknown; builtIn?: (name: string) => unknown };
  const plugin = builtIn === undefined ? loaded.default : loaded.builtIn?.(builtIn);
  if (!isPlugin(plugin)) throw new Error('its module has no default export that `definePlugin` has made');
  return plugin;
}

export function isPlugin(value: unknown): value is Plugin {
  if (typeof value !== 'object' || value === null) return false;
  const { name, version, hooks, reads } = value as Partial<Plugin>;
  const hasFacts = typeof name === 'string' && typeof version === 'string';
  return hasFacts && typeof hooks === 'function' && typeof reads === 'function';
}

function configOf(plugin: Plugin, given: unknown): unknown {
  const checked = plugin.checked(given);
  if (checked.ok) return checked.config;
  throw new Error(checked.problems.map(({ path, message }) => `${path} ${message}`.trim()).join('; '));
}

/** Asked once: it has to be the same for everybody. */
function challengeOf(hooks: Hooks, binding: string): string | undefined {
  if (hooks.challenge === undefined) return undefined;
  const { early: Nothing } = memberViewClasses(binding, []);
  try {
    return hooks.challenge(new Nothing(Object.create(null)));
  } catch (thrown) {
    throw new Error(
      `its hook \`challenge\` depends on the request (${messageOf(thrown)}); it runs with isolation: inline alone`,
    );
  }
}

function outcomeOf(wire: WireOutcome | undefined): Outcome {
  const read = readOutcome(wire, undefined);
  return read instanceof Refusal ? Outcome.ofRefusal(read) : read;
}

function orRefusal(answer: unknown): unknown {
  return answer instanceof Refusal ? { refusal: wireRefusal(answer) } : answer;
}

/** Fields of a log line that can be sent: an error becomes its message. */
function plain(fields: object): never {
  const text = JSON.stringify(fields, (_, value) =>
    value instanceof Error ? value.message : typeof value === 'bigint' ? String(value) : value,
  );
  return JSON.parse(text) as never;
}

function take(from: Map<number, Waiting>, id: number): Waiting | undefined {
  const found = from.get(id);
  from.delete(id);
  return found;
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
