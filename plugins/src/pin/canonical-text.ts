/** A value as JSON in one spelling: two that mean the same have the same text. */
import { membersOf, objectOf } from '../canonical-json.js';

export function canonicalText(value: unknown): string {
  // The members of an object that is the only one of another are in order as well.
  return objectOf(membersOf(JSON.stringify({ value })));
}
