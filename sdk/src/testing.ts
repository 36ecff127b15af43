/**
 * The harness for plugins: the very engine of the gateway, with scripted upstreams and a clock that is moved by hand.
 *
 * ```ts
 * const gateway = testPlugin(plugin, { config: { rate: 1 } });
 * const outcome = await gateway.call({ tool: 'files:read', arguments: { path: 'a' } });
 * ```
 */

import { Type } from '@sinclair/typebox';
import type { AskFor, Question } from './asking.js';
import { Binding } from './binding.js';
import { MemoryBuckets, type PluginBuckets } from './buckets.js';
import { checkConfig } from './configuration.js';
import { type Arrival, type Call, type Client, Exchange, type Target } from './exchange.js';
import { frozen } from './frozen.js';
import type { Identity, JsonObject } from './identity.js';
import { entryTargets } from './lists.js';
import { Outcome } from './outcome.js';
import {
  type Clock,
  type ConfigProblem,
  definePlugin,
  type FetchAnswer,
  type FetchOptions,
  type MaybePromise,
  type PageAnswer,
  type Plugin,
  type PluginHost,
  type UpstreamChange,
} from './plugin.js';
import { type Fields, Refusal } from './refusal.js';
import { type Remarked, THE_GATEWAY } from './remarks.js';
import { compileRoute, type Route } from './route.js';
import { TestConversation, type TestPerson } from './test-conversation.js';

/** What reached the scripted upstream. */
export interface Reached {
  readonly method: string;
  readonly target: Target | undefined;
  readonly arguments: JsonObject;
  /** What plugins added to the head of the request. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** A result, or what `Outcome` makes. */
export type Script = (reached: Reached) => JsonObject | Outcome | Promise<JsonObject | Outcome>;

export interface TestOptions {
  /** Configuration of the plugin, as it stands in a file. */
  readonly config?: unknown;
  /** Other plugins of the route, with their configurations, in the order of the configuration. */
  readonly beside?: readonly { readonly plugin: Plugin; readonly config?: unknown }[];
  /** True to put those behind the tested one in the order. */
  readonly first?: boolean;
  readonly onFailure?: 'deny' | 'allow';
  /** Answers what the plugin fetches, by URL. */
  readonly fetch?: (url: string, options: FetchOptions) => FetchAnswer | Promise<FetchAnswer>;
  /** Buckets that are shared with others; by default those of this gateway alone. */
  readonly buckets?: PluginBuckets;
  /** Answers what plugins ask, as the person in front of the client; without it the client cannot be asked. */
  readonly person?: TestPerson;
  /** Answers calls; by default with `{ content: [], echo: arguments }`. */
  readonly upstream?: Script;
  /** What upstreams list of their tools, by `upstream:name`; or what says it. By default they list none. */
  readonly definitions?:
    | Readonly<Record<string, JsonObject>>
    | ((target: Target) => MaybePromise<JsonObject | undefined>);
  /** Where the clock begins, milliseconds since the epoch. Default 1,700,000,000,000. */
  readonly nowMs?: number;
}

export interface TestRequest {
  /** Default `tools/call` with `tool`, else `tools/list`. */
  readonly method?: string;
  /** `upstream:name` of a tool. */
  readonly tool?: string;
  readonly target?: Target;
  readonly arguments?: JsonObject;
  readonly params?: JsonObject;
  /** `params` as text, where their spelling matters. */
  readonly paramsJson?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly repeatedHeaders?: readonly string[];
  readonly address?: string;
  readonly endpoint?: string;
  readonly httpMethod?: string;
  /** Who calls, where no plugin of the test finds out. */
  readonly as?: Partial<Identity>;
  readonly session?: string;
  readonly client?: Client;
  /** Aborted when the client gives up. */
  readonly signal?: AbortSignal;
  /** Default `2026-07-28`. */
  readonly revision?: string;
}

/** How one request went. */
export interface TestOutcome {
  readonly identity: Identity | undefined;
  readonly outcome: Outcome;
  /** Status that a client over HTTP sees. */
  readonly status: number;
  /** Fields of the HTTP answer that plugins set, names in lower case; several of one name are joined with a comma. */
  readonly headers: Readonly<Record<string, string>>;
  /** What plugins remarked, with who did, and the refusals of all of them. */
  readonly remarks: readonly Remarked[];
  /** What the person was asked, in order. */
  readonly asked: readonly Question[];
  /** Set when a plugin answered in place of an endpoint. */
  readonly page: PageAnswer | undefined;
}

export interface TestGateway {
  readonly route: Route;
  readonly clock: TestClock;
  /** All that reached the upstream. */
  readonly reached: readonly Reached[];
  /** Lines that plugins logged. */
  readonly logged: readonly { readonly level: string; readonly fields: object; readonly message: string }[];
  /** Counts by `name{label="value"}`. */
  readonly counted: ReadonlyMap<string, number>;
  /** Gauges, named as counts are. */
  readonly gauges: ReadonlyMap<string, number>;
  /** Resources that plugins watch, as upstream and URI, once for each that does. */
  readonly watched: readonly string[];
  /** Tells the plugins that something has changed at an upstream. */
  changed(change: UpstreamChange): void;
  /** One HTTP request with one JSON-RPC request in it: head, admission and the whole chain. */
  call(request: TestRequest): Promise<TestOutcome>;
  /** Shuts the plugins down. */
  close(): Promise<void>;
}

/** Why a configuration is refused; empty when it is taken. */
export function configProblems(plugin: Plugin, config: unknown): readonly ConfigProblem[] {
  const checked = checkConfig(plugin, config);
  return checked.ok ? [] : checked.problems;
}

const FIRST_NOW_MS = 1_700_000_000_000;

/** Makes a gateway of one plugin. Throws a TypeError when its configuration is refused. */
export function testPlugin(plugin: Plugin, options: TestOptions = {}): TestGateway {
  const clock = new TestClock(options.nowMs ?? FIRST_NOW_MS);
  const logged: { level: string; fields: object; message: string }[] = [];
  const counted = new Map<string, number>();
  const gauges = new Map<string, number>();
  const watched: string[] = [];
  const reached: Reached[] = [];
  const bind = (each: Plugin, config: unknown) => {
    const checked = checkConfig(each, config);
    if (!checked.ok)
      throw new TypeError(checked.problems.map(({ path, message }) => `${path}: ${message}`).join('; '));
    const host = testHost(each, checked.config, {
      clock,
      logged,
      counted,
      gauges,
      watched,
      fetch: options.fetch,
      buckets: options.buckets ?? new MemoryBuckets(() => clock.now()),
    });
    return new Binding({
      plugin: each,
      config: checked.config,
      host,
      onFailure: options.onFailure ?? 'deny',
      events: {
        failed: (hook, thrown) =>
          logged.push({ level: 'error', fields: { hook, thrown }, message: String(thrown) }),
        switchedOff: (forMs) => logged.push({ level: 'error', fields: { forMs }, message: 'switched off' }),
        switchedOn: () => logged.push({ level: 'info', fields: {}, message: 'switched on' }),
      },
    });
  };
  const tested = bind(plugin, options.config);
  const beside = (options.beside ?? []).map((each) => bind(each.plugin, each.config));
  const own = options.first === true ? [tested, ...beside] : [...beside, tested];
  let caller: Partial<Identity> | undefined;
  const hasIdentity = own.some(({ hooks }) => hooks.identify !== undefined);
  const route = compileRoute(
    hasIdentity
      ? own
      : [
          bind(
            scriptedIdentity(() => caller),
            {},
          ),
          ...own,
        ],
  );
  const script: Script = options.upstream ?? ((each) => ({ content: [], echo: each.arguments }));
  const handle = route.to(async (exchange) => {
    const seen: Reached = {
      method: exchange.call.method,
      target: exchange.call.targets[0],
      arguments: exchange.arguments,
      headers: exchange.changes.headers ?? {},
    };
    reached.push(seen);
    const answer = await script(seen);
    return answer instanceof Outcome
      ? answer
      : Outcome.ofResult(frozen(structuredClone(answer) as JsonObject));
  });
  return {
    route,
    clock,
    reached,
    logged,
    counted,
    gauges,
    watched,
    changed(change) {
      for (const { hooks } of route.bindings) hooks.changed?.(change);
    },
    async call(request) {
      const arrival = arrivalOf(request);
      const fields: [string, string][] = [];
      caller = request.as;
      const said = route.head(arrival, {
        setHeader: (name, value) => fields.push([name, value]),
        limitBody: () => undefined,
      });
      if (said instanceof Refusal) return refused(said, fields);
      if (said !== undefined)
        return {
          ...ended(undefined, Outcome.ofResult({}), [...fields, ...said.headers], []),
          status: said.status,
          page: said,
        };
      const admitted = await route.admit(arrival);
      if (admitted instanceof Refusal) return refused(admitted, fields);
      const conversation = new TestConversation(options.person);
      const remarks: Remarked[] = [];
      const outcome = await conversation.run(async (ask) => {
        const call = callOf(request, arrival, options.definitions, conversation, ask);
        const once = await handle(Exchange.identified(call, admitted));
        remarks.push(...(call.remarks ?? []));
        return once;
      });
      return { ...ended(admitted.identity, outcome, fields, remarks), asked: conversation.asked };
    },
    async close() {
      for (const binding of route.bindings) await binding.hooks.shutdown?.();
    },
  };
}

/** By somebody who was asked before there was an exchange. */
function refused(refusal: Refusal, fields: Fields): TestOutcome {
  const { message, by = THE_GATEWAY } = refusal;
  const remark: Remarked = { kind: 'deny', reason: message, by };
  return ended(undefined, Outcome.ofRefusal(refusal), fields, [remark]);
}

function ended(
  identity: Identity | undefined,
  outcome: Outcome,
  fields: Fields,
  remarks: readonly Remarked[],
): TestOutcome {
  const headers: Record<string, string> = {};
  for (const [name, value] of [...fields, ...outcome.headers]) {
    const key = name.toLowerCase();
    headers[key] = key in headers ? `${headers[key]}, ${value}` : value;
  }
  const status = outcome.refusal?.status ?? 200;
  return { identity, outcome, status, headers, remarks, asked: [], page: undefined };
}

function scriptedIdentity(caller: () => Partial<Identity> | undefined): Plugin {
  return definePlugin({
    name: 'scripted-identity',
    version: '1.0.0',
    description: 'Says who calls as the test does.',
    phase: 'identity',
    config: Type.Object({}),
    reads: [],
    changes: [],
    hooks: () => ({ identify: () => ({ id: 'anonymous', scopes: [], claims: {}, ...caller() }) }),
  });
}

function arrivalOf(request: TestRequest): Arrival {
  const headers: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(request.headers ?? {})) headers[name.toLowerCase()] = value;
  return {
    transport: 'http',
    endpoint: request.endpoint ?? '/mcp',
    httpMethod: request.httpMethod ?? 'POST',
    headers,
    repeatedHeaders: request.repeatedHeaders ?? [],
    address: request.address ?? '192.0.2.1',
    origin: 'https://gateway.example.com',
  };
}

function callOf(
  request: TestRequest,
  arrival: Arrival,
  definitions: TestOptions['definitions'] = {},
  { canAsk }: TestConversation,
  ask: (call: Call) => AskFor,
): Call {
  const target = request.target ?? toolTarget(request.tool);
  const method = request.method ?? (target === undefined ? 'tools/list' : 'tools/call');
  const { paramsJson } = request;
  const params: JsonObject =
    request.params ??
    (paramsJson === undefined
      ? {
          ...(target === undefined ? {} : { name: target.name }),
          ...(request.arguments === undefined ? {} : { arguments: request.arguments }),
        }
      : JSON.parse(paramsJson));
  const capabilities = canAsk ? { elicitation: { form: {}, url: {} } } : {};
  const call: Call = {
    arrival,
    method,
    targets: target === undefined ? [] : [target],
    params: frozen(structuredClone(params) as JsonObject),
    paramsJson: paramsJson ?? JSON.stringify(params),
    client: { capabilities, ...request.client },
    revision: request.revision ?? '2026-07-28',
    session: request.session,
    signal: request.signal ?? new AbortController().signal,
    ask: (by, question, changes) => ask(call)(by, question, changes),
    targetOf: entryTargets(method, (name) => toolTarget(name) ?? { upstream: '', name }),
    definition: (asked) =>
      typeof definitions === 'function' ? definitions(asked) : definitions[`${asked.upstream}:${asked.name}`],
  };
  return call;
}

/** `files:read` as a target. */
function toolTarget(tool: string | undefined): Target | undefined {
  if (tool === undefined) return undefined;
  const colon = tool.indexOf(':');
  return { kind: 'tool', upstream: tool.slice(0, Math.max(0, colon)), name: tool.slice(colon + 1) };
}

interface TestWorld {
  readonly clock: Clock;
  readonly logged: { level: string; fields: object; message: string }[];
  readonly counted: Map<string, number>;
  readonly gauges: Map<string, number>;
  readonly watched: string[];
  readonly fetch: TestOptions['fetch'];
  readonly buckets: PluginBuckets;
}

function testHost(
  plugin: Plugin,
  config: unknown,
  { clock, logged, counted, gauges, watched, fetch, buckets }: TestWorld,
): PluginHost {
  const log = (level: string) => (fields: object, message: string) =>
    void logged.push({ level, fields, message });
  const keyOf = (name: string, labels: Readonly<Record<string, string>> = {}) => {
    const inner = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    return inner.length === 0 ? name : `${name}{${inner.join()}}`;
  };
  const count = (name: string, labels?: Readonly<Record<string, string>>, by = 1) => {
    const key = keyOf(name, labels);
    counted.set(key, (counted.get(key) ?? 0) + by);
  };
  const kept = new Map<string, { value: string; untilMs: number }>();
  const alive = (key: string) => {
    const entry = kept.get(key);
    return entry !== undefined && entry.untilMs > clock.now() ? entry.value : undefined;
  };
  return {
    binding: plugin.name,
    clock,
    log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    metrics: {
      count: (name, _help, labels, by) => count(name, labels, by),
      observe: (name, _help, value, labels) => count(name, labels, value),
      gauge: (name, _help, value, labels) => gauges.set(keyOf(name, labels), value),
    },
    store: {
      get: async (key) => alive(key),
      set: async (key, value, { ttlMs = Number.POSITIVE_INFINITY } = {}) => {
        kept.set(key, { value, untilMs: clock.now() + ttlMs });
      },
      delete: async (key) => {
        kept.delete(key);
      },
      keys: async (prefix) =>
        [...kept.keys()].filter((key) => key.startsWith(prefix) && alive(key) !== undefined).sort(),
    },
    buckets,
    shared: new SharedArrayBuffer(plugin.sharedBytes(config)),
    watch: (upstream, uri) => {
      const own = `${upstream} ${uri}`;
      watched.push(own);
      return () => {
        const index = watched.indexOf(own);
        if (index !== -1) watched.splice(index, 1);
      };
    },
    fetch: async (url, fetchOptions = {}) => {
      if (fetch === undefined) throw new Error(`the test answers no requests; ${url} was asked for`);
      return fetch(url, fetchOptions);
    },
  };
}

/** Time that stands still until it is moved. */
export class TestClock implements Clock {
  private timers: { atMs: number; callback: () => void }[] = [];

  constructor(private nowMs: number) {}

  now(): number {
    return this.nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, callback };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((each) => each !== timer);
    };
  }

  /** Moves on, and runs what is due on the way, in order. */
  advance(byMs: number): void {
    const until = this.nowMs + byMs;
    for (;;) {
      const due = this.timers.filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.timers = this.timers.filter((each) => each !== due);
      this.nowMs = Math.max(this.nowMs, due.atMs);
      due.callback();
    }
    this.nowMs = until;
  }
}
