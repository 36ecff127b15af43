/**
 * Counters of one worker. The hot path adds numbers to records that it holds already; prom-client renders them
 * when somebody asks.
 */
import type { PluginMeasurement, PluginSeries } from '../chain/plugin-host.js';
import { Counter, describeProcess, Gauge, Histogram, Registry } from './prometheus.js';

/** Upper bounds in seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Upstreams choose their error codes; those beyond this many of one series are counted together. */
const MAX_ERROR_CODE_COUNT = 50;
/** Names under which plugins count; one that makes up names does so no longer than this. */
const MAX_PLUGIN_METRIC_COUNT = 500;
/** Values of the labels of one of them, together; a plugin that takes texts of callers for labels ends here. */
const MAX_PLUGIN_SERIES_COUNT = 1_000;
/** Stands for the rest of them; no error has this code. */
const OTHER_CODES = 0;

/** One value that a plugin counts. */
interface PluginRecord {
  readonly labels: Record<string, string>;
  value: number;
}

function metricName(plugin: string, name: string): string {
  return `sluice_plugin_${plugin}_${name}`.replaceAll(/[^a-zA-Z0-9_]/g, '_');
}

/** What is counted for one (endpoint, method). */
class Series {
  readonly statuses = new Map<number, number>();
  readonly errors = new Map<number, number>();
  readonly buckets = new Float64Array(BUCKETS.length + 1);
  sum = 0;
  count = 0;

  failed(errorCode: number): void {
    const { errors } = this;
    const code = errors.has(errorCode) || errors.size < MAX_ERROR_CODE_COUNT ? errorCode : OTHER_CODES;
    errors.set(code, (errors.get(code) ?? 0) + 1);
  }
}

/** Values that are read when somebody asks. */
export interface Gauges {
  sessions(): number;
  connections(): number;
  requestsInFlight(): number;
  parkedCalls(): number;
  upstreams(): readonly { name: string; up: boolean; tools: number }[];
}

export class Metrics implements PluginSeries {
  private readonly endpoints = new Map<string, Map<string, Series>>();
  private readonly registry = new Registry();
  private readonly faults: Counter;
  private readonly sessionEnds: Counter;
  private readonly refusals: Counter;
  private readonly pluginFailures: Counter;
  private readonly pluginsOff: InstanceType<typeof Gauge>;
  private readonly pluginRecords = new Map<string, Map<string, PluginRecord>>();
  private readonly pluginHistograms = new Map<string, Histogram>();
  /** Those of the process are to be had here, and nobody has asked yet. */
  private lacksProcess: boolean;

  constructor(gauges: Gauges, withProcess: boolean) {
    const registers = [this.registry];
    this.lacksProcess = withProcess;
    this.faults = new Counter({
      name: 'sluice_faults_total',
      help: 'Exceptions that cost an exchange',
      registers,
    });
    this.sessionEnds = new Counter({
      name: 'sluice_session_ends_total',
      help: 'Legacy sessions that ended',
      labelNames: ['reason'],
      registers,
    });
    this.refusals = new Counter({
      name: 'sluice_refusals_total',
      help: 'Requests refused before they were read as MCP',
      labelNames: ['status'],
      registers,
    });
    this.pluginFailures = new Counter({
      name: 'sluice_plugin_failures_total',
      help: 'Hooks of plugins that failed, by the name of the plugin in the configuration',
      labelNames: ['binding', 'hook'],
      registers,
    });
    this.pluginsOff = new Gauge({
      name: 'sluice_plugin_switched_off',
      help: 'Workers in which a plugin that keeps failing is left alone for a while',
      labelNames: ['binding'],
      aggregator: 'sum',
      registers,
    });
    gauge('sluice_sessions_active', 'Legacy sessions', registers, gauges.sessions);
    gauge('sluice_connections_active', 'Open client connections', registers, gauges.connections);
    gauge('sluice_requests_in_flight', 'Requests under way', registers, gauges.requestsInFlight);
    gauge('sluice_parked_calls', 'Calls that wait for a client to answer', registers, gauges.parkedCalls);
    new Gauge({
      name: 'sluice_upstream_up',
      help: '1 when the upstream answered its last discovery',
      labelNames: ['upstream'],
      aggregator: 'max',
      registers,
      collect() {
        this.reset();
        for (const { name, up } of gauges.upstreams()) this.set({ upstream: name }, up ? 1 : 0);
      },
    });
    new Gauge({
      name: 'sluice_upstream_tools',
      help: 'Tools that the upstream offers',
      labelNames: ['upstream'],
      aggregator: 'max',
      registers,
      collect() {
        this.reset();
        for (const { name, tools } of gauges.upstreams()) this.set({ upstream: name }, tools);
      },
    });
    this.requests(registers);
  }

  pluginCounted(measurement: PluginMeasurement): void {
    const record = this.pluginRecord('counter', measurement);
    if (record !== undefined) record.value += measurement.value;
  }

  pluginObserved({ binding, plugin, name, help, labels, value }: PluginMeasurement): void {
    const whole = metricName(plugin, name);
    let histogram = this.pluginHistograms.get(whole);
    if (histogram === undefined) {
      if (this.pluginHistograms.size >= MAX_PLUGIN_METRIC_COUNT) return;
      const labelNames = ['binding', ...Object.keys(labels)];
      histogram = new Histogram({
        name: whole,
        help,
        labelNames,
        buckets: BUCKETS,
        registers: [this.registry],
      });
      this.pluginHistograms.set(whole, histogram);
    }
    histogram.observe({ binding, ...labels }, value);
  }

  pluginGauged(measurement: PluginMeasurement): void {
    const record = this.pluginRecord('gauge', measurement);
    if (record !== undefined) record.value = measurement.value;
  }

  pluginFailed(binding: string, hook: string): void {
    this.pluginFailures.inc({ binding, hook });
  }

  pluginSwitched(binding: string, isOff: boolean): void {
    this.pluginsOff.set({ binding }, isOff ? 1 : 0);
  }

  /** Made when a plugin first counts something; rendered when somebody asks, like all that is counted here. */
  private pluginRecord(
    kind: 'counter' | 'gauge',
    { binding, plugin, name, help, labels }: PluginMeasurement,
  ): PluginRecord | undefined {
    const key = `${plugin} ${name}`;
    let records = this.pluginRecords.get(key);
    if (records === undefined) {
      if (this.pluginRecords.size >= MAX_PLUGIN_METRIC_COUNT) return undefined;
      records = new Map();
      this.pluginRecords.set(key, records);
      this.renderPlugin(kind, metricName(plugin, name), help, labels, records);
    }
    let own = binding;
    for (const label in labels) own += `\n${labels[label]}`;
    let record = records.get(own);
    if (record === undefined) {
      if (records.size >= MAX_PLUGIN_SERIES_COUNT) return undefined;
      record = { labels: { binding, ...labels }, value: 0 };
      records.set(own, record);
    }
    return record;
  }

  private renderPlugin(
    kind: 'counter' | 'gauge',
    name: string,
    help: string,
    labels: PluginMeasurement['labels'],
    records: ReadonlyMap<string, PluginRecord>,
  ): void {
    const common = {
      name,
      help,
      labelNames: ['binding', ...Object.keys(labels)],
      registers: [this.registry],
    };
    if (kind === 'gauge') {
      new Gauge({
        ...common,
        collect() {
          for (const each of records.values()) this.set(each.labels, each.value);
        },
      });
      return;
    }
    new Counter({
      ...common,
      collect() {
        this.reset();
        for (const each of records.values()) this.inc(each.labels, each.value);
      },
    });
  }

  /** One request has ended. `errorCode` 0 says that it has a result. */
  ended(endpoint: string, method: string, status: number, errorCode: number, seconds: number): void {
    const series = this.series(endpoint, method);
    series.statuses.set(status, (series.statuses.get(status) ?? 0) + 1);
    if (errorCode !== 0) series.failed(errorCode);
    let bucket = 0;
    while (bucket < BUCKETS.length && seconds > (BUCKETS[bucket] as number)) bucket++;
    series.buckets[bucket] = (series.buckets[bucket] as number) + 1;
    series.sum += seconds;
    series.count++;
  }

  /** One request of several in an HTTP request, or one whose answer is a stream, was answered with an error. */
  failed(endpoint: string, method: string, errorCode: number): void {
    this.series(endpoint, method).failed(errorCode);
  }

  fault(): void {
    this.faults.inc();
  }

  sessionEnded(reason: string): void {
    this.sessionEnds.inc({ reason });
  }

  refused(status: number): void {
    this.refusals.inc({ status: String(status) });
  }

  /** All metrics as JSON, so that those of several workers can be added up. */
  snapshot(): Promise<object[]> {
    return this.whole().getMetricsAsJSON();
  }

  text(): Promise<string> {
    return this.whole().metrics();
  }

  private whole(): Registry {
    if (this.lacksProcess) {
      this.lacksProcess = false;
      describeProcess(this.registry, 'sluice_');
    }
    return this.registry;
  }

  private series(endpoint: string, method: string): Series {
    let methods = this.endpoints.get(endpoint);
    if (methods === undefined) {
      methods = new Map();
      this.endpoints.set(endpoint, methods);
    }
    let series = methods.get(method);
    if (series === undefined) {
      series = new Series();
      methods.set(method, series);
    }
    return series;
  }

  private requests(registers: Registry[]): void {
    const { endpoints } = this;
    new Counter({
      name: 'sluice_requests_total',
      help: 'Requests by endpoint (an upstream, or * for all as one), method and HTTP status',
      labelNames: ['endpoint', 'method', 'status'],
      registers,
      collect() {
        this.reset();
        each(endpoints, (endpoint, method, series) => {
          for (const [status, count] of series.statuses)
            this.inc({ endpoint, method, status: String(status) }, count);
        });
      },
    });
    new Counter({
      name: 'sluice_errors_total',
      help: 'JSON-RPC errors by endpoint, method and code',
      labelNames: ['endpoint', 'method', 'code'],
      registers,
      collect() {
        this.reset();
        each(endpoints, (endpoint, method, series) => {
          for (const [code, count] of series.errors)
            this.inc({ endpoint, method, code: code === OTHER_CODES ? 'other' : String(code) }, count);
        });
      },
    });
    const histogram = new Histogram({
      name: 'sluice_request_duration_seconds',
      help: 'Time from the whole request to the whole answer',
      labelNames: ['endpoint', 'method'],
      buckets: BUCKETS,
      registers,
    });
    // prom-client has no way to set a histogram's buckets; the registry reads `get` for JSON, the other for text.
    const get = async () => ({
      name: 'sluice_request_duration_seconds',
      help: 'Time from the whole request to the whole answer',
      type: 'histogram',
      aggregator: 'sum',
      values: durations(endpoints),
    });
    Object.assign(histogram, { get, getForPromString: get });
  }
}

function gauge(name: string, help: string, registers: Registry[], read: () => number): void {
  new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(read());
    },
  });
}

type Endpoints = ReadonlyMap<string, ReadonlyMap<string, Series>>;

function each(endpoints: Endpoints, visit: (endpoint: string, method: string, series: Series) => void): void {
  for (const [endpoint, methods] of endpoints)
    for (const [method, series] of methods) visit(endpoint, method, series);
}

function durations(endpoints: Endpoints): object[] {
  const values: object[] = [];
  const name = 'sluice_request_duration_seconds';
  each(endpoints, (endpoint, method, series) => {
    let total = 0;
    for (const [i, bound] of [...BUCKETS, '+Inf'].entries()) {
      total += series.buckets[i] as number;
      values.push({ metricName: `${name}_bucket`, labels: { le: bound, endpoint, method }, value: total });
    }
    values.push({ metricName: `${name}_sum`, labels: { endpoint, method }, value: series.sum });
    values.push({ metricName: `${name}_count`, labels: { endpoint, method }, value: series.count });
  });
  return values;
}
