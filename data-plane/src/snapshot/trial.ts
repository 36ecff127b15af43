/** A revision that some callers are given, as it runs beside the one that all others are given. */
import type { ResolvedConfiguration } from '@sluice/proto';
import type { Identity } from '@sluice/sdk';
import type { ChainedEndpoint } from '../chain/chained-endpoint.js';
import type { Plugins, PreparedPlugins } from '../chain/plugins.js';
import type { Offers } from '../federation/offers.js';
import type { Endpoint } from '../front/endpoint.js';
import type { RouteTable } from '../routing/table.js';
import { Tally } from '../telemetry/tally.js';
import type { Upstream } from '../upstream/upstream.js';
import type { PrincipalShare } from './principal-share.js';

/** What runs of it. Upstreams, plugins and endpoints that did not change are those of the other revision. */
export interface TrialParts {
  readonly rollout: string;
  readonly configuration: ResolvedConfiguration;
  /** The revision beside which it was made. */
  readonly base: number | undefined;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly direct: ReadonlyMap<Upstream, ChainedEndpoint>;
  readonly offers: Offers;
  readonly plugins: Plugins;
  readonly prepared: PreparedPlugins;
  readonly table: RouteTable<Endpoint>;
  /** Those that are not the other revision's too. */
  readonly own: ReadonlySet<ChainedEndpoint>;
}

export class Trial {
  /** What was served where the revisions differ: of this one, and of the other. */
  readonly served = new Tally();
  readonly servedBeside = new Tally();

  constructor(
    readonly parts: TrialParts,
    private share: PrincipalShare,
  ) {}

  /** Whether this is what a configuration asks for, except for the share of the callers. */
  isOf({ revision, trial }: ResolvedConfiguration): boolean {
    const { rollout, configuration, base } = this.parts;
    return (
      trial !== undefined &&
      rollout === trial.rollout &&
      configuration.revision === trial.configuration.revision &&
      base === revision
    );
  }

  /** Gives it to more callers, or to fewer. */
  shareWith(share: PrincipalShare): void {
    this.share = share;
  }

  takes(identity: Identity): boolean {
    return this.share.takes(identity);
  }

  /** The endpoint behind a path, or undefined when there is none. */
  find(path: string): Endpoint | undefined {
    return this.parts.table.find(path);
  }

  /** Whether an endpoint of the other revision is one of this as well. */
  shares(endpoint: Endpoint): boolean {
    return this.find(endpoint.path) === endpoint;
  }

  /** Upstreams that do not answer. */
  get failedUpstreamCount(): number {
    return this.parts.offers.known.filter(({ state }) => state === 'failed').length;
  }
}
