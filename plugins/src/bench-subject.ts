/** One case of a microbenchmark in the very engine of the gateway, with the clock of the gateway and nothing around it. */
import type { Changes, JsonObject, Plugin, PluginHost } from '@sluice/sdk';
import {
  Admitted,
  ANONYMOUS,
  type Arrival,
  Binding,
  type Call,
  compileRoute,
  Exchange,
  frozen,
  MemoryBuckets,
  Outcome,
  Refusal,
  type Route,
} from '@sluice/sdk/engine';
import type { BenchCase, BenchRequest, Seen } from './bench-case.js';

/** As large as in the other benchmarks: about 120 bytes. */
const ARGUMENTS = {
  text: 'The quick brown fox jumps over the lazy dog while the five boxing wizards jump quickly once more again today.',
};
const RESULT = JSON.stringify({ resultType: 'complete', content: [{ type: 'text', ...ARGUMENTS }] });
const RESPONSE = Buffer.from(`{"jsonrpc":"2.0","id":1,"result":${RESULT}}`);
const RESULT_PLACE = { start: RESPONSE.indexOf(RESULT), end: RESPONSE.length - 1 };
const TOOL = { kind: 'tool', upstream: 'bench', name: 'echo' } as const;

/** What is called over and over. */
export interface Subject {
  /** One request; returns when it has ended, or a promise of that. */
  readonly once: () => unknown;
  /** One more, looked at. */
  readonly look: () => Promise<Seen>;
  readonly end: () => Promise<void>;
}

/**
 * @param plugin undefined for the same without any: what the engine itself costs.
 * @throws TypeError when the configuration is refused.
 */
export function benchSubject(plugin: Plugin | undefined, bench: BenchCase): Subject {
  const route = compileRoute(plugin === undefined ? [] : [bindingOf(plugin, bench)]);
  const last: { reached: Changes | undefined } = { reached: undefined };
  const fields: [string, string][] = [];
  const once = { head, admission, call }[bench.stage](
    route,
    bench.request ?? {},
    { last, fields },
    bench.definition,
  );
  return {
    once,
    async look() {
      last.reached = undefined;
      const answer = await once();
      return {
        fields,
        found: answer instanceof Admitted ? answer.identity : answer instanceof Refusal ? answer : undefined,
        outcome: answer instanceof Outcome ? answer : undefined,
        reached: last.reached,
      };
    },
    async end() {
      for (const { hooks } of route.bindings) await hooks.shutdown?.();
    },
  };
}

/** Where a subject leaves what is looked at. */
interface Traces {
  readonly last: { reached: Changes | undefined };
  readonly fields: [string, string][];
}

function head(route: Route, request: BenchRequest, { fields }: Traces): () => unknown {
  const arrival = arrivalOf(request);
  const control = {
    setHeader: (name: string, value: string) => void fields.push([name, value]),
    limitBody: () => undefined,
  };
  return () => {
    fields.length = 0;
    return route.head(arrival, control);
  };
}

function admission(route: Route, request: BenchRequest): () => unknown {
  const arrival = arrivalOf(request);
  return () => route.admit(arrival);
}

function call(
  route: Route,
  request: BenchRequest,
  { last }: Traces,
  definition: JsonObject | undefined,
): () => unknown {
  const arrival = arrivalOf(request);
  const admitted = Admitted.as(frozen({ ...ANONYMOUS, ...request.identity }));
  const handle = route.to((exchange) => {
    last.reached = exchange.changes;
    return Outcome.ofResponse(RESPONSE, 0, RESULT_PLACE);
  });
  const { argumentsOf } = request;
  if (argumentsOf === undefined) {
    const same = callOf(arrival, ARGUMENTS, definition);
    return () => handle(Exchange.identified(same, admitted));
  }
  let index = 0;
  return () => handle(Exchange.identified(callOf(arrival, argumentsOf(index++), definition), admitted));
}

function arrivalOf({ headers = {} }: BenchRequest): Arrival {
  return {
    transport: 'http',
    endpoint: '/mcp',
    httpMethod: 'POST',
    headers: Object.assign(Object.create(null), {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-method': 'tools/call',
      ...headers,
    }),
    repeatedHeaders: [],
    address: '192.0.2.1',
    origin: 'https://gateway.example.com',
  };
}

const NEVER = new AbortController().signal;

function callOf(arrival: Arrival, own: Call['params'], definition: JsonObject | undefined): Call {
  const params = { name: TOOL.name, arguments: own };
  return {
    arrival,
    method: 'tools/call',
    targets: [TOOL],
    params,
    paramsJson: JSON.stringify(params),
    client: {},
    revision: '2026-07-28',
    session: undefined,
    signal: NEVER,
    ask: () => Promise.reject(new Error('nobody is asked in a benchmark')),
    targetOf: () => undefined,
    definition: () => definition,
  };
}

function bindingOf(plugin: Plugin, bench: BenchCase): Binding {
  const checked = plugin.checked(bench.config ?? {});
  if (!checked.ok) {
    const problems = checked.problems.map(({ path, message }) => `${path} ${message}`);
    throw new TypeError(`${plugin.name}, ${bench.name}: ${problems.join('; ')}`);
  }
  return new Binding({
    plugin,
    config: checked.config,
    host: hostOf(plugin, checked.config, bench),
    onFailure: 'deny',
    events: {
      failed: (_hook, thrown) => {
        throw thrown;
      },
      switchedOff: () => undefined,
      switchedOn: () => undefined,
    },
  });
}

function hostOf(plugin: Plugin, config: unknown, { fetch }: BenchCase): PluginHost {
  const nothing = () => undefined;
  return {
    binding: plugin.name,
    clock: {
      now: () => Date.now(),
      after(delayMs, callback) {
        const timer = setTimeout(callback, delayMs).unref();
        return () => clearTimeout(timer);
      },
    },
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    metrics: { count: nothing, observe: nothing, gauge: nothing },
    store: {
      get: async () => undefined,
      set: async () => undefined,
      delete: async () => undefined,
      keys: async () => [],
    },
    buckets: new MemoryBuckets(() => performance.now()),
    shared: new SharedArrayBuffer(plugin.sharedBytes(config)),
    watch: () => nothing,
    async fetch(url) {
      if (fetch === undefined) throw new Error(`nobody answers here, and ${url} was asked for`);
      return fetch(url);
    },
  };
}
