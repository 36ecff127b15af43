import { create } from '@bufbuild/protobuf';
import { type RevisionSummary, RevisionSummarySchema } from '@sluice/proto/admin';
import type { Change, Revision } from '@sluice/proto/cluster';

/** Keys that a summary names. */
const MAX_SUMMARY_KEY_COUNT = 20;

/** What was said of a revision is said of all of it: whoever does not see all of it is not told. */
export function toldMessage(revision: Revision, seen: readonly Change[]): string {
  return seen.length === revision.changes.length ? revision.message : '';
}

/** @param changes those of the revision that whoever asks may see */
export function summaryOf(revision: Revision, changes: readonly Change[]): RevisionSummary {
  const { number, author, time, restores } = revision;
  return create(RevisionSummarySchema, {
    number,
    author,
    ...(time && { time }),
    message: toldMessage(revision, changes),
    restores,
    created: changes.filter(({ before }) => before === undefined).length,
    updated: changes.filter(({ before, after }) => before !== undefined && after !== undefined).length,
    deleted: changes.filter(({ after }) => after === undefined).length,
    keys: changes.slice(0, MAX_SUMMARY_KEY_COUNT).flatMap(({ key }) => (key === undefined ? [] : [key])),
  });
}
