/** Where the hooks of one plugin run, as the gateway sees it. */
import type { Changes, Outcome, PluginHost, Remark } from '@sluice/sdk';
import type { LoadedFacts, RunOrder } from '@sluice/sdk/isolation';

/** The rest of the chain. */
export type Next = (changes: Changes | undefined) => Promise<Outcome>;

/** What the gateway does for a run while it is under way. */
export interface RunSide {
  readonly next?: Next | undefined;
  readonly remark?: ((remark: Remark) => void) | undefined;
}

export interface Runner {
  readonly facts: LoadedFacts;
  /** Rejects with an Error when the plugin fails, and with a Refusal when there is too much to do. */
  run(order: Omit<RunOrder, 'run'>, side?: RunSide): Promise<unknown>;
  /** From now on it can log, count, keep and fetch; what it wanted before waits for this. */
  serve(host: PluginHost): void;
  /** Lets it shut down in order, and ends it in any case. Whatever runs fails. */
  close(): Promise<void>;
}
