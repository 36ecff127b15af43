/** What a plugin is: the one declaration that its author writes, and the hooks that the gateway calls. */
import type { Static, TObject } from '@sinclair/typebox';
import type { Attribute, View } from './attributes.js';
import type { PluginBuckets } from './buckets.js';
import { type CheckedConfig, checkConfig, checkConfigInSteps } from './configuration.js';
import type { Changes, Target } from './exchange.js';
import type { Identity, JsonObject } from './identity.js';
import type { Outcome } from './outcome.js';
import { PHASES, type Phase } from './phases.js';
import type { Fields, Refusal } from './refusal.js';

/** Version of the interface between gateway and plugins (semantic versioning); checked when a plugin is loaded. */
export const INTERFACE_VERSION = '1.0.0';

/** Where a plugin runs: on the thread of the request, in a pool of threads, or in a process of its own. */
export type Isolation = 'inline' | 'pool' | 'process';

export type MaybePromise<T> = T | Promise<T>;

/**
 * What a plugin may change: `arguments` of calls and prompts, `headers` of the request to the upstream or one field of
 * them, `result`, the `entries` of lists, the parameters of `notifications`.
 */
export type Change = 'arguments' | 'entries' | 'headers' | 'notifications' | 'result' | `headers.${string}`;

/** `permit`, a refusal, or undefined when it is not for this plugin to say. Without any permit nothing passes. */
export type Decision = 'permit' | Refusal | undefined;

/** An entry of a list, with what it is at its upstream. */
export interface ListEntry {
  readonly target: Target;
  readonly entry: JsonObject;
}

/** A notification on its way. */
export interface Notification {
  readonly direction: 'to client' | 'to upstream';
  readonly method: string;
  readonly params: JsonObject;
}

/** What is another than before at an upstream. */
export interface UpstreamChange {
  /** Name of the upstream. */
  readonly upstream: string;
  readonly kind: 'tools' | 'prompts' | 'resources';
  /** The one resource that has changed, by the upstream's own URI; undefined: the list, and all that is on it. */
  readonly uri?: string | undefined;
}

/** What a server asks of the client in the middle of a call: elicitation, sampling, roots. */
export interface InputRequest {
  readonly method: string;
  readonly params: JsonObject;
}

/** A whole HTTP answer that a plugin gives by itself. */
export interface PageAnswer {
  readonly status: number;
  readonly headers: Fields;
  readonly body: string;
}

/** What a plugin can do with the head of a request, before its body has come. */
export interface HeadControl {
  /** Adds a field to whatever answer this request gets. */
  setHeader(name: string, value: string): void;
  /** Takes no larger body; the smallest limit counts. */
  limitBody(maxBytes: number): void;
}

/** A GET for a path that the plugin declared in `pages`. */
export interface PageRequest {
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Scheme and authority by which the client calls the gateway. */
  readonly origin: string;
  /** Paths of the endpoints that this plugin is bound to. */
  readonly endpoints: readonly string[];
}

/**
 * What the gateway calls. All are optional. Whatever a hook throws that is no {@link Refusal} counts as a failure of
 * the plugin; the binding's `on_failure` says what that means.
 *
 * `Ctx` is what was declared in `reads`. In `head`, `admission`, `refused`, `identify` and `challenge` only what is known before
 * it is known who calls.
 */
export interface Hooks<Ctx = unknown> {
  /** The head of an HTTP request, before its body. May refuse it or answer it. Cannot wait. Inline only. */
  head?(ctx: Ctx, control: HeadControl): Refusal | PageAnswer | undefined;
  /** Around finding out who calls (phases record and door); a refused caller is a Refusal here. Inline only. */
  admission?(ctx: Ctx, next: () => MaybePromise<Identity | Refusal>): MaybePromise<Identity | Refusal>;
  /**
   * A caller was refused where no request is asked about any more: by the head of an HTTP request, or on a connection whose
   * credential has expired or stands for somebody else. Phase record; inline only.
   */
  refused?(ctx: Ctx, refusal: Refusal): void;
  /** Who calls. Undefined: the credential is none of this plugin's. A Refusal ends it. */
  identify?(ctx: Ctx): MaybePromise<Identity | Refusal | undefined>;
  /** What `WWW-Authenticate` says to a caller who has no credential (RFC 9110, section 11.6.1). Inline only. */
  challenge?(ctx: Ctx): string | undefined;
  /** Whether the caller may do this. Called for each target, and once with none where there is none. */
  decide?(ctx: Ctx): MaybePromise<Decision>;
  /** Around the rest of the chain. `next` may be called once at most; what it is given changes the request. */
  exchange?(ctx: Ctx, next: (changes?: Changes) => MaybePromise<Outcome>): MaybePromise<Outcome | Refusal>;
  /** What came back, also of a call that went on as a task or asked for input. */
  outcome?(ctx: Ctx, outcome: Outcome): MaybePromise<Outcome | Refusal>;
  /** The entries of a list: leave some out, rename, annotate. */
  entries?(ctx: Ctx, entries: readonly ListEntry[]): MaybePromise<readonly ListEntry[]>;
  /** A notification that belongs to a call. Its other parameters, `drop`, or undefined to let it pass. Inline only. */
  notification?(ctx: Ctx, notification: Notification): JsonObject | 'drop' | undefined;
  /** What a server asks of the client. A Refusal is told to the server, which goes on without. Inline only. */
  input?(ctx: Ctx, request: InputRequest): Refusal | undefined;
  /** A session of a revision that has them begins; a Refusal refuses it. */
  sessionStart?(ctx: Ctx): MaybePromise<Refusal | undefined>;
  /** A session has ended, by its client, by an operator, or by its age. */
  sessionEnd?(session: string): void;
  /** A page that was asked for at one of `pages`. */
  page?(request: PageRequest): MaybePromise<PageAnswer | undefined>;
  /** The binding's configuration has changed and the plugin keeps what it has; without this hook it is made anew. */
  configure?(config: unknown): void;
  /**
   * Something at an upstream has changed, or may have. Called on every worker that hears of it, whether or not a
   * client listens. Inline only.
   */
  changed?(change: UpstreamChange): void;
  /** Nothing is called any more. */
  shutdown?(): MaybePromise<void>;
}

/** Time, which the harness moves by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back after a time; the timer keeps no process alive. Returns how to take it back. */
  after(delayMs: number, callback: () => void): () => void;
}

export interface PluginLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Counts and measures under `sluice_plugin_<plugin>_<name>`. */
export interface PluginMetrics {
  count(name: string, help: string, labels?: Readonly<Record<string, string>>, by?: number): void;
  observe(name: string, help: string, value: number, labels?: Readonly<Record<string, string>>): void;
  /** How much there is now on this worker; those of all workers are added up. */
  gauge(name: string, help: string, value: number, labels?: Readonly<Record<string, string>>): void;
}

/** A small durable map of the plugin's own; durable as the node is in standalone, shared in a cluster. */
export interface PluginStore {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string, options?: { readonly ttlMs?: number }): Promise<void>;
  delete(key: string): Promise<void>;
  /** Keys with a prefix, in order, at most 1,000. */
  keys(prefix: string): Promise<readonly string[]>;
}

/** Where a cluster gathers what the plugins of its nodes record. */
export interface PluginRecords {
  /**
   * Resolves when the cluster keeps the batch until somebody has collected it, and rejects when it does not. A batch that
   * is sent again may arrive twice. At most 512 KiB.
   */
  send(batch: string): Promise<void>;
}

/** What a plugin has beside its configuration. */
export interface PluginHost {
  /** Name of the binding, unique in the configuration. */
  readonly binding: string;
  readonly clock: Clock;
  readonly log: PluginLog;
  readonly metrics: PluginMetrics;
  readonly store: PluginStore;
  readonly buckets: PluginBuckets;
  /** Undefined where the node shares nothing with others, and where the plugin does not run inline. */
  readonly records?: PluginRecords | undefined;
  /** Memory that all workers of the node share for this binding, as large as `sharedBytes` says; zeroed at first. */
  readonly shared: SharedArrayBuffer;
  /**
   * Asks an upstream to tell of changes of a resource, which then come to the hook `changed`; does nothing where the
   * upstream tells of none, or the plugin does not run inline. Returns how to end it.
   *
   * @param uri the upstream's own
   */
  watch(upstream: string, uri: string): () => void;
  /** Resolves to text and status; goes through the gateway's egress rules. Redirects are not followed. */
  fetch(url: string, options?: FetchOptions): Promise<FetchAnswer>;
}

export interface FetchOptions {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Default 5,000. */
  readonly timeoutMs?: number;
  /** Default 1,048,576. */
  readonly maxBytes?: number;
}

export interface FetchAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
}

/** What the author of a plugin declares. */
export interface PluginDeclaration<Config extends TObject, Reads extends Attribute> {
  /** Lower-case letters, digits and hyphens. */
  readonly name: string;
  /** Semantic version of the plugin. */
  readonly version: string;
  /** One sentence for the catalogue. */
  readonly description: string;
  readonly phase: Phase;
  /** Gives type, validation, defaults and documentation of the configuration. */
  readonly config: Config;
  /** What hooks are given. A function where it depends on the configuration. */
  readonly reads: readonly Reads[] | ((config: Static<Config>) => readonly Reads[]);
  readonly changes: readonly Change[];
  /** What the operator gets who says nothing else. Plugins of others run in a process all the same. */
  readonly isolation?: Isolation;
  /** Bytes of `host.shared`. Default 0. */
  readonly sharedBytes?: (config: Static<Config>) => number;
  /** Paths that the `page` hook answers, and all below them. */
  readonly pages?: readonly string[];
  /** What the schema cannot say: problems as path (`tiers[0].rate`) and sentence. */
  readonly check?: (config: Static<Config>) => readonly ConfigProblem[];
  /** Called once for each configuration and worker: options are resolved here, hooks stay small. */
  readonly hooks: (config: Static<Config>, host: PluginHost) => Hooks<View<Reads>>;
}

export interface ConfigProblem {
  /** Path of the field inside the plugin's configuration: `keys[0].hash`. */
  readonly path: string;
  /** What is wrong. */
  readonly message: string;
  /** What would be right. */
  readonly hint?: string;
}

/** A plugin as the gateway holds it. */
export interface Plugin {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly phase: Phase;
  readonly config: TObject;
  readonly changes: readonly Change[];
  readonly isolation: Isolation;
  readonly interfaceVersion: string;
  readonly pages: readonly string[];
  reads(config: unknown): readonly string[];
  sharedBytes(config: unknown): number;
  /** False when that is 0 for every configuration. */
  readonly sharesMemory: boolean;
  check(config: unknown): readonly ConfigProblem[];
  /** Fills in defaults and checks all of it. */
  checked(config: unknown): CheckedConfig;
  /** The same, and yields from time to time. */
  checkedInSteps(config: unknown): Generator<void, CheckedConfig, void>;
  hooks(config: unknown, host: PluginHost): Hooks;
}

const NAME = /^[a-z][a-z0-9-]{0,62}$/;
const SEMANTIC_VERSION = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/;

/**
 * Declares a plugin; the default export of its module.
 *
 * @throws TypeError when name, version or phase are not what they have to be.
 */
export function definePlugin<const Config extends TObject, const Reads extends Attribute = never>(
  declaration: PluginDeclaration<Config, Reads>,
): Plugin {
  const { name, version, phase, reads, sharedBytes, check, hooks } = declaration;
  if (!NAME.test(name))
    throw new TypeError(
      `${JSON.stringify(name)} is no name of a plugin; use lower-case letters, digits and hyphens`,
    );
  if (!SEMANTIC_VERSION.test(version))
    throw new TypeError(
      `plugin ${name}: ${JSON.stringify(version)} is no semantic version, for example 1.0.0`,
    );
  if (!PHASES.includes(phase))
    throw new TypeError(
      `plugin ${name}: there is no phase ${JSON.stringify(phase)}; phases are ${PHASES.join(', ')}`,
    );
  const plugin: Plugin = {
    name,
    version,
    description: declaration.description,
    phase,
    config: declaration.config,
    changes: declaration.changes,
    isolation: declaration.isolation ?? 'inline',
    interfaceVersion: INTERFACE_VERSION,
    pages: declaration.pages ?? [],
    reads: (config) => (typeof reads === 'function' ? reads(config as Static<Config>) : reads),
    sharedBytes: (config) => sharedBytes?.(config as Static<Config>) ?? 0,
    sharesMemory: sharedBytes !== undefined,
    check: (config) => check?.(config as Static<Config>) ?? [],
    checked: (config) => checkConfig(plugin, config),
    checkedInSteps: (config) => checkConfigInSteps(plugin, config),
    hooks: (config, host) => hooks(config as Static<Config>, host) as Hooks,
  };
  return plugin;
}
