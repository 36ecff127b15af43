/** `/mcp/{upstream}`: one upstream, relayed transparently, names untouched. */
import type { JsonObject, MaybePromise, Target } from '@sluice/sdk';
import { type Located, namedBy, type RoutedEndpoint } from '../chain/routed-endpoint.js';
import type { Caller, Exchange, Outcome } from '../exchange/exchange.js';
import type { LegacyBacking, LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { SUPPORTED_REVISIONS } from '../protocol/revisions.js';
import { jsonBinary, parsed, replace } from '../protocol/text.js';
import { type Message, rewritten } from '../protocol/translate.js';
import { isTaskMethod } from '../protocol/untranslatable.js';
import type { Sealer } from '../sessions/seal.js';
import type { UpstreamCall, UpstreamReply } from '../upstream/call.js';
import type { Upstream } from '../upstream/upstream.js';
import { Definitions, shownByItself } from './definitions.js';
import { DirectLegacy } from './direct-legacy.js';
import type { Discovery } from './discovery.js';
import { discoverResult, routableCapabilities } from './facts.js';
import { LegacyTasks } from './legacy-tasks.js';
import { MirroredHeaders } from './mirrored-headers.js';
import { answered, outcomeOf, passedHeaders, relayed, watchable } from './relay.js';
import { alsoTelling } from './relayed-subscription.js';
import { subscribe } from './subscription.js';
import { type TaskIds, taskIdsOf } from './task-ids.js';

export class DirectEndpoint implements RoutedEndpoint {
  readonly path: string;
  readonly label: string;
  private readonly mirrored: MirroredHeaders;
  private readonly legacyTasks = new LegacyTasks();
  private readonly definitions: Definitions;

  constructor(
    private readonly upstream: Upstream,
    private readonly discovery: Discovery,
    private readonly sealer: Sealer,
  ) {
    this.path = `/mcp/${upstream.name}`;
    this.label = upstream.name;
    this.mirrored = new MirroredHeaders(upstream, discovery);
    const shown = shownByItself(upstream, discovery);
    this.definitions = new Definitions(discovery, () => shown);
  }

  async modern(exchange: Exchange): Promise<Outcome> {
    const { upstream } = this;
    const { method } = exchange.envelope;
    if (upstream.era === undefined) await upstream.open();
    if (upstream.era === 'legacy') {
      if (method === 'server/discover') return this.discover(exchange);
      if (method === 'subscriptions/listen') return this.listen(exchange);
      if (exchange.row !== undefined && !exchange.row.eras.includes('modern')) {
        throw new RpcError(
          ErrorCode.MethodNotFound,
          `Method not found: ${method} is not a method of ${exchange.caller.revision}`,
        );
      }
    } else if (method === 'subscriptions/listen') {
      return alsoTelling(exchange, this.discovery, (own) => this.relay(own));
    }
    return this.relay(exchange);
  }

  private async relay(exchange: Exchange): Promise<Outcome> {
    const { upstream } = this;
    const passed = passedHeaders(exchange);
    const tasks = upstream.era === 'modern' ? taskIdsOf(this.sealer, upstream.id, exchange) : undefined;
    const answer =
      exchange.bodyOnly === true
        ? await this.mirrored.send(exchange, exchange.caller, (lines) =>
            upstream.call(callOf(exchange, passed + lines, tasks), exchange.caller),
          )
        : await upstream.call(callOf(exchange, passed, tasks), exchange.caller);
    const reply = tasks === undefined ? answer : tasks.reply(answer);
    return outcomeOf(exchange.envelope.method === 'server/discover' ? withAllRevisions(reply) : reply);
  }

  resolve(exchange: Exchange): readonly Target[] {
    const upstream = this.upstream.name;
    const targets: Target[] = namedBy(exchange).map(({ kind, exposed }) => ({
      kind,
      upstream,
      name: exposed,
    }));
    for (const name of this.toolsOfTasks(exchange)) targets.push({ kind: 'tool', upstream, name });
    return targets;
  }

  /** A task is what its tool does, so whoever may not use the tool may not use the task. */
  private toolsOfTasks(exchange: Exchange): readonly string[] {
    const { method } = exchange.envelope;
    if (!isTaskMethod(method) && method !== 'subscriptions/listen') return [];
    if (exchange.caller.era === 'legacy') return this.legacyTasks.tools(exchange);
    return taskIdsOf(this.sealer, this.upstream.id, exchange)?.tools() ?? [];
  }

  locate(exposed: string): Located {
    return { upstream: this.upstream.name, name: exposed };
  }

  definition({ upstream, name }: Target, caller: Caller): MaybePromise<JsonObject | undefined> {
    const { discovery } = this;
    if (upstream !== this.upstream.name || !discovery.knows(this.upstream)) return undefined;
    return this.definitions.of(discovery.of(this.upstream), name, caller);
  }

  modernNotification(_message: Message): void {
    // No notification of the core protocol goes from client to server over HTTP in this era.
  }

  openLegacy(host: LegHost): LegacyBacking {
    const { discovery, mirrored, legacyTasks } = this;
    return new DirectLegacy(this.upstream, host, discovery, mirrored, legacyTasks, this);
  }

  private async discover(exchange: Exchange): Promise<Outcome> {
    const { capabilities, serverInfo, instructions } = await this.upstream.open();
    return answered(exchange, discoverResult(routableCapabilities(capabilities), serverInfo, instructions));
  }

  private listen(exchange: Exchange): Promise<Outcome> {
    const { upstream, discovery } = this;
    return subscribe(exchange, {
      upstreams: [upstream],
      subscriptionsOf: () => discovery.subscriptionsOf(upstream, exchange.caller),
      resolve: (uri) => (watchable(upstream) ? { exposed: uri, uri, upstream } : undefined),
      expose: (_, uri) => uri,
      has: (kind) => upstream.facts?.capabilities[kind] !== undefined,
      onListChanged: (listener) =>
        discovery.onListChanged((kind, changed, audience) => {
          if ((changed ?? upstream) === upstream && audience(exchange.caller)) listener(kind);
        }),
    });
  }
}

function callOf(exchange: Exchange, headerLines: string, tasks: TaskIds | undefined): UpstreamCall {
  const call = relayed(exchange, headerLines);
  return tasks === undefined ? call : tasks.call(call);
}

/** What this URL speaks is what the gateway speaks: the same list as in its errors. */
function withAllRevisions(reply: UpstreamReply): UpstreamReply {
  const { bytes, envelope } = reply;
  if (envelope.result === undefined) return reply;
  const result = { ...(parsed(bytes, envelope.result) as object), supportedVersions: SUPPORTED_REVISIONS };
  return rewritten(bytes, envelope, [replace(envelope.result, jsonBinary(result))]);
}
