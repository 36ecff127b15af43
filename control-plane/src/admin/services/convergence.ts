import { create } from '@bufbuild/protobuf';
import {
  type WaitRevisionRequest,
  type WaitRevisionResponse,
  WaitRevisionResponseSchema,
} from '@sluice/proto/admin';
import { AdminError } from '../admin-error.js';
import type { Call } from '../bound-method.js';
import { mayTell } from '../caller.js';
import { revisionNumber } from './numbers.js';
import { deadlineMsOf, parseWait } from './wait.js';
import type { Writing } from './write.js';

/** Waits until nodes run a revision, which another replica may have made a moment ago. */
export async function waitRevision(
  { head, fleet }: Writing,
  request: WaitRevisionRequest,
  { caller, signal }: Call,
): Promise<WaitRevisionResponse> {
  const asked = revisionNumber('revision', request.revision);
  const wait = parseWait('wait', request.wait || 'all');
  const deadlineMs = deadlineMsOf('deadline', request.deadline);
  if (wait === undefined)
    throw AdminError.field('wait', 'has to be any, all, region:NAME, or a share like 50%');
  if (asked > head.revision) await head.refresh();
  if (asked > head.revision)
    throw new AdminError(
      'REVISION_UNKNOWN',
      `revision ${asked} is not known: the newest is ${head.revision}`,
    );
  const revision = asked || head.revision;
  return create(WaitRevisionResponseSchema, {
    convergence: await fleet.convergence({ revision, wait, deadlineMs, signal, mayTell: mayTell(caller) }),
  });
}
