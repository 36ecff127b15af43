/** How plugins under test ask a person whom the test plays. */
import {
  type Answered,
  type AskFor,
  answerTo,
  elicitationOf,
  isQuestion,
  type Question,
  questionDigest,
  questionOutcome,
  unaskable,
} from './asking.js';
import type { Call, Changes } from './exchange.js';
import type { Outcome } from './outcome.js';
import type { MaybePromise } from './plugin.js';
import { Refusal } from './refusal.js';

/** What the person in front of the client does with a question. */
export type TestPerson = (question: Question) => PersonSays | Promise<PersonSays>;

/** The answer to a question. */
export type PersonSays = Pick<Answered, 'action' | 'content'>;

/** As often as the official clients come again. */
const MAX_ROUND_COUNT = 10;
/** The first revision in which a client comes again with its answers. */
const MODERN_REVISION = '2026-07-28';

/** Each question of each request has an id of its own, as it has in the gateway. */
let questionCount = 0;

/** One request with what its person is asked: in its session, or by coming again with the answers. */
export class TestConversation {
  readonly asked: Question[] = [];
  private readonly said = new Map<string, Answered>();
  private pending: { readonly name: string; readonly question: Question }[] = [];

  constructor(private readonly person: TestPerson | undefined) {}

  get canAsk(): boolean {
    return this.person !== undefined;
  }

  /** Runs a request as often as it takes. */
  async run(once: (ask: (call: Call) => AskFor) => MaybePromise<Outcome>): Promise<Outcome> {
    for (let round = 1; ; round++) {
      this.pending = [];
      const outcome = await once((call) => (by, question, changes) => this.ask(call, by, question, changes));
      if (!isQuestion(outcome) || round === MAX_ROUND_COUNT) return outcome;
      for (const { name, question } of this.pending) this.said.set(name, await this.answer(question));
    }
  }

  private async ask(
    call: Call,
    by: string,
    question: Question,
    changes: Changes,
  ): Promise<Answered | Outcome> {
    const name = `${by}/${question.key} ${questionDigest(question, changes)}`;
    const why = unaskable(question, call);
    if (why !== undefined) throw new Refusal('forbidden', why);
    const said = this.said.get(name);
    if (said !== undefined) return said;
    if (call.revision < MODERN_REVISION) return this.answer(question);
    this.pending.push({ name, question });
    const request = { method: 'elicitation/create', params: elicitationOf(question) };
    return questionOutcome({ [name]: request }, 'state');
  }

  private async answer(question: Question): Promise<Answered> {
    this.asked.push(question);
    const id = `question-${++questionCount}`;
    const answer = answerTo(id, await this.person?.(question));
    if (answer === undefined) throw new TypeError('the person of the test gave no answer');
    return answer;
  }
}
