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
  readonly strangers = this.counter(
    'sluice_bus_strangers_total',
    'Messages on subjects of nodes that were passed over, because no node of the cluster says such',
  );
  readonly claims = this.counter(
    'sluice_session_claims_total',
    'Sessions that this node asked for, by what decided: store, cache when NATS was away, or none of them',
    ['decided_by'],
  );
  readonly moved = this.counter(
    'sluice_sessions_moved_total',
    'Sessions that this node let go because another one has them',
  );
  readonly waiting = this.gauge('sluice_session_writes_waiting', 'Sessions that are to be written to NATS');
  readonly forgotten = this.counter(
    'sluice_session_writes_forgotten_total',
    'Sessions that were not written to NATS: too many waited for it',
  );
  readonly swept = this.counter(
    'sluice_sessions_swept_total',
    'Sessions of nodes that are gone, which this node deleted because they were idle for too long',
  );

  text(): Promise<string> {
    return this.registry.metrics();
  }

  private gauge(name: string, help: string) {
    return new Gauge({ name, help, registers: [this.registry] });
  }

  private counter<L extends string = never>(name: string, help: string, labelNames: L[] = []) {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }
}
