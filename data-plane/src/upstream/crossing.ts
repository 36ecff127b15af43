/** Calls whose client and upstream are not of the same era: what takes more than one message is told here. */
import type { Caller } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { LOG_LEVELS } from '../protocol/log-levels.js';
import { pagesAsQuestions } from '../protocol/page-first.js';
import { MODERN_REVISION } from '../protocol/revisions.js';
import type { Envelope, Span } from '../protocol/scan.js';
import { parsed, stringOf } from '../protocol/text.js';
import {
  legacyRequest,
  legacyResponse,
  modernRequest,
  modernResponse,
  retryRequest,
  rewritten,
  withId,
} from '../protocol/translate.js';
import { Undeclared } from '../protocol/undeclared.js';
import { isTaskMethod, notTranslatable, taskMethod, unknownResultType } from '../protocol/untranslatable.js';
import { cancelledError, idOf, type UpstreamCall, type UpstreamReply } from './call.js';
import { ASKING_METHODS, type ParkedCalls } from './parked/parked-calls.js';
import { invalidState } from './parked/request-state.js';
import type { Shared } from './shared-connection.js';

/** Rounds of questions in one call; an upstream that asks for ever is stopped there. */
const MAX_ROUND_COUNT = 32;
/** Pause before a retry that brings no answers but only the upstream's state. */
const STATE_ONLY_PAUSE_MS = 200;
/** What a legacy client hears that has not said `logging/setLevel`. */
const DEFAULT_LOG_LEVEL = 'info';
let retryCount = 0;

/** Each round of questions (2026-07-28, basic/patterns/mrtr) goes to the client, and its answers into a retry. */
export async function legacyToModern(
  shared: Shared,
  call: UpstreamCall,
  caller: Caller,
  upstreamName: string,
): Promise<UpstreamReply> {
  const { asks } = call;
  const ends = { client: caller.revision, server: MODERN_REVISION };
  if (isTaskMethod(call.method)) throw notTranslatable(taskMethod(call.method), ends);
  const client = {
    capabilities: asks?.capabilities() ?? '{}',
    clientInfo: caller.clientInfo,
    // A modern server says nothing without a level; a legacy client that has set none is used to hearing something.
    logLevel: caller.logLevel ?? DEFAULT_LOG_LEVEL,
  };
  const first = modernRequest(edited(call), client);
  const id = idOf(call);
  try {
    let message = first;
    for (let round = 1; ; round++) {
      const reply = await shared.call({ ...call, ...message, edits: [] });
      const translated = legacyResponse(withId(reply, id), call.method);
      if (translated !== 'not complete') return translated;
      const asked = readInputRequired(reply);
      if (asked === undefined || asks === undefined)
        throw notTranslatable(unknownResultType(resultTypeOf(reply)), ends);
      if (round > MAX_ROUND_COUNT) break;
      const wait = asked.inputs === undefined ? STATE_ONLY_PAUSE_MS : 0;
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      const answers = asked.inputs === undefined ? undefined : await asks.round(id, asked.inputs);
      if (call.cancellation.cancelled) throw cancelledError();
      message = retryRequest(first, `sluice-retry-${++retryCount}`, answers, asked.state);
    }
  } finally {
    asks?.drop(id);
  }
  throw new RpcError(
    ErrorCode.UpstreamBadAnswer,
    `upstream ${JSON.stringify(upstreamName)} asked ${MAX_ROUND_COUNT} rounds of questions in one call, as many as it may`,
  );
}

/** A legacy server, and the connection to it that is this caller's or everybody's. */
export type LegacyServer = Pick<Shared, 'facts' | 'call'>;

/** A call that may ask back is parked where that can be; all others go over the shared connection. */
export async function modernToLegacy(
  shared: LegacyServer,
  call: UpstreamCall,
  caller: Caller,
  parked: ParkedCalls | undefined,
): Promise<UpstreamReply> {
  if (isTaskMethod(call.method)) {
    const ends = { client: caller.revision, server: shared.facts.revision };
    throw notTranslatable(taskMethod(call.method), ends);
  }
  if (parked === undefined && call.envelope.requestState !== undefined)
    throw invalidState('this upstream is not asked anything for which one could have been given out');
  const own = heardByModern(call);
  const reply =
    (await parkedReply(own, caller, parked)) ??
    (await sharedReply(shared, { ...own, ...legacyRequest(edited(call)), edits: [] }, caller));
  if (isInputRequired(reply)) return reply;
  if (reply.envelope.errorCode === ErrorCode.UrlElicitationRequired && ASKING_METHODS.has(call.method)) {
    const asked = pagesAsQuestions(reply, call, caller.capabilities);
    if (asked !== undefined) return asked;
  }
  return modernResponse(reply, call.method, shared.facts.serverInfo);
}

/** Undefined for what goes over the shared connection. */
async function parkedReply(
  call: UpstreamCall,
  caller: Caller,
  parked: ParkedCalls | undefined,
): Promise<UpstreamReply | undefined> {
  if (!parked?.takes(call, caller)) return undefined;
  try {
    return await parked.run(call, caller);
  } catch (thrown) {
    // Where no session is left a client sees what everybody sees.
    const isFull = thrown instanceof RpcError && thrown.code === ErrorCode.Overloaded;
    if (isFull && !ASKING_METHODS.has(call.method)) return undefined;
    throw thrown;
  }
}

/** Over the connection on which nobody is asked. */
async function sharedReply(shared: LegacyServer, call: UpstreamCall, caller: Caller): Promise<UpstreamReply> {
  if (!ASKING_METHODS.has(call.method)) return shared.call(call);
  const undeclared = new Undeclared();
  const reply = await shared.call({
    ...call,
    onRefusedAsk: (bytes, { method, params }) => {
      const declared = JSON.parse(Buffer.from(caller.capabilities, 'latin1').toString()) as object;
      undeclared.allows(method, params && parsed(bytes, params), declared as Record<string, unknown>);
    },
  });
  const error = undeclared.errorFor(reply);
  if (error !== undefined) throw error;
  return reply;
}

function isInputRequired({ bytes, envelope }: UpstreamReply): boolean {
  const type = envelope.resultType;
  return type !== undefined && bytes.latin1Slice(type.start, type.end) === '"input_required"';
}

function resultTypeOf({ bytes, envelope }: UpstreamReply): string {
  return stringOf(bytes, envelope.resultType) ?? '';
}

/** An `input_required` result; undefined for other results that are not complete. */
function readInputRequired({
  bytes,
  envelope,
}: UpstreamReply): { inputs: Record<string, unknown> | undefined; state: string | undefined } | undefined {
  const result = parsed(bytes, envelope.result as Span) as {
    resultType?: unknown;
    inputRequests?: unknown;
    requestState?: unknown;
  };
  if (result.resultType !== 'input_required') return undefined;
  const inputs = result.inputRequests;
  return {
    inputs: typeof inputs === 'object' && inputs !== null ? (inputs as Record<string, unknown>) : undefined,
    state: typeof result.requestState === 'string' ? result.requestState : undefined,
  };
}

/** What an upstream says to a request of an era that it does not speak, as far as that can be told. */
function edited(call: UpstreamCall): { bytes: Buffer; envelope: Envelope } {
  return call.edits.length === 0 ? call : rewritten(call.bytes, call.envelope, call.edits);
}

/** The call without the notifications that 2026-07-28 does not know, or does not want without being asked. */
function heardByModern(call: UpstreamCall): UpstreamCall {
  // Server/utilities/logging: nothing without `logLevel`, and nothing below it.
  const levelled = withLogLevel(call, stringOf(call.bytes, call.envelope.metaLogLevel));
  return {
    ...levelled,
    onNotification: (bytes, envelope) => {
      // Changelog, "Minor changes" 11: the client learns the outcome by its retry.
      if (envelope.method !== 'notifications/elicitation/complete') levelled.onNotification(bytes, envelope);
    },
  };
}

/** The call without log messages below a level; without a level there are none. */
export function withLogLevel(call: UpstreamCall, wanted: string | undefined): UpstreamCall {
  return {
    ...call,
    onNotification: (bytes, envelope) => {
      if (envelope.method === 'notifications/message' && !passesLevel(bytes, envelope, wanted)) return;
      call.onNotification(bytes, envelope);
    },
  };
}

function passesLevel(bytes: Buffer, envelope: Envelope, wanted: string | undefined): boolean {
  if (wanted === undefined) return false;
  return LOG_LEVELS.indexOf(stringOf(bytes, envelope.level) ?? 'info') >= LOG_LEVELS.indexOf(wanted);
}
