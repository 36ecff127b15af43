import { keyName, type Revision } from '@sluice/proto/cluster';

/** Keys that the message names. */
const MAX_NAMED_KEYS = 5;

/** Somebody else changed the configuration first. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError';

  /**
   * @param expected the revision that the change was made on
   * @param head the newest one
   * @param between what was changed in between, in order; empty when it is forgotten
   */
  constructor(
    readonly expected: number,
    readonly head: number,
    readonly between: readonly Revision[],
  ) {
    super(messageOf(expected, head, between));
  }
}

function messageOf(expected: number, head: number, between: readonly Revision[]): string {
  const newest = between.at(-1);
  if (newest === undefined) return `revision ${head} holds now, and the change was made on ${expected}`;
  const keys = [
    ...new Set(between.flatMap(({ changes }) => changes.map(({ key }) => (key ? keyName(key) : '')))),
  ];
  const named = keys.slice(0, MAX_NAMED_KEYS).join(', ');
  const more = keys.length > MAX_NAMED_KEYS ? ` and ${keys.length - MAX_NAMED_KEYS} more` : '';
  return `the change was made on revision ${expected}, and ${newest.author} has made ${head}, which changed ${named}${more}`;
}
