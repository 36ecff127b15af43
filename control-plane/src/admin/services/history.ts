/** The methods of ConfigurationService about revisions. Whoever has tenants sees of a revision what concerns them. */
import { create } from '@bufbuild/protobuf';
import {
  type DiffRequest,
  type DiffResponse,
  DiffResponseSchema,
  type GetRevisionRequest,
  type GetRevisionResponse,
  GetRevisionResponseSchema,
  type HistoryRequest,
  type HistoryResponse,
  HistoryResponseSchema,
} from '@sluice/proto/admin';
import { type Change, ChangeSchema, keyText, ResourceKind, type Revision } from '@sluice/proto/cluster';
import type { ConfigurationHead } from '../../revisions/head.js';
import { AdminError } from '../admin-error.js';
import type { Call } from '../bound-method.js';
import { type Caller, maySee } from '../caller.js';
import { redactedChange } from '../redaction.js';
import { revisionNumber } from './numbers.js';
import { pageCount, pageEnd, pageToken } from './page.js';
import { summaryOf, toldMessage } from './summary.js';

export async function history(
  head: ConfigurationHead,
  request: HistoryRequest,
  { caller }: Call,
): Promise<HistoryResponse> {
  const { pageSize, pageToken: token, kind, name, author } = request;
  const count = pageCount(pageSize);
  const before = token === '' ? Number.POSITIVE_INFINITY : Number(pageEnd(token));
  const isAsked = ({ key }: Change) =>
    (kind === ResourceKind.UNSPECIFIED || key?.kind === kind) && (name === '' || key?.name === name);
  const found: { revision: Revision; changes: readonly Change[] }[] = [];
  for (const revision of knownRevisions(head).toReversed()) {
    if (Number(revision.number) >= before || (author !== '' && revision.author !== author)) continue;
    const changes = visibleChanges(caller, revision.changes);
    if (changes === undefined || !changes.some(isAsked)) continue;
    found.push({ revision, changes });
    if (found.length > count) break;
  }
  const page = found.slice(0, count);
  return create(HistoryResponseSchema, {
    revisions: page.map(({ revision, changes }) => summaryOf(revision, changes)),
    nextPageToken: found.length > count ? pageToken(String(page.at(-1)?.revision.number)) : '',
    oldest: BigInt(head.oldest),
  });
}

export async function getRevision(
  head: ConfigurationHead,
  request: GetRevisionRequest,
  { caller }: Call,
): Promise<GetRevisionResponse> {
  const number = revisionNumber('revision', request.revision) || head.revision;
  const [revision] = head.between(number - 1, number) ?? [];
  const changes = revision && visibleChanges(caller, revision.changes);
  if (revision === undefined || changes === undefined) {
    const message = `revision ${number} is not known: the oldest is ${head.oldest + 1}, the newest ${head.revision}`;
    throw new AdminError('REVISION_UNKNOWN', message);
  }
  return create(GetRevisionResponseSchema, {
    revision: {
      ...revision,
      message: toldMessage(revision, changes),
      changes: changes.map(redactedChange),
    },
  });
}

export async function diff(
  head: ConfigurationHead,
  request: DiffRequest,
  { caller }: Call,
): Promise<DiffResponse> {
  const to = revisionNumber('to', request.to) || head.revision;
  const from = revisionNumber('from', request.from) || Math.max(to - 1, 0);
  const [older, newer] = from <= to ? [from, to] : [to, from];
  const revisions = head.between(older, newer);
  if (revisions === undefined) {
    const message = `revisions ${from} and ${to} are not both known: the oldest is ${head.oldest}, the newest ${head.revision}`;
    throw new AdminError('REVISION_UNKNOWN', message);
  }
  const changes = folded(revisions).map((change) => (from <= to ? change : turned(change)));
  return create(DiffResponseSchema, {
    from: BigInt(from),
    to: BigInt(to),
    changes: (visibleChanges(caller, changes) ?? []).map(redactedChange),
  });
}

function knownRevisions(head: ConfigurationHead): readonly Revision[] {
  return head.between(head.oldest, head.revision) ?? [];
}

/** Undefined when nothing of it concerns the caller. */
export function visibleChanges(caller: Caller, changes: readonly Change[]): readonly Change[] | undefined {
  const seen = changes.filter(({ key }) => key !== undefined && maySee(caller, key));
  return seen.length === 0 && changes.length > 0 ? undefined : seen;
}

/** Many changes as one: what was before the first, and what is after the last. */
function folded(revisions: readonly Revision[]): Change[] {
  const changes = new Map<string, Change>();
  for (const change of revisions.flatMap((revision) => revision.changes)) {
    const key = change.key === undefined ? '' : keyText(change.key);
    const before = changes.has(key) ? changes.get(key)?.before : change.before;
    changes.set(key, changeOf(change.key, before, change.after));
  }
  return [...changes]
    .filter(([, { before, after }]) => before !== undefined || after !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, change]) => change);
}

function turned({ key, before, after }: Change): Change {
  return changeOf(key, after, before);
}

function changeOf(key: Change['key'], before: Change['before'], after: Change['after']): Change {
  return {
    $typeName: ChangeSchema.typeName,
    ...(key && { key }),
    ...(before && { before }),
    ...(after && { after }),
  };
}
