/** Where a request to `/mcp` goes: its name, URI or reference, looked up in the catalogue. */
import type { Target as DecidedTarget } from '@sluice/sdk';
import type { Exchange } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import type { Span } from '../protocol/scan.js';
import { type Edit, jsonBinary, parsed, replace, stringOf } from '../protocol/text.js';
import type { Catalogue } from '../routing/catalogue.js';
import { checkParamHeaders, paramHeadersOf } from '../routing/param-headers.js';
import type { Resolution } from '../routing/resolution.js';
import type { Upstream } from '../upstream/upstream.js';
import { paramLines } from './mirrored-headers.js';
import type { Offers } from './offers.js';

/** Where one call goes, and how it reads there. */
export interface Target {
  readonly upstream: Upstream;
  readonly edits: readonly Edit[];
  /** The name or URI at the upstream. */
  readonly name: string;
  /** The client's own form of a URI, when it is not the exposed one: answers then keep it. */
  readonly bareUri: boolean;
  /** `Mcp-Param-*` for a client that did not send them, as header lines. */
  readonly paramLines: string;
}

export class Targets {
  constructor(
    private readonly offers: Offers,
    /** What everybody sees. */
    private readonly catalogue: () => Catalogue,
    /** Why a name may be unknown that is no mistake of the caller's. */
    private readonly unheard: (list: 'tools' | 'prompts', exposed: string) => RpcError | undefined,
  ) {}

  /** Where a request goes. Rejects with an error that names what was asked for. */
  async find(exchange: Exchange, catalogue: Catalogue): Promise<Target> {
    try {
      return this.resolve(exchange, catalogue);
    } catch (thrown) {
      // Before every upstream has been heard of, an unknown name may only be unknown yet.
      if (!this.offers.known.some(({ state }) => state === 'starting')) throw thrown;
      await this.offers.settled;
      return this.resolve(exchange, this.catalogue());
    }
  }

  /** What was decided about is what it goes to, even when the lists have changed in between. */
  resolve(exchange: Exchange, catalogue: Catalogue): Target {
    const target = this.lookUp(exchange, catalogue);
    const { decidedFor, row } = exchange;
    const isSame = ({ upstream, name }: DecidedTarget) =>
      upstream === target.upstream.name && (row?.target === 'ref' || name === target.name);
    if (decidedFor === undefined || decidedFor.some(isSame)) return target;
    throw new RpcError(ErrorCode.InvalidParams, 'what this name stands for has changed meanwhile; ask again');
  }

  private lookUp(exchange: Exchange, catalogue: Catalogue): Target {
    const { row, bytes, envelope } = exchange;
    switch (row?.target) {
      case 'name': {
        const name = required(stringOf(bytes, envelope.name), 'name');
        const isTool = row.method === 'tools/call';
        const looked = isTool ? catalogue.resolveTool(name) : catalogue.resolvePrompt(name);
        this.refuseUnheard(looked, isTool ? 'tools' : 'prompts', name);
        const found = resolved(looked, isTool ? 'tool' : 'prompt', name);
        const repeatsParams = exchange.caller.era === 'modern' && exchange.bodyOnly !== true;
        if (isTool && repeatsParams) this.checkParams(exchange, found.entry);
        const edits = name === found.name ? [] : [replace(envelope.name as Span, jsonBinary(found.name))];
        const target = this.at(found.upstreamId, found.name, edits, false);
        return isTool && !repeatsParams
          ? { ...target, paramLines: paramLines(target.upstream, exchange, found.entry) }
          : target;
      }
      case 'uri': {
        const uri = required(stringOf(bytes, envelope.uri), 'uri');
        const found = resolvedUri(catalogue.resolveResource(uri), uri, exchange);
        return this.at(
          found.upstreamId,
          found.uri,
          uri === found.uri ? [] : [replace(envelope.uri as Span, jsonBinary(found.uri))],
          uri === found.uri,
        );
      }
      case 'ref': {
        const params = (envelope.params === undefined ? {} : parsed(bytes, envelope.params)) as Record<
          string,
          unknown
        >;
        const looked = catalogue.resolveCompletion(params.ref);
        const { name: prompt } = (params.ref ?? {}) as { name?: unknown };
        if (typeof prompt === 'string') this.refuseUnheard(looked, 'prompts', prompt);
        const found = resolved(
          looked,
          'completion reference',
          JSON.stringify(params.ref ?? null).slice(0, 200),
        );
        return this.at(
          found.upstreamId,
          '',
          [replace(envelope.params as Span, jsonBinary({ ...params, ref: found.ref }))],
          false,
        );
      }
      default:
        throw new RpcError(ErrorCode.MethodNotFound, `Method not found: ${envelope.method}`);
    }
  }

  private refuseUnheard(found: Resolution<object>, list: 'tools' | 'prompts', name: string): void {
    const unheard = found.kind === 'unknown' ? this.unheard(list, name) : undefined;
    if (unheard !== undefined) throw unheard;
  }

  private at(upstreamId: string, name: string, edits: readonly Edit[], bareUri: boolean): Target {
    return { upstream: this.upstreamById(upstreamId), name, edits, bareUri, paramLines: '' };
  }

  upstreamById(upstreamId: string): Upstream {
    const known = this.offers.byId(upstreamId);
    if (known === undefined)
      throw new RpcError(ErrorCode.InvalidParams, 'the upstream was removed from the configuration');
    return known.upstream;
  }

  /** `Mcp-Param-*` must say what the body says (2026-07-28, streamable HTTP, "Server Behavior for Custom Headers"). */
  private checkParams(
    { bytes, envelope, headers }: Exchange,
    entry: Readonly<Record<string, unknown>>,
  ): void {
    const params = paramHeadersOf(entry);
    if (!params.ok || params.params.length === 0) return;
    const reason = checkParamHeaders(
      params.params,
      envelope.arguments === undefined ? {} : parsed(bytes, envelope.arguments),
      headers,
    );
    if (reason !== undefined) throw new RpcError(ErrorCode.HeaderMismatch, `Header mismatch: ${reason}`);
  }
}

function required(value: string | undefined, field: string): string {
  if (value === undefined)
    throw new RpcError(ErrorCode.InvalidParams, `\`params.${field}\` is missing or not a string`);
  return value;
}

function resolved<T>(found: Resolution<T>, what: string, name: string): T {
  if (found.kind === 'found') return found;
  if (found.kind === 'ambiguous') {
    throw new RpcError(
      ErrorCode.InvalidParams,
      `Ambiguous ${what} ${JSON.stringify(name)}: say one of ${found.candidates.slice(0, 8).join(', ')}`,
    );
  }
  const hint = found.nearest === undefined ? '' : `; did you mean ${JSON.stringify(found.nearest)}?`;
  throw new RpcError(ErrorCode.InvalidParams, `Unknown ${what}: ${name.slice(0, 200)}${hint}`);
}

function resolvedUri<T>(found: Resolution<T>, uri: string, { caller }: Exchange): T {
  if (found.kind === 'unknown') {
    // The code changed with 2026-07-28 (server/resources, "Error Handling").
    const code = caller.era === 'modern' ? ErrorCode.InvalidParams : ErrorCode.ResourceNotFound;
    throw new RpcError(code, `Resource not found: ${uri.slice(0, 200)}`, { uri });
  }
  return resolved(found, 'resource', uri);
}
