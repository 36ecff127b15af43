/** What HTTP repeats of a request's body in header fields, for a client that sent none (2026-07-28, streamable HTTP). */
import type { Caller, Exchange } from '../exchange/exchange.js';
import { ErrorCode } from '../protocol/errors.js';
import { parsed, stringOf } from '../protocol/text.js';
import { isJsonObject, type JsonObject } from '../routing/json-object.js';
import type { UpstreamOffer } from '../routing/offer.js';
import { encodeHeaderValue, paramHeaderLines, paramHeadersOf } from '../routing/param-headers.js';
import type { UpstreamReply } from '../upstream/call.js';
import type { Upstream } from '../upstream/upstream.js';
import { CapabilityViews } from './capability-views.js';
import type { Discovery } from './discovery.js';

/** At one upstream. */
export class MirroredHeaders {
  /** Tools as they are shown to those who can be asked. */
  private readonly views: CapabilityViews<UpstreamOffer['tools']>;

  constructor(
    private readonly upstream: Upstream,
    private readonly discovery: Discovery,
  ) {
    this.views = new CapabilityViews({
      discovery,
      offers: discovery.offers,
      kinds: ['tools'],
      upstreams: () => [discovery.of(upstream)],
      make: ([offer]) => offer?.tools ?? [],
    });
  }

  /**
   * Sends a request with what HTTP repeats of its body in header fields. What that is stands in the list of tools; a
   * server that takes it for wrong has another list by now, and has not run the request (2026-07-28, streamable HTTP,
   * "Client Behavior").
   *
   * @param caller as the upstream hears of it
   */
  async send(
    exchange: Exchange,
    caller: Caller,
    send: (headerLines: string) => Promise<UpstreamReply>,
  ): Promise<UpstreamReply> {
    const lines = await this.lines(exchange, caller);
    const reply = await send(lines);
    if (reply.envelope.errorCode !== ErrorCode.HeaderMismatch) return reply;
    await Promise.all([this.discovery.renew(this.upstream), this.views.renewed(caller)]);
    const renewed = await this.lines(exchange, caller);
    return renewed === lines ? reply : send(renewed);
  }

  private async lines(exchange: Exchange, caller: Caller): Promise<string> {
    const lines = nameHeader(exchange);
    const tool = await this.tool(exchange, caller);
    return tool === undefined ? lines : lines + paramLines(this.upstream, exchange, tool);
  }

  /** The tool that is called, as the caller sees it; undefined for other requests, and where nothing is repeated. */
  private async tool({ bytes, envelope }: Exchange, caller: Caller): Promise<JsonObject | undefined> {
    const { upstream, discovery } = this;
    const name = envelope.method === 'tools/call' ? stringOf(bytes, envelope.name) : undefined;
    if (name === undefined) return undefined;
    const known = discovery.of(upstream);
    // What of a call is repeated is said in the list of tools; a call may come before it.
    if (known.state === 'starting') await Promise.race([known.round, discovery.settledFor(upstream)]);
    if (!mirrorsParams(upstream)) return undefined;
    return (
      named(this.views.settled(caller) ?? known.offer.tools, name) ??
      named((await this.views.of(caller)) ?? [], name)
    );
  }
}

function named(tools: UpstreamOffer['tools'], name: string): JsonObject | undefined {
  return tools.find((tool): tool is JsonObject => isJsonObject(tool) && tool.name === name);
}

function mirrorsParams({ era, traits }: Upstream): boolean {
  return era === 'modern' && traits.mirrorsHeaders;
}

/** `Mcp-Name` for a request of a client that did not send one. */
function nameHeader({ row, bytes, envelope }: Exchange): string {
  const field = row?.nameHeader;
  if (field === undefined) return '';
  const name = stringOf(bytes, field === 'name' ? envelope.name : envelope.uri);
  return name === undefined ? '' : `mcp-name: ${encodeHeaderValue(name)}\r\n`;
}

/** `Mcp-Param-*` of a call by a client that did not send them, where the upstream's tool wants them; made from the body. */
export function paramLines(upstream: Upstream, { bytes, envelope }: Exchange, tool: JsonObject): string {
  if (!mirrorsParams(upstream)) return '';
  const params = paramHeadersOf(tool);
  if (!params.ok || params.params.length === 0) return '';
  const values = envelope.arguments === undefined ? {} : parsed(bytes, envelope.arguments);
  return paramHeaderLines(params.params, values)
    .map(([header, value]) => `${header}: ${value}\r\n`)
    .join('');
}
