/** What the upstreams of one revision offer together. Two revisions may run beside each other, and share upstreams. */
import type { Logger } from 'pino';
import { buildCatalogue, type Catalogue } from '../routing/catalogue.js';
import type { Naming } from '../routing/names.js';
import type { Upstream } from '../upstream/upstream.js';
import type { Known } from './discovery.js';

/** Upstreams of a revision, in the order of its configuration, and how what they offer is named. */
export interface OfferGroup {
  readonly known: readonly Known[];
  readonly byId: ReadonlyMap<string, Known>;
  readonly naming: Naming;
}

export class Offers {
  private group: OfferGroup;
  /** Undefined when something of it has changed, until somebody wants it. */
  private current: Catalogue | undefined;
  /** Entries that were left out, as they were logged. */
  private dropped: ReadonlySet<string> = new Set();
  private settling: Promise<void>;

  /** @param settled resolves when it is known for the first time what there is */
  constructor(
    naming: Naming,
    settled: Promise<void>,
    private readonly log: Logger,
  ) {
    this.group = { known: [], byId: new Map(), naming };
    this.settling = settled;
  }

  /** Returns whether the upstreams and their order are those of before. */
  use(next: OfferGroup): { readonly stays: boolean; readonly renamed: boolean } {
    const { known, naming } = this.group;
    const stays = known.length === next.known.length && known.every((each, i) => next.known[i] === each);
    const renamed = JSON.stringify(next.naming) !== JSON.stringify(naming);
    this.group = next;
    if (!stays || renamed) this.current = undefined;
    return { stays, renamed };
  }

  /** New upstreams are asked; resolves when they have answered, or had their time. */
  waitFor(settled: Promise<void>): void {
    this.settling = settled;
  }

  /** Something of what is offered has changed. */
  changed(): void {
    this.current = undefined;
  }

  get known(): readonly Known[] {
    return this.group.known;
  }

  get naming(): Naming {
    return this.group.naming;
  }

  byId(upstreamId: string): Known | undefined {
    return this.group.byId.get(upstreamId);
  }

  has(upstream: Upstream): boolean {
    return this.group.byId.get(upstream.id)?.upstream === upstream;
  }

  /** Resolves when every upstream has answered or failed once, or the deadline has passed. */
  get settled(): Promise<void> {
    return this.settling;
  }

  /** Made when it is wanted after a change: many upstreams may change before anybody looks. */
  get catalogue(): Catalogue {
    this.current ??= this.built();
    return this.current;
  }

  private built(): Catalogue {
    const catalogue = buildCatalogue(
      this.known.map(({ offer }) => offer),
      this.naming,
    );
    const before = this.dropped;
    this.dropped = new Set(catalogue.dropped.map((dropped) => JSON.stringify(dropped)));
    for (const dropped of catalogue.dropped) {
      if (!before.has(JSON.stringify(dropped)))
        this.log.warn({ dropped }, 'an entry of an upstream is left out');
    }
    return catalogue;
  }
}
