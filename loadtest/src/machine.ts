import { cpus, release, totalmem, type } from 'node:os';
import { nodeProgramVersion } from './node-program.js';

/** Where a run took place. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  system: string;
  /** Version of the Node.js that runs upstream, load generator and gateways. */
  node: string;
  /** Which library the upstream listens with. */
  upstreamListener: string;
  /** Which library the gateways listen with; absent when there are none. */
  gatewayListener?: string;
}

export function describeMachine(upstreamListener: string, gatewayListener: string | undefined): Machine {
  const [processor] = cpus();
  return {
    cpu: processor?.model ?? 'unknown processor',
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    node: nodeProgramVersion(),
    upstreamListener,
    gatewayListener,
  };
}
