/**
 * What tells requests apart: everything of a request that an upstream gets to see, and everything of its caller that
 * what is in front of the cache, or the upstream, may have looked at. What is no part of the key cannot be used to put
 * an answer of one's own in the way of others.
 */
import type { JsonObject, Target } from '@sluice/sdk';
import { ANONYMOUS } from '@sluice/sdk';
import { type Member, membersOf, objectOf } from './canonical-json.js';

/** What the cache reads of a request. */
export interface Ctx {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly method: string;
  readonly paramsJson: string;
  readonly target: Target | undefined;
  readonly targetOf: (entry: JsonObject) => Target | undefined;
  readonly principal: { readonly id: string };
  readonly revision: string;
  readonly client: {
    readonly name?: string | undefined;
    readonly version?: string | undefined;
    readonly capabilities?: JsonObject | undefined;
  };
  readonly session: string | undefined;
  readonly signal: AbortSignal;
  readonly view: string;
}

/** From this revision on a request says all about its client by itself. */
const STATELESS_REVISION = '2026-07-28';

/**
 * Says what a request is a part of, and to whom: other on each request, and nothing that an answer hangs on (W3C Trace
 * Context, sections 3.2 and 3.3; 2026-07-28, basic, "_meta").
 */
const UNKEYED_META: ReadonlySet<string> = new Set(['progressToken', 'traceparent', 'tracestate']);
/** What a modern client repeats of itself in `_meta` reaches the upstream, so it counts like all the rest. */
const META = '_meta';
/** Parts of a conversation (2026-07-28, server/utilities/caching, "Cache Key"), and calls that go on as a task. */
const CONVERSATION: ReadonlySet<string> = new Set(['inputResponses', 'requestState', 'task']);
/** Header fields of the request that go on to the upstream, beside those that repeat the body. */
const KEYED_HEADER = /^(?:baggage|mcp-param-.*)$/;

/** A request whose answer may be kept. */
export interface CacheRequest {
  /** Finds what is kept for everybody. */
  readonly publicKey: string;
  /** Finds what is kept for this caller; undefined where nobody can say who that is. */
  readonly privateKey: string | undefined;
  readonly method: string;
  readonly target: Target | undefined;
  /** One page of a list: its cursors are bound to whom they were given (see docs/concepts/merging.md). */
  readonly isPage: boolean;
  /** The client wants to hear of progress, which only a call of its own tells. */
  readonly wantsProgress: boolean;
  /** It stands for itself, so its upstream call may go on when the client has its answer. */
  readonly standsAlone: boolean;
}

/** Reads a request; undefined when its answer hangs on more than it says. */
export function readRequest(ctx: Ctx): CacheRequest | undefined {
  const { target, method, revision } = ctx;
  const params: Member[] = [];
  let isPage = false;
  let wantsProgress = false;
  for (const member of membersOf(ctx.paramsJson)) {
    const [name, value] = member;
    if (CONVERSATION.has(name)) return undefined;
    if (name === 'cursor') isPage = true;
    if (name !== META || !value.startsWith('{')) {
      params.push(member);
      continue;
    }
    const meta = membersOf(value);
    wantsProgress = meta.some(([key]) => key === 'progressToken');
    const keyed = meta.filter(([key]) => !UNKEYED_META.has(key));
    if (keyed.length > 0) params.push([META, objectOf(keyed)]);
  }
  const standsAlone = revision >= STATELESS_REVISION;
  const publicKey = joined([
    method,
    ctx.endpoint,
    target?.kind ?? '',
    target?.upstream ?? '',
    target?.name ?? '',
    revision,
    standsAlone ? '' : clientText(ctx.client),
    headerText(ctx.headers),
    ctx.view,
    objectOf(params),
  ]);
  return {
    publicKey,
    privateKey: privateKey(publicKey, ctx, standsAlone),
    method,
    target,
    isPage,
    wantsProgress,
    standsAlone,
  };
}

/** Older clients that have not said who they are may still have a session with state of its own. */
function privateKey(publicKey: string, ctx: Ctx, standsAlone: boolean): string | undefined {
  const { id } = ctx.principal;
  if (id !== ANONYMOUS.id || standsAlone) return joined([publicKey, id]);
  return ctx.session === undefined ? undefined : joined([publicKey, id, ctx.session]);
}

function clientText({ name, version, capabilities }: Ctx['client']): string {
  return JSON.stringify([name, version, capabilities]);
}

function headerText(headers: Ctx['headers']): string {
  const keyed: string[] = [];
  for (const name in headers) if (KEYED_HEADER.test(name)) keyed.push(joined([name, headers[name] ?? '']));
  return keyed.length > 1 ? keyed.sort().join('') : (keyed[0] ?? '');
}

/** With its length before it no part can look like two, or like the end of another. */
function joined(parts: readonly string[]): string {
  let text = '';
  for (const part of parts) text += `${part.length}:${part}`;
  return text;
}
