/**
 * References in the texts of resources: `${NAME}` is a variable of the node's environment, `${secret:NAME}` what a
 * Secret resource leads to, `${…:-default}` either with a default, and `$${` a literal `${`.
 */

import { withTexts } from '@sluice/proto/cluster';

/** What a reference is to, and how to get it; throws an Error that says what is missing. */
export interface ReferenceSource {
  variable(name: string): string | undefined;
  secret(name: string): string | undefined;
}

/** `$${`, or a reference, or the beginning of something that is neither. */
const REFERENCE = /\$\$\{|\$\{(?:(secret:)?([A-Za-z_0-9][\w.-]*?)(?::-((?:(?!\$\{)[^}])*))?\})?/g;

/** Called with where a text stands, as its field is written in a resource, and what is wrong there. */
export type Complain = (field: string, message: string) => never;

/** A copy of a message in which every reference is replaced by what it leads to. What is put in is not read again. */
export function withReferences<T>(message: T, source: ReferenceSource, complain: Complain): T {
  return withTexts(message, (text, field) => substituted(text, field, source, complain));
}

function substituted(input: string, field: string, source: ReferenceSource, complain: Complain): string {
  if (!input.includes('${')) return input;
  let text = '';
  let end = 0;
  for (const match of input.matchAll(REFERENCE)) {
    const [whole, secret, name, fallback] = match;
    text += input.slice(end, match.index);
    end = match.index + whole.length;
    if (whole === '$${') text += '${';
    else if (name === undefined)
      complain(
        field,
        '`${` does not begin a reference: write ${NAME}, ${secret:NAME}, or $${ for a literal ${',
      );
    else text += found(secret === undefined ? 'variable' : 'secret', name, fallback, field, source, complain);
  }
  return text + input.slice(end);
}

function found(
  kind: 'variable' | 'secret',
  name: string,
  fallback: string | undefined,
  field: string,
  source: ReferenceSource,
  complain: Complain,
): string {
  let value: string | undefined;
  try {
    value = source[kind](name);
  } catch (thrown) {
    if (fallback === undefined) complain(field, thrown instanceof Error ? thrown.message : String(thrown));
  }
  if (fallback !== undefined && (value === undefined || value === '')) return fallback;
  if (value === undefined)
    complain(
      field,
      kind === 'variable'
        ? `the environment variable ${name} is not set on the node`
        : `there is no secret ${name}`,
    );
  return value as string;
}
