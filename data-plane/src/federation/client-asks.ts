/**
 * What a modern upstream wants to know in the middle of a call, asked of a legacy client: an `input_required` result
 * (2026-07-28, basic/patterns/mrtr) becomes requests on the client's stream, and the answers become the retry.
 */
import { randomUUID } from 'node:crypto';
import { SparseMap } from '../exchange/sparse-map.js';
import type { LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { MODERN_REVISION } from '../protocol/revisions.js';
import { type Span, scanMessage } from '../protocol/scan.js';
import { parsed } from '../protocol/text.js';
import type { Message } from '../protocol/translate.js';
import { type Ends, errorAsAnswer, notTranslatable, unknownQuestion } from '../protocol/untranslatable.js';

/** Asks that one session may have open. */
const MAX_OPEN_ASK_COUNT = 256;

/** What an upstream may ask of a client, and the capability that says the client can answer. */
const ASKABLE: Readonly<Record<string, string>> = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
};

type Answers = Record<string, unknown>;

interface Open {
  /** The client's request during which it is asked (JSON text). */
  readonly requestId: string;
  readonly method: string;
  resolve(result: unknown): void;
  reject(error: RpcError): void;
}

export class ClientAsks {
  private readonly open = new SparseMap<string, Open>();
  private count = 0;
  private routable: string | undefined;

  constructor(private readonly host: LegHost) {}

  /** The capabilities that a modern upstream is told: those that can be asked for here. */
  capabilities(): string {
    this.routable ??= this.readRoutable();
    return this.routable;
  }

  private readRoutable(): string {
    const offered = JSON.parse(Buffer.from(this.host.caller.capabilities, 'latin1').toString()) as Record<
      string,
      unknown
    >;
    const routable: Record<string, unknown> = {};
    for (const capability of Object.values(ASKABLE)) {
      const value = offered[capability];
      // Changes of roots are not told across eras.
      if (value !== undefined) routable[capability] = capability === 'roots' ? {} : value;
    }
    return Buffer.from(JSON.stringify(routable)).latin1Slice();
  }

  /** Asks everything of one round at once. Rejects when the client cannot or will not answer one of them. */
  async round(requestId: string, inputs: Readonly<Record<string, unknown>>): Promise<Answers> {
    const answers = await Promise.all(
      Object.entries(inputs).map(async ([key, input]) => [key, await this.ask(requestId, input)] as const),
    );
    return Object.fromEntries(answers);
  }

  private get ends(): Ends {
    return { client: this.host.caller.revision, server: MODERN_REVISION };
  }

  /** The client's answer; false when it answers nothing that was asked here. */
  response({ bytes, envelope }: Message): boolean {
    const id = envelope.id === undefined ? undefined : bytes.latin1Slice(envelope.id.start, envelope.id.end);
    const open = id === undefined ? undefined : this.open.get(id);
    if (open === undefined) return false;
    this.open.delete(id as string);
    if (envelope.result !== undefined) {
      open.resolve(parsed(bytes, envelope.result));
      return true;
    }
    // An elicitation has a word for that (2026-07-28, client/elicitation, "Response Actions").
    if (open.method === 'elicitation/create') {
      open.resolve({ action: 'cancel' });
      return true;
    }
    const { message } = parsed(bytes, envelope.error as Span) as { message?: unknown };
    open.reject(notTranslatable(errorAsAnswer(open.method, String(message)), this.ends));
    return true;
  }

  /** The request during which was asked is over; nobody waits for the answers. */
  drop(requestId: string): void {
    for (const [id, open] of this.open) if (open.requestId === requestId) this.open.delete(id);
  }

  close(): void {
    for (const open of this.open.values())
      open.reject(new RpcError(ErrorCode.SessionNotFound, 'the session has ended'));
    this.open.clear();
  }

  private ask(requestId: string, input: unknown): Promise<unknown> {
    const { method, params } = (typeof input === 'object' && input !== null ? input : {}) as {
      method?: unknown;
      params?: Record<string, unknown>;
    };
    if (typeof method !== 'string' || ASKABLE[method] === undefined) {
      return Promise.reject(notTranslatable(unknownQuestion(String(method)), this.ends));
    }
    if (this.open.size >= MAX_OPEN_ASK_COUNT) {
      return Promise.reject(
        new RpcError(ErrorCode.Overloaded, `${MAX_OPEN_ASK_COUNT} questions wait for this client already`),
      );
    }
    // 2025-11-25 wants an id on each URL elicitation (client/elicitation, "URL Mode"); 2026-07-28 has none.
    const withId =
      params?.mode === 'url' ? { ...params, elicitationId: params.elicitationId ?? randomUUID() } : params;
    const id = `sluice-ask-${++this.count}`;
    const bytes = Buffer.from(
      JSON.stringify({ jsonrpc: '2.0', id, method, ...(withId === undefined ? {} : { params: withId }) }),
    );
    return new Promise((resolve, reject) => {
      this.open.set(JSON.stringify(id), { requestId, method, resolve, reject });
      this.host.toClient({ bytes, envelope: scanMessage(bytes) }, requestId);
    });
  }
}
