/** What OPA says, as a verdict. */
import type { JsonObject } from '@sluice/sdk';
import type { Asking, Verdict } from '../decision-point.js';

/** The id that stands for OPA where a rule's would. */
export const OPA_RULE = 'opa';

const MAX_REASON_LENGTH = 1_024;
const MAX_MESSAGE_LENGTH = 4_096;
const MAX_URL_LENGTH = 2_048;

/** OPA could not be asked, or said nothing that can be understood. */
export class OpaFailure extends Error {
  constructor(
    /** A word for the counter: `timeout`, `answer`. */
    readonly kind: 'answer' | 'busy' | 'decision' | 'failed' | 'input' | 'timeout' | 'unreachable',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * The verdict of `true`, `false`, or an object with `allow`, and `reason` and `ask` where there are any. What is undefined is
 * denied, as everything that no rule of Rego says.
 *
 * @throws OpaFailure for anything else.
 */
export function verdictOf(result: unknown): Verdict {
  if (result === undefined || result === false) return verdict('deny');
  if (result === true) return verdict('allow');
  if (typeof result !== 'object' || result === null || Array.isArray(result)) throw nonsense('no decision');
  const { allow, reason, ask, ...others } = result as Record<string, unknown>;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw nonsense('members beside `allow`, `reason` and `ask`');
  if (typeof allow !== 'boolean' && (allow !== undefined || ask === undefined)) throw nonsense('no `allow`');
  const why = textOf(reason, 'reason', MAX_REASON_LENGTH);
  if (ask === undefined || ask === null || ask === false)
    return verdict(allow === true ? 'allow' : 'deny', why);
  return { ...verdict('ask', why), ask: askingOf(ask) };
}

function verdict(outcome: Verdict['outcome'], reason?: string): Verdict {
  return { outcome, rule: OPA_RULE, reason, isEnforced: true };
}

function askingOf(ask: unknown): Asking {
  if (typeof ask === 'string') return { message: messageOf(ask) };
  if (typeof ask !== 'object' || ask === null || Array.isArray(ask))
    throw nonsense('an `ask` that asks nothing');
  const { message, schema, url } = ask as Record<string, unknown>;
  if (schema !== undefined && (typeof schema !== 'object' || schema === null || Array.isArray(schema)))
    throw nonsense('an `ask.schema` that is no object');
  const page = textOf(url, 'ask.url', MAX_URL_LENGTH);
  if (page !== undefined && !(/^https?:/.test(page) && URL.canParse(page)))
    throw nonsense('an `ask.url` that is no URL of a page');
  return { message: messageOf(message), schema: schema as JsonObject | undefined, url: page };
}

function messageOf(message: unknown): string {
  const text = textOf(message, 'ask.message', MAX_MESSAGE_LENGTH);
  if (text === undefined || text === '') throw nonsense('an `ask` without a message');
  return text;
}

function textOf(value: unknown, name: string, maxLength: number): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw nonsense(`a \`${name}\` that is no text`);
  if (value.length > maxLength) throw nonsense(`a \`${name}\` of more than ${maxLength} characters`);
  return value;
}

function nonsense(what: string): OpaFailure {
  return new OpaFailure('decision', `OPA answered with ${what}`);
}
