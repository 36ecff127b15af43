/** What is counted of the connection to the other nodes. It is the process's own, whatever workers it has. */
import { Counter, Gauge, Registry } from '../telemetry/prometheus.js';

export class ClusterMetrics {
  private readonly registry = new Registry();
  /** 1 while NATS answers. */
  readonly natsUp = this.gauge('sluice_nats_up', 'Whether the connection to NATS stands');
  readonly natsLosses = this.counter('sluice_nats_losses_total', 'Connections to NATS that were lost');
  readonly pipes = this.gauge(
    'sluice_bus_pipes',
    'Workers of other nodes that can be reached, for each of ours',
  );
  readonly pipesClosed = this.counter(
    'sluice_bus_pipes_closed_total',
    'Ways to workers of other nodes that ended, by why: gap, overflow, gone, closed',
    ['reason'],
  );
  snapshot(): Promise<object[]> {
    return this.registry.getMetricsAsJSON();
  }

  private gauge(name: string, help: string) {
    return new Gauge({ name, help, registers: [this.registry] });
  }

  private counter<L extends string = never>(name: string, help: string, labelNames: L[] = []) {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }
}
