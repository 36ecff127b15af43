/** Makes records of what workers have noted. Runs off their thread. */
import { createHmac } from 'node:crypto';
import type { Json, JsonObject, Remarked } from '@sluice/sdk';
import { type RedactionConfig, Redactor, redactorOptions } from '../redaction/index.js';
import type { NewRecord } from './audit-file.js';
import { isTooDeep } from './depth.js';
import type { Noted, NotedText } from './noted.js';

export type ArgumentsKept = 'whole' | 'redacted' | 'hashed' | 'absent';

export interface ShapingOptions {
  readonly keeps: ArgumentsKept;
  readonly redaction: RedactionConfig;
  /** Keys tokens and digests where the configuration has no secret for that. */
  readonly secret: Uint8Array;
}

/** The first revision without sessions. */
const FIRST_MODERN_REVISION = '2026-07-28';
const MAX_TEXT_LENGTH = 1_024;
/** W3C Trace Context, section 3.2. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

export class Shaping {
  private readonly redactor: Redactor | undefined;
  private readonly secret: string | Uint8Array;

  constructor(private readonly options: ShapingOptions) {
    const { keeps, redaction, secret } = options;
    if (keeps !== 'whole') this.redactor = new Redactor(redactorOptions(redaction, secret));
    this.secret = redaction.token_secret ?? secret;
  }

  record([text, params]: NotedText): NewRecord {
    const [
      id,
      timeMs,
      kind,
      traceparent,
      endpoint,
      transport,
      method,
      revision,
      session,
      principal,
      tenant,
      consumer,
      clientName,
      clientVersion,
      address,
      scopes,
      claims,
      targets,
      resultBytes,
      durationMs,
      outcome,
      errorCode,
      refusedBy,
      reason,
      remarks,
      paramsLength,
    ] = JSON.parse(text) as Noted;
    const given = params === '' ? undefined : parsed(params);
    const [first, ...others] = targets.map(([of, upstream, name]) => ({
      kind: of,
      upstream,
      name: of === 'resource' ? this.said(name) : cut(name),
    }));
    const open = {
      kind,
      id,
      time: new Date(timeMs).toISOString(),
      trace: traceOf(traceparent) ?? traceOf((given?._meta as JsonObject | undefined)?.traceparent),
      tenant: tenant ?? undefined,
      endpoint,
      transport,
      era: kind === 'refused' ? undefined : revision >= FIRST_MODERN_REVISION ? 'modern' : 'legacy',
      revision: revision === '' ? undefined : cut(revision),
      method: method === '' ? undefined : cut(method),
      upstream: first?.upstream,
      target: first === undefined ? undefined : { kind: first.kind, name: first.name },
      others: others.length === 0 ? undefined : others,
      asked_for: first === undefined ? this.askedFor(given) : undefined,
      ...decisionOf(remarks ?? [], outcome, refusedBy ?? undefined),
      outcome,
      code: errorCode === 0 ? undefined : errorCode,
      // What stays of them for good.
      remarks: remarks?.map((each) =>
        this.redacted(only(each as Remarked, 'kind', 'rule', 'isEnforced', 'by')),
      ),
      result_bytes: resultBytes,
      duration_ms: durationMs,
    };
    const client =
      clientName === null || clientName === undefined
        ? undefined
        : { name: cut(clientName), version: clientVersion === null ? undefined : cut(clientVersion ?? '') };
    const personal = {
      principal: principal ?? undefined,
      consumer: consumer ?? undefined,
      scopes: scopes ?? undefined,
      claims: claims ?? undefined,
      client,
      session: session ?? undefined,
      address: address ?? undefined,
      ...this.wordsOf(kind, reason ?? undefined, (remarks ?? []) as readonly Remarked[]),
      ...this.readableArgumentsOf(given, paramsLength, params === ''),
    };
    return {
      id,
      timeMs,
      open: JSON.stringify(open),
      personal: shallow(personal, 'remarks', 'claims'),
    };
  }

  /**
   * What was said of the request in words and data. These may name the caller and quote arguments, so they go with the
   * personal part, and are not kept where arguments are not; nobody has seen arguments who refused a caller beforehand.
   */
  private wordsOf(kind: Noted[2], reason: string | undefined, remarks: readonly Remarked[]): object {
    const { keeps } = this.options;
    if (kind === 'exchange' && (keeps === 'absent' || keeps === 'hashed')) return {};
    const words = remarks.map((each) => this.redacted(only(each, 'reason', 'data')));
    return {
      reason: reason === undefined ? undefined : this.said(reason),
      remarks: words.some((each) => Object.keys(each as object).length > 0) ? words : undefined,
    };
  }

  /** The name that nobody has, of a request that would be about something. */
  private askedFor(params: JsonObject | undefined): string | undefined {
    const name = params?.name ?? params?.uri;
    return typeof name === 'string' ? this.said(name) : undefined;
  }

  /** A text in which there may be what stood in arguments. */
  private said(text: string): string {
    return cut(this.redactor === undefined ? text : this.redactor.text(text));
  }

  private redacted(value: Json): Json {
    return this.redactor === undefined ? value : this.redactor.json(value);
  }

  /** What is nested too deeply to be gone through, here or by SQLite, is left out. */
  private readableArgumentsOf(params: JsonObject | undefined, length: number, isLeftOut: boolean): object {
    try {
      const found = this.argumentsOf(params, length, isLeftOut);
      if (!isTooDeep(JSON.stringify(found))) return found;
      return { arguments_left_out: { length } };
    } catch {
      return { arguments_left_out: { length } };
    }
  }

  private argumentsOf(params: JsonObject | undefined, length: number, isLeftOut: boolean): object {
    const { keeps } = this.options;
    if (keeps === 'absent' || length === 0) return {};
    if (isLeftOut || params === undefined) return { arguments_left_out: { length } };
    const own = params.arguments as Json | undefined;
    if (own === undefined) return {};
    if (keeps === 'whole') return { arguments: own };
    if (keeps === 'redacted') return { arguments: this.redacted(own) };
    const digest = createHmac('sha256', this.secret).update(JSON.stringify(own)).digest('hex');
    return { arguments_digest: `hmac-sha256:${digest}` };
  }
}

/** What was decided in the end, by whom and by which rule. */
function decisionOf(all: readonly object[], outcome: Noted[20], refusedBy: string | undefined) {
  const said = (all as readonly Remarked[]).filter(({ isEnforced }) => isEnforced !== false);
  const last = (...kinds: string[]) => said.findLast(({ kind }) => kinds.includes(kind));
  const isRefused = outcome === 'refused';
  const one = isRefused ? refusalOf(said) : (last('approved') ?? last('ask') ?? last('allow'));
  const decision = isRefused ? (one?.kind ?? 'deny') : (one?.kind ?? 'allow');
  return { decision, decided_by: one?.by ?? refusedBy, rule: one?.rule };
}

/** Why it was refused: what the one who did so says of it, which may be more than that it was. */
function refusalOf(said: readonly Remarked[]): Remarked | undefined {
  const refused = said.findLast(({ kind }) => kind === 'declined' || kind === 'deny');
  const own = said.filter(({ by, rule }) => by === refused?.by && rule !== undefined);
  return (
    own.findLast(({ kind }) => kind === 'declined') ?? own.findLast(({ kind }) => kind === 'deny') ?? refused
  );
}

function only(remark: Remarked, ...members: (keyof Remarked)[]): Json {
  const had = members.filter((name) => remark[name] !== undefined);
  return Object.fromEntries(had.map((name) => [name, remark[name] as Json]));
}

/** As JSON; without these members, one after the other, while the whole could not be gone through by SQLite. */
function shallow(part: Readonly<Record<string, unknown>>, ...members: string[]): string {
  const text = JSON.stringify(part);
  const [first, ...others] = members;
  if (first === undefined || !isTooDeep(text)) return text;
  return shallow({ ...part, [first]: undefined }, ...others);
}

function traceOf(traceparent: unknown): string | undefined {
  return typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent)?.[1] : undefined;
}

function parsed(text: string): JsonObject | undefined {
  try {
    return JSON.parse(text) as JsonObject;
  } catch {
    return undefined;
  }
}

function cut(text: string): string {
  return text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}…` : text;
}
