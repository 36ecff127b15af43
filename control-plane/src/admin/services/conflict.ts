/** What somebody who was overtaken is told: of what they may see only. */
import { create } from '@bufbuild/protobuf';
import { ConflictSchema } from '@sluice/proto/admin';
import type { ConflictError } from '../../revisions/conflict.js';
import { AdminError } from '../admin-error.js';
import type { Caller } from '../caller.js';
import { visibleChanges } from './history.js';
import { summaryOf } from './summary.js';

export function conflictFor(caller: Caller, { expected, head, between, message }: ConflictError): AdminError {
  const revisions = between.flatMap((revision) => {
    const changes = visibleChanges(caller, revision.changes);
    return changes === undefined ? [] : [summaryOf(revision, changes)];
  });
  const told =
    caller.tenants === undefined
      ? message
      : `revision ${head} holds now, and the change was made on ${expected}`;
  return new AdminError('CONFLICT', told, {
    conflict: create(ConflictSchema, { expected: BigInt(expected), head: BigInt(head), revisions }),
  });
}
