/** What nodes with and without the revision served over the same time, from totals that each node says now and then. */
import type { Report, Totals, WatchedNode } from './watched-node.js';

/** What some nodes served. */
export interface Figures extends Totals {
  readonly nodes: number;
  /** Upstreams that do not answer: the most at any of them. */
  readonly failedUpstreams: number;
}

export const NOTHING: Figures = {
  nodes: 0,
  failedUpstreams: 0,
  requests: 0,
  errors: 0,
  durationUs: 0,
};

interface Counted {
  /** What is not counted: it was served before. */
  readonly since: Report;
  last: Report;
}

export class Evidence {
  private readonly counted = new Map<string, Counted>();

  /** Takes in what nodes said last. */
  take(nodes: readonly WatchedNode[]): void {
    for (const { name, report, beside } of nodes) {
      if (report !== undefined) this.takeOne(name, report);
      if (beside !== undefined) this.takeOne(`${name} beside`, beside);
    }
  }

  private takeOne(name: string, report: Report): void {
    const known = this.counted.get(name);
    if (known !== undefined && continues(known.last, report)) known.last = report;
    else this.counted.set(name, { since: report, last: report });
  }

  /** Of the nodes that run the revision. */
  canary(): Figures {
    return this.sum(true);
  }

  /** Of the others. */
  others(): Figures {
    return this.sum(false);
  }

  private sum(ran: boolean): Figures {
    let sum = NOTHING;
    for (const { since, last } of this.counted.values()) if (last.ran === ran) sum = plus(sum, last, since);
    return sum;
  }
}

/** What nodes have served since the start of each. */
export function servedByAll(nodes: readonly WatchedNode[]): Figures {
  let sum = NOTHING;
  for (const { report } of nodes) if (report !== undefined) sum = plus(sum, report, NOTHING);
  return sum;
}

/** Totals that went down are those of another start, whatever it says; with another revision all begins anew. */
function continues(before: Report, { incarnation, ran, requests, errors, durationUs }: Report): boolean {
  return (
    before.incarnation === incarnation &&
    before.ran === ran &&
    before.requests <= requests &&
    before.errors <= errors &&
    before.durationUs <= durationUs
  );
}

function plus(sum: Figures, last: Report, since: Totals): Figures {
  return {
    nodes: sum.nodes + 1,
    failedUpstreams: Math.max(sum.failedUpstreams, last.failedUpstreams),
    requests: sum.requests + last.requests - since.requests,
    errors: sum.errors + last.errors - since.errors,
    durationUs: sum.durationUs + last.durationUs - since.durationUs,
  };
}
