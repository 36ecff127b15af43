/** What HTTP repeats of a request's body in header fields, for a client that sent none (2026-07-28, streamable HTTP). */
import type { Exchange } from '../exchange/exchange.js';
import { ErrorCode } from '../protocol/errors.js';
import { parsed, stringOf } from '../protocol/text.js';
import type { JsonObject } from '../routing/json-object.js';
import { encodeHeaderValue, paramHeaderLines, paramHeadersOf } from '../routing/param-headers.js';
import type { UpstreamReply } from '../upstream/call.js';
import type { Upstream } from '../upstream/upstream.js';
import type { Discovery } from './discovery.js';

/** At one upstream. */
export class MirroredHeaders {
  constructor(
    private readonly upstream: Upstream,
    private readonly discovery: Discovery,
  ) {}

  /**
   * Sends a request with what HTTP repeats of its body in header fields. What that is stands in the list of tools; a
   * server that takes it for wrong has another list by now, and has not run the request (2026-07-28, streamable HTTP,
   * "Client Behavior").
   */
  async send(
    exchange: Exchange,
    send: (headerLines: string) => Promise<UpstreamReply>,
  ): Promise<UpstreamReply> {
    const lines = await this.lines(exchange);
    const reply = await send(lines);
    if (reply.envelope.errorCode !== ErrorCode.HeaderMismatch) return reply;
    await this.discovery.renew(this.upstream);
    const renewed = await this.lines(exchange);
    return renewed === lines ? reply : send(renewed);
  }

  /** What HTTP repeats of the body in header fields, for a client that sent none. */
  private async lines(exchange: Exchange): Promise<string> {
    const { upstream, discovery } = this;
    const known = discovery.of(upstream);
    const { bytes, envelope } = exchange;
    const name = envelope.method === 'tools/call' ? stringOf(bytes, envelope.name) : undefined;
    // What of a call is repeated is said in the list of tools; a call may come before it.
    if (name !== undefined && known.state === 'starting')
      await Promise.race([known.round, discovery.settled]);
    const tool = known.offer.tools.find((each) => (each as { name?: unknown }).name === name) as
      | JsonObject
      | undefined;
    return (
      nameHeader(exchange) +
      (name === undefined || tool === undefined ? '' : paramLines(upstream, exchange, tool))
    );
  }
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
  if (upstream.era !== 'modern' || !upstream.traits.mirrorsHeaders) return '';
  const params = paramHeadersOf(tool);
  if (!params.ok || params.params.length === 0) return '';
  const values = envelope.arguments === undefined ? {} : parsed(bytes, envelope.arguments);
  return paramHeaderLines(params.params, values)
    .map(([header, value]) => `${header}: ${value}\r\n`)
    .join('');
}
