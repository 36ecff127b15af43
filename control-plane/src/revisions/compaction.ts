/** Forgets old revisions, so that the store does not grow for ever. */
import type { ConfigurationHead } from './head.js';

/** More than what is kept may be there, for each time it is cut costs a whole checkpoint. */
const SLACK_DIVISOR = 10;

/**
 * Keeps the newest revisions, and some more. All replicas do so; that of the fastest counts.
 *
 * @returns how to end it
 */
export function compactBeyond(
  head: ConfigurationHead,
  keepCount: number,
  { compacted, failed }: { compacted: (oldest: number) => void; failed: (error: unknown) => void },
): () => void {
  const slackCount = Math.max(1, Math.floor(keepCount / SLACK_DIVISOR));
  let isBusy = false;
  const look = () => {
    if (isBusy || head.revision - head.oldest < keepCount + slackCount) return;
    isBusy = true;
    head
      .compact(keepCount)
      .then(() => compacted(head.oldest), failed)
      .finally(() => {
        isBusy = false;
      });
  };
  look();
  return head.onChange({ revision: look, renewed: look, reachable: () => {} });
}
