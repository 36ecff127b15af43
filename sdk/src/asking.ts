/**
 * Questions that plugins ask the person in front of the client, before a call goes on (elicitation). What travels is
 * the same in every revision that has it; how it travels is the matter of whoever runs the plugins.
 */
import { createHash } from 'node:crypto';
import type { Changes } from './exchange.js';
import type { JsonObject } from './identity.js';
import { Outcome } from './outcome.js';

/** What a person is asked. The same question has the same words: an answer counts for those alone. */
export interface Question {
  /** Tells it from the other questions that the plugin asks in one call. */
  readonly key: string;
  /** What the person reads. */
  readonly message: string;
  /** The fields of the form: JSON schema of a flat object (2026-07-28, client/elicitation, "Requested Schema"). Default none. */
  readonly schema?: JsonObject | undefined;
  /** A page that the person is sent to, instead of a form. */
  readonly url?: string | undefined;
}

/** What the person said. */
export interface Answered {
  /** For a page, `accept` says that the person wants to open it, and not what they did there. */
  readonly action: 'accept' | 'decline' | 'cancel';
  /** What stands in the form. Not checked against the schema: it comes from outside. */
  readonly content?: JsonObject | undefined;
  /**
   * Names this answer. It is the same when the client sends the same again; in the rounds of one call, in which others ask
   * after this plugin, each comes with another one. So what was taken once can be refused the second time.
   */
  readonly id: string;
}

/**
 * Asks the person in front of the client, before `next()`. Resolves to an {@link Outcome} where the client has to come
 * again with the answer: return that at once. The hook then runs anew, and this resolves to the answer.
 *
 * @throws Refusal `forbidden` when the client cannot be asked
 */
export type Ask = (question: Question) => Promise<Answered | Outcome>;

/** What the engine is asked: by which binding, and what plugins further out have changed about the request. */
export type AskFor = (by: string, question: Question, changes: Changes) => Promise<Answered | Outcome>;

/** The methods whose answer can be a question (2026-07-28, basic/patterns/mrtr, "Supported Requests"). */
const ASKABLE_METHODS: readonly string[] = ['tools/call', 'prompts/get', 'resources/read'];
/** The first revisions with forms, and with pages. */
const FORMS_SINCE = '2025-06-18';
const PAGES_SINCE = '2025-11-25';

/** Why the client cannot be asked, as a sentence goes on; undefined when it can. */
export function unaskable(
  { url }: Question,
  call: { readonly method: string; readonly revision: string; readonly client: { capabilities?: unknown } },
): string | undefined {
  if (!ASKABLE_METHODS.includes(call.method)) return `nobody can be asked during ${call.method}`;
  const capabilities = objectOr(call.client.capabilities);
  const { elicitation } = capabilities;
  const modes = objectOr(elicitation);
  const since = url === undefined ? FORMS_SINCE : PAGES_SINCE;
  const has = typeof elicitation === 'object' && elicitation !== null && call.revision >= since;
  // Without a mode it is that of forms (2026-07-28, client/elicitation, "Capabilities").
  const knows =
    url === undefined ? modes.form !== undefined || modes.url === undefined : modes.url !== undefined;
  if (has && knows) return undefined;
  return `the client cannot be asked: it did not declare \`elicitation${url === undefined ? '' : '.url'}\``;
}

/** `params` of `elicitation/create`. @throws TypeError for what is no question */
export function elicitationOf({ key, message, schema, url }: Question): JsonObject {
  if (typeof key !== 'string' || key === '' || typeof message !== 'string' || message === '')
    throw new TypeError('a question has a key and a message, both texts that are not empty');
  if (url !== undefined) return { mode: 'url', message, url };
  return { mode: 'form', message, requestedSchema: schema ?? { type: 'object', properties: {} } };
}

/** What a client answered; undefined when that is no answer. */
export function answerTo(id: string, said: unknown): Answered | undefined {
  const { action, content } = objectOr(said);
  if (action !== 'accept' && action !== 'decline' && action !== 'cancel') return undefined;
  if (content === undefined || content === null || action !== 'accept') return { action, id };
  if (typeof content !== 'object' || Array.isArray(content)) return undefined;
  return { action, content: content as JsonObject, id };
}

/** A digest of what a question says, and of the arguments that it is asked about where a plugin made others of them. */
export function questionDigest(question: Question, { arguments: made }: Changes): string {
  const whole = JSON.stringify([elicitationOf(question), made]);
  return createHash('sha256').update(whole).digest('base64url');
}

const questions = new WeakSet<Outcome>();

/** The outcome of a request whose client has to come again with answers. */
export function questionOutcome(inputRequests: JsonObject, requestState: string): Outcome {
  const outcome = Outcome.ofResult({ resultType: 'input_required', inputRequests, requestState });
  questions.add(outcome);
  return outcome;
}

/** True for what {@link questionOutcome} made: a plugin that asks returns it without having changed a result. */
export function isQuestion(outcome: Outcome): boolean {
  return questions.has(outcome);
}

function objectOr(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
