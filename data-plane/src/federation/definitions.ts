/**
 * Tools as their upstreams list them, for whoever has to know what a call is a call of. What everybody is shown is at
 * hand; where a caller may be shown something else, that is asked for as for a list, and kept as long.
 */
import { type JsonObject, type MaybePromise, Refusal } from '@sluice/sdk';
import type { Caller } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { isJsonObject } from '../routing/json-object.js';
import type { UpstreamOffer } from '../routing/offer.js';
import { readList } from '../upstream/offers.js';
import { ownCall } from '../upstream/own-request.js';
import { reasonOf } from '../upstream/reason.js';
import type { Upstream } from '../upstream/upstream.js';
import { CapabilityViews } from './capability-views.js';
import type { Discovery, Known } from './discovery.js';
import type { OwnLeg } from './own-leg.js';

/** By their names at the upstream. */
export type ToolsByName = ReadonlyMap<string, JsonObject>;

/** Of the list that is everybody's the same object is looked at many times. */
const named = new WeakMap<UpstreamOffer['tools'], ToolsByName>();

/** Of two with one name the first counts, as in a merged list. */
export function toolsByName(tools: UpstreamOffer['tools']): ToolsByName {
  let byName = named.get(tools);
  if (byName === undefined) {
    const own = new Map<string, JsonObject>();
    for (const tool of tools)
      if (isJsonObject(tool) && typeof tool.name === 'string' && !own.has(tool.name))
        own.set(tool.name, tool as JsonObject);
    byName = own;
    named.set(tools, byName);
  }
  return byName;
}

/** What nobody can tell is no reason to let a call pass. */
export function notTold(upstream: string, thrown: unknown): Refusal {
  const reason = reasonOf(RpcError.from(thrown));
  return new Refusal(
    'failed',
    `upstream ${JSON.stringify(upstream)} does not tell what its tools are: ${reason}`,
    { cause: thrown },
  );
}

/** The tools of one upstream as callers are shown them who may be shown something else than everybody. */
export interface ShownTools {
  /** False for a caller who is shown what everybody is. */
  hasOwn(caller: Caller): boolean;
  /** Undefined where they have to be asked for. */
  settled(caller: Caller): ToolsByName | undefined;
  /** Undefined for a caller who is shown what everybody is. */
  of(caller: Caller): Promise<ToolsByName | undefined>;
}

/** Of the upstreams of one endpoint. */
export class Definitions {
  /** @param shownBy what the lists of the endpoint are made of; not to be asked for once more by another way */
  constructor(
    private readonly discovery: Discovery,
    private readonly shownBy: (known: Known) => ShownTools,
  ) {}

  /** Throws, or rejects with, a Refusal when the upstream does not tell. */
  of(known: Known, name: string, caller: Caller): MaybePromise<JsonObject | undefined> {
    const shown = this.shownBy(known);
    if (!this.discovery.isUpToDate(known)) return this.later(known, name, caller, shown);
    const tools = shown.hasOwn(caller) ? shown.settled(caller) : toolsByName(known.offer.tools);
    return tools === undefined ? this.later(known, name, caller, shown) : tools.get(name);
  }

  private async later(
    known: Known,
    name: string,
    caller: Caller,
    shown: ShownTools,
  ): Promise<JsonObject | undefined> {
    try {
      await this.discovery.upToDate(known);
      return ((await shown.of(caller)) ?? toolsByName(known.offer.tools)).get(name);
    } catch (thrown) {
      throw notTold(known.upstream.name, thrown);
    }
  }
}

/** Of one upstream that is served by itself. */
export function shownByItself(upstream: Upstream, discovery: Discovery): ShownTools {
  return new CapabilityViews({
    discovery,
    offers: discovery.offers,
    kinds: ['tools'],
    upstreams: () => [discovery.of(upstream)],
    make: ([offer]) => toolsByName(offer?.tools ?? []),
  });
}

/** Tools as one legacy session at its upstream is shown them: a server may show each session others. */
export class LegTools {
  private read:
    | { readonly tools: Promise<ToolsByName>; readonly changeCount: number; readonly until: number }
    | undefined;

  constructor(
    readonly leg: OwnLeg,
    private readonly known: Known,
    private readonly discovery: Discovery,
  ) {}

  /** Rejects with a Refusal when the upstream does not tell. */
  tools(caller: Caller): Promise<ToolsByName> {
    const changeCount = this.leg.toolsChangeCount + this.known.offerChangeCount;
    const { read } = this;
    if (read !== undefined && read.changeCount === changeCount && read.until > Date.now()) return read.tools;
    const tools = this.ask(caller);
    const own = { tools, changeCount, until: Date.now() + this.discovery.intervalMs };
    this.read = own;
    tools.catch(() => {
      if (this.read === own) this.read = undefined;
    });
    return tools;
  }

  private async ask(caller: Caller): Promise<ToolsByName> {
    const { leg, known, discovery } = this;
    const capabilities = leg.session.result?.capabilities ?? {};
    try {
      const list = await inTime(
        discovery.deadlineMs,
        readList('tools', capabilities, (method, params) =>
          leg.request({ ...ownCall(method, params, false), caller, headers: {}, notify() {} }, []),
        ),
      );
      return toolsByName(list.entries);
    } catch (thrown) {
      throw notTold(known.upstream.name, thrown);
    }
  }
}

/** Rejects when it is not there in time. */
function inTime<T>(ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(new RpcError(ErrorCode.UpstreamUnavailable, `no answer within ${ms} ms`)),
      ms,
    );
    void work.then(resolve, reject).finally(() => clearTimeout(late));
  });
}
