/**
 * What hooks answer. Types keep a hook from answering something else, where there are any; JavaScript has none, and
 * what is taken for an identity because nobody looked lets everybody in.
 */
import type { Identity, JsonObject } from './identity.js';
import { Outcome } from './outcome.js';
import type { Decision, ListEntry, PageAnswer } from './plugin.js';
import { Refusal } from './refusal.js';

/** Each throws a TypeError for what the hook cannot answer. */
export const answerOf = {
  admission(answer: Identity | Refusal): Identity | Refusal {
    if (answer instanceof Refusal || isIdentity(answer)) return answer;
    throw new TypeError('admission returned no identity and no refusal; return what next() gave');
  },

  identify(answer: Identity | Refusal | undefined): Identity | Refusal | undefined {
    if (answer === undefined || answer === null) return undefined;
    if (answer instanceof Refusal || isIdentity(answer)) return answer;
    throw new TypeError(
      'identify returned no identity; it has id (a text), scopes (a list) and claims (an object)',
    );
  },

  decide(answer: Decision): Decision {
    if (answer === 'permit' || answer === undefined || answer instanceof Refusal) return answer;
    throw new TypeError("decide returned no decision; return 'permit', a Refusal or undefined");
  },

  head(answer: Refusal | PageAnswer | undefined): Refusal | PageAnswer | undefined {
    if (answer === undefined || answer instanceof Refusal || isPage(answer)) return answer;
    forget(answer);
    throw new TypeError(
      'head returned no answer; it has status (a number), headers (pairs) and body (a text)',
    );
  },

  page(answer: PageAnswer | undefined): PageAnswer | undefined {
    if (answer === undefined || isPage(answer)) return answer;
    throw new TypeError('page returned no page; it has status (a number), headers (pairs) and body (a text)');
  },

  entries(answer: readonly ListEntry[]): readonly ListEntry[] {
    if (Array.isArray(answer) && answer.every((each) => isObject(each) && isObject(each.entry)))
      return answer;
    throw new TypeError(
      'entries returned no entries; return a list of what it was given, or of the same form',
    );
  },

  notification(answer: JsonObject | 'drop' | undefined): JsonObject | 'drop' | undefined {
    if (answer === undefined || answer === 'drop' || isObject(answer)) return answer;
    throw new TypeError("notification returned no parameters; return an object, 'drop' or undefined");
  },

  refusal(answer: Refusal | undefined): Refusal | undefined {
    if (answer === undefined || answer instanceof Refusal) return answer;
    forget(answer);
    throw new TypeError('a hook returned something else than a Refusal or undefined');
  },

  outcome(answer: Outcome | Refusal): Outcome | Refusal {
    if (answer instanceof Outcome || answer instanceof Refusal) return answer;
    throw new TypeError('a hook returned no outcome; return what next() gave, or what Outcome makes');
  },
};

function isIdentity(value: unknown): value is Identity {
  if (!isObject(value)) return false;
  return (
    typeof value.id === 'string' && value.id !== '' && Array.isArray(value.scopes) && isObject(value.claims)
  );
}

function isPage(value: unknown): value is PageAnswer {
  if (!isObject(value)) return false;
  return typeof value.status === 'number' && Array.isArray(value.headers) && typeof value.body === 'string';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What becomes of a promise where nobody can wait is no news: it came too late. */
function forget(answer: unknown): void {
  if (answer instanceof Promise) answer.catch(() => undefined);
}
