/** Entries of lists that were looked at before: lists are asked for often, and change seldom. */
import type { JsonObject } from '@sluice/sdk';
import type { Answers, Guarded } from './answers.js';

/** With one more, all are looked at anew. */
const MAX_KNOWN_COUNT = 2_000;
/** Larger ones are not kept. */
const MAX_KNOWN_LENGTH = 16_384;

export class KnownEntries {
  private readonly known = new Map<string, Guarded<JsonObject | undefined>>();

  constructor(private readonly answers: Answers) {}

  /** Beside what it is, whether it was looked at now. */
  of(entry: JsonObject): Guarded<JsonObject> & { readonly isNew: boolean } {
    const key = JSON.stringify(entry);
    const known = this.known.get(key);
    // One that was not changed goes on as the object that it is now.
    if (known !== undefined) return { value: known.value ?? entry, report: known.report, isNew: false };
    const own = { ...this.answers.entry(entry), isNew: true };
    if (key.length > MAX_KNOWN_LENGTH) return own;
    if (this.known.size >= MAX_KNOWN_COUNT) this.known.clear();
    this.known.set(key, { value: own.value === entry ? undefined : own.value, report: own.report });
    return own;
  }
}
