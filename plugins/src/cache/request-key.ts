/**
 * What tells requests apart: everything of a request that an upstream gets to see, and everything of its caller that
 * what is in front of the cache, or the upstream, may have looked at. What is no part of the key cannot be used to put
 * an answer of one's own in the way of others.
 */
import { hash } from 'node:crypto';
import type { JsonObject, Target } from '@sluice/sdk';
import { ANONYMOUS } from '@sluice/sdk';
import { type Member, membersOf, objectOf } from '../canonical-json.js';

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
const BAGGAGE = 'baggage';
const PARAMETER_PREFIX = 'mcp-param-';

/** A request whose answer may be kept. */
export class CacheRequest {
  /** Finds what is kept for this caller; undefined where nobody can say who that is. */
  readonly privateKey: string | undefined;
  private foundPublicKey: string | undefined;

  constructor(
    /** All that tells it from other requests but its caller. */
    private readonly text: string,
    caller: string | undefined,
    readonly method: string,
    readonly target: Target | undefined,
    /** One page of a list: its cursors are bound to whom they were given (see docs/concepts/merging.md). */
    readonly isPage: boolean,
    /** The client wants to hear of progress, which only a call of its own tells. */
    readonly wantsProgress: boolean,
    /** It stands for itself, so its upstream call may go on when the client has its answer. */
    readonly standsAlone: boolean,
  ) {
    this.privateKey = caller === undefined ? undefined : keyOf(`${text}\n${caller}`);
  }

  /** Finds what is kept for everybody. */
  get publicKey(): string {
    this.foundPublicKey ??= keyOf(this.text);
    return this.foundPublicKey;
  }

  /** Its results say themselves how long they count and for whom (2026-07-28, server/utilities/caching). */
  get hasHints(): boolean {
    return this.method !== 'tools/call' && this.method !== 'prompts/get';
  }
}

/**
 * Stands for a text, however long: what is kept is found by little memory, and nobody finds two texts with one key. As
 * a text of many pieces it would be kept as these pieces, and be gone through by each collection of garbage.
 */
function keyOf(text: string): string {
  return hash('sha256', text, 'base64url');
}

/** Reads a request; undefined when its answer hangs on more than it says. */
export function readRequest(ctx: Ctx): CacheRequest | undefined {
  const { target, method, revision } = ctx;
  const params: Member[] = [];
  let isPage = false;
  let wantsProgress = false;
  for (const member of membersOf(ctx.paramsJson, META)) {
    const { name, members: meta } = member;
    if (CONVERSATION.has(name)) return undefined;
    if (name === 'cursor') isPage = true;
    if (meta === undefined) {
      params.push(member);
      continue;
    }
    wantsProgress = meta.some(({ name: key }) => key === 'progressToken');
    const keyed = meta.filter(({ name: key }) => !UNKEYED_META.has(key));
    if (keyed.length > 0) params.push({ ...member, members: keyed });
  }
  const standsAlone = revision >= STATELESS_REVISION;
  const client = standsAlone ? '' : clientText(ctx.client);
  // No part can look like two, or like the end of another: those that may hold a line break have their length before
  // them, the others none; the last is an object of JSON and ends with it.
  const text =
    `${method}\n${ctx.endpoint}\n${targetText(target)}\n${revision}\n${client}\n` +
    `${measured(headerText(ctx.headers))}\n${measured(ctx.view)}\n${objectOf(params)}`;
  return new CacheRequest(
    text,
    callerText(ctx, standsAlone),
    method,
    target,
    isPage,
    wantsProgress,
    standsAlone,
  );
}

function targetText(target: Target | undefined): string {
  return target === undefined ? '' : `${target.kind} ${target.upstream} ${measured(target.name)}`;
}

/** Older clients that have not said who they are may still have a session with state of its own. */
function callerText(ctx: Ctx, standsAlone: boolean): string | undefined {
  const { id } = ctx.principal;
  // As JSON, since UTF-8 has one spelling for all halves of characters, which a token may name a caller by.
  if (id !== ANONYMOUS.id || standsAlone) return JSON.stringify(id);
  return ctx.session === undefined ? undefined : JSON.stringify([id, ctx.session]);
}

function clientText({ name, version, capabilities }: Ctx['client']): string {
  return JSON.stringify([name, version, capabilities]);
}

function headerText(headers: Ctx['headers']): string {
  let keyed: string[] | undefined;
  for (const name in headers) {
    if (name !== BAGGAGE && !name.startsWith(PARAMETER_PREFIX)) continue;
    keyed ??= [];
    keyed.push(measured(name) + measured(headers[name] ?? ''));
  }
  return keyed === undefined ? '' : keyed.sort().join('');
}

function measured(text: string): string {
  return `${text.length}:${text}`;
}
