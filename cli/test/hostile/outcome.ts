/** What becomes of a change, by the way that every change goes. */
import type { Finding } from '@sluice/proto/admin';
import { entryOf, keyText, type ResourceState, UnknownResourceError } from '@sluice/proto/cluster';
import { AdminError } from '../../../control-plane/src/admin/admin-error.js';
import type { Caller } from '../../../control-plane/src/admin/caller.js';
import { isError, look } from '../../../control-plane/src/admin/services/look.js';
import { ConfigurationHead, type Wanted } from '../../../control-plane/src/revisions/head.js';
import { EmbeddedLog } from '../../../control-plane/src/store/embedded.js';
import { RevisionTooLargeError } from '../../../control-plane/src/store/revision-log.js';
import { compileCheck } from '../../src/compile-check.js';
import type { HostileChange } from './hostile-change.js';

export type Outcome =
  | { readonly kind: 'refused'; readonly reasons: readonly string[] }
  | { readonly kind: 'accepted'; readonly state: ResourceState };

class Refused extends Error {
  constructor(readonly findings: readonly Finding[]) {
    super(findings.filter(isError).map(told).join('\n'));
  }
}

/**
 * Commits what is there, then the change.
 *
 * @throws Error for whatever no input may do: what is there refused, a throw, a refusal without a reason, or half a change
 */
export async function outcomeOf(
  { there, changed, removed }: HostileChange,
  operator: Caller,
): Promise<Outcome> {
  const log = EmbeddedLog.open(undefined);
  const head = await ConfigurationHead.open({
    log,
    nowMs: () => 1_000,
    onTrouble: (error) => {
      throw error;
    },
  });
  const compile = compileCheck();
  const commit = (wanted: Wanted) =>
    head.commit({
      author: 'test',
      message: '',
      plan: async (state, revision) => {
        // What holds nothing that has a name is refused before anybody looks at it.
        for (const resource of wanted.changed) entryOf(resource);
        const looked = await look(state, revision, wanted, operator, 'change', compile);
        if (looked.findings.some(isError)) throw new Refused(looked.findings);
        return looked.wanted;
      },
    });
  try {
    await commit({ changed: there, removed: [] });
    const before = { digest: Buffer.from(head.state.digest).toString('hex'), revision: head.revision };
    try {
      await commit({ changed, removed });
    } catch (thrown) {
      const now = { digest: Buffer.from(head.state.digest).toString('hex'), revision: head.revision };
      if (JSON.stringify(before) !== JSON.stringify(now))
        throw new Error('refused, and changed all the same');
      return { kind: 'refused', reasons: reasonsOf(thrown) };
    }
    const stored = await log.read();
    if (stored.revisions.length !== head.revision) throw new Error('accepted, and not stored');
    return { kind: 'accepted', state: head.state.fork() };
  } finally {
    head.close();
    await log.close();
  }
}

function told({ resource, field, message, hint }: Finding): string {
  return `${resource && keyText(resource)} ${field}: ${message}; ${hint}`;
}

/** @throws what was thrown when it is no refusal, or one that does not say of what and why */
function reasonsOf(thrown: unknown): string[] {
  if (thrown instanceof UnknownResourceError || thrown instanceof RevisionTooLargeError)
    return [thrown.message];
  if (thrown instanceof AdminError) return [thrown.message];
  if (!(thrown instanceof Refused)) throw thrown;
  for (const finding of thrown.findings)
    if (finding.resource === undefined || finding.message === '' || finding.hint === '')
      throw new Error(`a refusal that does not say enough: ${told(finding)}`);
  return thrown.findings.filter(isError).map(told);
}
