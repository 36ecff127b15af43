/** Questions of plugins to a legacy client: a request on its session, which the call waits for. */
import { randomUUID } from 'node:crypto';
import { type Answered, answerTo, elicitationOf, type Question, Refusal } from '@sluice/sdk/engine';
import type { Cancellable, Exchange, Outcome } from '../exchange/exchange.js';
import { SparseMap } from '../exchange/sparse-map.js';
import type { LegHost } from '../front/endpoint.js';
import { type Span, scanMessage } from '../protocol/scan.js';
import { binaryOf, parsed, stringOf } from '../protocol/text.js';
import type { Message } from '../protocol/translate.js';
import type { ClientQuestions } from './plugin-call.js';

/** How long a person may take; the question is then taken back, and counts as cancelled. */
const ANSWER_TIMEOUT_MS = 10 * 60_000;
/** Questions that one session may have open. */
const MAX_OPEN_QUESTION_COUNT = 64;
/** The first revision in which a question says of which kind it is, and a page has an id. */
const MODES_SINCE = '2025-11-25';

export class SessionQuestions implements ClientQuestions {
  private readonly open = new SparseMap<string, OpenQuestion>();

  constructor(private readonly host: Pick<LegHost, 'caller' | 'toClient'>) {}

  ask({ bytes, envelope, cancellation }: Exchange, _: string, question: Question): Promise<Answered> {
    if (this.open.size >= MAX_OPEN_QUESTION_COUNT)
      throw new Refusal('limited', `${MAX_OPEN_QUESTION_COUNT} questions wait for this client already`);
    const params = this.paramsOf(question);
    const requestId = binaryOf(bytes, envelope.id as Span);
    return new Promise((resolve, reject) => {
      const own = new OpenQuestion(requestId, resolve, reject, (asked, reason) =>
        this.takeBack(asked, reason),
      );
      this.open.set(own.id, own);
      this.send({ id: own.id, method: 'elicitation/create', params }, requestId);
      cancellation.onCancel(own);
    });
  }

  carried(outcome: Outcome): Outcome {
    return outcome;
  }

  /** Takes a response of the client; false when it answers nothing that was asked here. */
  response({ bytes, envelope }: Message): boolean {
    const id = stringOf(bytes, envelope.id);
    const asked = id === undefined ? undefined : this.open.get(id);
    if (asked === undefined) return false;
    this.open.delete(asked.id);
    asked.answered(envelope.result === undefined ? undefined : parsed(bytes, envelope.result));
    return true;
  }

  close(): void {
    for (const asked of [...this.open.values()]) asked.cancel();
  }

  private paramsOf(question: Question): object {
    const { mode, ...params } = elicitationOf(question);
    if (this.host.caller.revision < MODES_SINCE) return params;
    return mode === 'url' ? { mode, ...params, elicitationId: randomUUID() } : { mode, ...params };
  }

  private takeBack({ id, requestId }: OpenQuestion, reason: string): void {
    if (!this.open.delete(id)) return;
    this.send({ method: 'notifications/cancelled', params: { requestId: id, reason } }, requestId);
  }

  private send(message: object, requestId: string): void {
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
    this.host.toClient({ bytes, envelope: scanMessage(bytes) }, requestId);
  }
}

class OpenQuestion implements Cancellable {
  /** Of no other question of this session, wherever that was before. */
  readonly id = `sluice-question-${randomUUID()}`;
  private readonly timer: NodeJS.Timeout;

  constructor(
    /** The client's request that waits (JSON text). */
    readonly requestId: string,
    private readonly resolve: (answer: Answered) => void,
    private readonly reject: (refusal: Refusal) => void,
    private readonly takeBack: (asked: OpenQuestion, reason: string) => void,
  ) {
    this.timer = setTimeout(() => {
      takeBack(this, 'nobody answered in time');
      this.answered(undefined);
    }, ANSWER_TIMEOUT_MS);
    this.timer.unref();
  }

  /** What is no answer is none. */
  answered(said: unknown): void {
    clearTimeout(this.timer);
    this.resolve(answerTo(this.id, said) ?? { action: 'cancel', id: this.id });
  }

  /** The call is cancelled, or its session is over: nobody goes on. */
  cancel(): void {
    clearTimeout(this.timer);
    this.takeBack(this, 'the call that asked was cancelled');
    this.reject(new Refusal('failed', 'the call was cancelled while a person was asked'));
  }
}
