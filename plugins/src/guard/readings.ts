/** A text in all the ways in which somebody may read it. */
import { base64Runs } from '../redaction/base64.js';
import { viewsOf } from '../redaction/views.js';

/** Base64 inside of base64: so often it is opened. */
const MAX_BASE64_DEPTH = 2;
/** Beyond it nothing new is added. */
const MAX_READING_COUNT = 24;

/**
 * As it came first. Deduplicated.
 *
 * @param read as a set of rules reads it.
 */
export function readings(text: string, read?: (text: string) => string | undefined): readonly string[] {
  const all: string[] = [];
  collect(text, 0, all);
  if (read !== undefined)
    for (const each of [...all]) {
      const own = read(each);
      if (own !== undefined) add(own, all);
    }
  return all;
}

function collect(text: string, depth: number, all: string[]): void {
  for (const view of viewsOf(text)) {
    add(view.text, all);
    if (depth === MAX_BASE64_DEPTH) continue;
    for (const { decoded } of base64Runs(view.text)) collect(decoded, depth + 1, all);
  }
}

function add(text: string, all: string[]): void {
  if (all.length < MAX_READING_COUNT && !all.includes(text)) all.push(text);
}
