import type { ResolvedConfiguration } from '@sluice/proto';
import type { Logger } from 'pino';

/** State of one upstream as the data plane sees it. */
export interface UpstreamStatus {
  readonly name: string;
  readonly id: string;
  readonly kind: 'http' | 'stdio';
  readonly state: 'starting' | 'ready' | 'failed';
  readonly era?: 'modern' | 'legacy';
  readonly revision?: string;
  readonly toolCount: number;
  readonly promptCount: number;
  readonly resourceCount: number;
  readonly error?: string;
}

export interface DataPlane {
  readonly url: string;
  readonly metricsUrl?: string;
  readonly healthUrl?: string;
  readonly listener: 'uws' | 'node';
  apply(configuration: ResolvedConfiguration): Promise<void>;
  status(): UpstreamStatus[];
  readonly ready: Promise<void>;
  stop(graceMs: number): Promise<void>;
}

export type StartDataPlane = (options: {
  configuration: ResolvedConfiguration;
  key: Uint8Array;
  log: Logger;
}) => Promise<DataPlane>;

const { startDataPlane: start } = (await import('@sluice/data-plane')) as unknown as {
  startDataPlane: StartDataPlane;
};
export const startDataPlane = start;
