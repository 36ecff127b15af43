/** What a plugin has beside its configuration: time, log, counters, a store, shared memory and a way out. */
import type { Plugin, PluginBuckets, PluginHost, PluginRecords, PluginStore } from '@sluice/sdk';
import type { Logger } from 'pino';
import type { EgressPolicy } from '../upstream/transport/egress-policy.js';
import { fetchThroughEgress } from './plugin-fetch.js';

/** What a plugin says of one of its metrics. */
export interface PluginMeasurement {
  readonly binding: string;
  /** The plugin's own name, which begins that of the metric. */
  readonly plugin: string;
  readonly name: string;
  readonly help: string;
  readonly labels: Readonly<Record<string, string>>;
  /** By how much it grew, what was observed, or what it is now. */
  readonly value: number;
}

/** Counters of plugins; see the metrics of a worker. */
export interface PluginSeries {
  pluginCounted(measurement: PluginMeasurement): void;
  pluginObserved(measurement: PluginMeasurement): void;
  pluginGauged(measurement: PluginMeasurement): void;
  pluginFailed(binding: string, hook: string): void;
  /** Left alone for a while, or tried again. */
  pluginSwitched(binding: string, isOff: boolean): void;
}

export interface PluginHostParts {
  readonly log: Logger;
  readonly metrics: PluginSeries;
  readonly store: (binding: string) => PluginStore;
  readonly buckets: (binding: string) => PluginBuckets;
  /** Absent where the node shares nothing. */
  readonly records?: (binding: string) => PluginRecords | undefined;
  /** Memory that all workers of the node share, by the name of the binding. */
  readonly shared: (binding: string) => SharedArrayBuffer | undefined;
  /** See `watch` of a plugin's host. */
  readonly watch: PluginHost['watch'];
  /** As it is now. */
  readonly egress: () => EgressPolicy;
}

/** @param sharedBytes of memory that is this worker's own, where the workers share none for the binding. */
export function pluginHost(
  binding: string,
  plugin: Plugin,
  parts: PluginHostParts,
  sharedBytes: number,
): PluginHost {
  const { metrics } = parts;
  const log = parts.log.child({ plugin: binding });
  return {
    binding,
    clock: {
      now: () => Date.now(),
      after: (delayMs, callback) => {
        const timer = setTimeout(callback, delayMs).unref();
        return () => clearTimeout(timer);
      },
    },
    log: {
      debug: (fields, message) => log.debug(fields, message),
      info: (fields, message) => log.info(fields, message),
      warn: (fields, message) => log.warn(fields, message),
      error: (fields, message) => log.error(fields, message),
    },
    metrics: {
      count: (name, help, labels = {}, by = 1) =>
        metrics.pluginCounted({ binding, plugin: plugin.name, name, help, labels, value: by }),
      observe: (name, help, value, labels = {}) =>
        metrics.pluginObserved({ binding, plugin: plugin.name, name, help, labels, value }),
      gauge: (name, help, value, labels = {}) =>
        metrics.pluginGauged({ binding, plugin: plugin.name, name, help, labels, value }),
    },
    store: parts.store(binding),
    buckets: parts.buckets(binding),
    records: parts.records?.(binding),
    shared: parts.shared(binding) ?? new SharedArrayBuffer(sharedBytes),
    watch: parts.watch,
    fetch: (url, options) => fetchThroughEgress(parts.egress(), url, options),
  };
}
