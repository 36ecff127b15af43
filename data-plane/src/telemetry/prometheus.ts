/**
 * The parts of prom-client that a gateway needs from its start. The whole of it brings a push gateway's HTTP client and
 * more, which take 9 MB; what describes the process itself is loaded when somebody first asks for metrics.
 */
import { createRequire } from 'node:module';
import type * as prometheus from 'prom-client';

const require = createRequire(import.meta.url);

export type Counter = prometheus.Counter;
export type Gauge = prometheus.Gauge;
export type Registry = prometheus.Registry;
export type Histogram = prometheus.Histogram;
export const Registry = require('prom-client/lib/registry') as typeof prometheus.Registry;
export const Counter = require('prom-client/lib/counter') as typeof prometheus.Counter;
export const Gauge = require('prom-client/lib/gauge') as typeof prometheus.Gauge;
export const Histogram = require('prom-client/lib/histogram') as typeof prometheus.Histogram;

/** Memory, processor time, event loop and garbage collection of this process, from now on. */
export function describeProcess(register: Registry, prefix: string): void {
  const collect = require('prom-client/lib/defaultMetrics') as typeof prometheus.collectDefaultMetrics;
  collect({ register, prefix });
}
