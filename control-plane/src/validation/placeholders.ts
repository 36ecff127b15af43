/**
 * References as `${NAME}` in resources, whose values only nodes have: a rule looks at a placeholder instead, and what it
 * says of the form of that text is not said.
 */

import { mayRefer, withTexts } from '@sluice/proto/cluster';

/** Long enough to be a secret, and usual in most places. */
const PLACEHOLDER = '0123456789abcdef'.repeat(4);

const REFERENCE = /\$\$\{|\$\{[^}]*\}/g;

export interface WithPlaceholders<T> {
  readonly value: T;
  /** Where a reference stood, as fields are written in files. */
  readonly fields: ReadonlySet<string>;
}

const NO_FIELDS: ReadonlySet<string> = new Set();

/** @param bytes of the resource that the message is in */
export function withPlaceholders<T>(message: T, bytes: Uint8Array): WithPlaceholders<T> {
  if (!mayRefer(bytes)) return { value: message, fields: NO_FIELDS };
  const fields = new Set<string>();
  const value = withTexts(message, (text, field) =>
    text.replace(REFERENCE, (found) => {
      if (found === '$${') return '${';
      fields.add(field);
      return PLACEHOLDER;
    }),
  );
  return { value, fields };
}
