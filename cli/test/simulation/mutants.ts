/** Faults that somebody could make, put into the code while it runs: the simulation has to find each of them. */
import {
  type Announcement,
  entryOfBytes,
  keyText,
  type Position,
  type Revision,
  type StateChange,
} from '@sluice/proto/cluster';
import { DeliveredView } from '../../../control-plane/src/delivery/delivered-view.js';
import { NodeConnection } from '../../../control-plane/src/delivery/node-connection.js';
import { Fleet } from '../../../control-plane/src/fleet/fleet.js';
import { ConfigurationHead } from '../../../control-plane/src/revisions/head.js';
import { Rollouts } from '../../../control-plane/src/rollout/rollouts.js';
import { SnapshotDisk } from '../../../data-plane/src/snapshot/disk.js';
import { Follower } from '../../../data-plane/src/snapshot/follower.js';
import { type Candidate, PullAssembly, Replica } from '../../../data-plane/src/snapshot/replica.js';
import { TrialFollower } from '../../../data-plane/src/snapshot/trial-follower.js';

type Patched = any;

/** Puts a method in the place of another; returns how to take it back. */
function patch(
  of: { readonly prototype: object },
  name: string,
  make: (original: (...args: Patched[]) => Patched) => (this: Patched, ...args: Patched[]) => Patched,
): () => void {
  const prototype = of.prototype as Patched;
  const original = prototype[name];
  if (typeof original !== 'function') throw new Error(`there is no method ${name} any more`);
  prototype[name] = make(original);
  return () => {
    prototype[name] = original;
  };
}

/** What an announcement says, whether it fits or not. */
function unchecked({ position, changed, removed }: Announcement, base: Position | undefined): Candidate {
  const change = { changed: changed.map(entryOfBytes), removed: removed.map(keyText) };
  return { position: position as Position, change, state: undefined, base };
}

export const MUTANTS: Readonly<Record<string, () => () => void>> = {
  'a node acknowledges before it runs': () =>
    patch(
      Follower,
      'run',
      (run) =>
        function (candidate: Candidate) {
          this.controlPlane.acknowledge(candidate.position);
          return run.call(this, candidate);
        },
    ),
  'a node acknowledges what it refused': () =>
    patch(
      Follower,
      'refuse',
      () =>
        function (position: Position) {
          this.refused = { position, reason: '' };
          this.controlPlane.acknowledge(position);
        },
    ),
  'a node holds what it refused': () =>
    patch(
      Follower,
      'run',
      () =>
        async function (candidate: Candidate) {
          await this.options.activate(candidate);
          this.options.replica.take(candidate);
          this.controlPlane.acknowledge(candidate.position);
        },
    ),
  'a node does two things at once': () =>
    patch(
      Follower,
      'work',
      (work) =>
        function () {
          this.isWorking = false;
          return work.call(this);
        },
    ),
  'a node asks nothing when it is connected again': () =>
    patch(
      Follower,
      'welcomed',
      (welcomed) =>
        function (welcome) {
          this.wantPull = () => {};
          welcomed.call(this, welcome);
          delete this.wantPull;
        },
    ),
  'a node does not check the digest of an announcement': () =>
    patch(
      Replica,
      'judge',
      (judge) =>
        function (announcement: Announcement) {
          const judged = judge.call(this, announcement);
          const fits = announcement.hasDelta && this.isAt(announcement.before);
          return judged === 'pull' && fits ? unchecked(announcement, this.position) : judged;
        },
    ),
  'a node applies an announcement to whatever it has': () =>
    patch(
      Replica,
      'judge',
      (judge) =>
        function (announcement: Announcement) {
          const judged = judge.call(this, announcement);
          return judged === 'pull' && announcement.hasDelta ? unchecked(announcement, this.position) : judged;
        },
    ),
  'a node takes late announcements': () =>
    patch(
      Replica,
      'judge',
      (judge) =>
        function (announcement: Announcement) {
          const judged = judge.call(this, announcement);
          const isLate = judged === 'nothing' && announcement.hasDelta && !this.isAt(announcement.position);
          return isLate ? unchecked(announcement, this.position) : judged;
        },
    ),
  'a node does not check the digest of a pull': () =>
    patch(
      PullAssembly,
      'end',
      (end) =>
        function () {
          const ended = end.call(this);
          if (ended !== 'again' || this.position === undefined) return ended;
          const change = { changed: this.changed, removed: this.isSnapshot ? this.missing() : this.removed };
          return {
            position: this.position,
            change,
            state: this.isSnapshot ? this.next : undefined,
            base: this.base,
          };
        },
    ),
  'a node writes over what it kept': () =>
    patch(
      SnapshotDisk,
      'write',
      () =>
        async function (position: Position, entries: unknown) {
          const handle = await this.world.files.open(`${this.folder}/configuration.snapshot`, 'w', 0o600);
          await this.writeAll(handle, position, entries);
          await handle.sync();
          await handle.close();
          await this.syncFolder();
        },
    ),
  'a node renames what it has not synced': () =>
    patch(
      SnapshotDisk,
      'writeAll',
      (writeAll) =>
        async function (handle, position, entries) {
          await writeAll.call(this, handle, position, entries);
          handle.sync = async () => {};
        },
    ),
  'a replica sends nodes back when it is late': () =>
    patch(ConfigurationHead, 'refresh', () => async () => {}),
  'a replica answers pulls from another view': () =>
    patch(
      DeliveredView,
      'follow',
      (follow) =>
        function (revision: number, change: StateChange) {
          const { view } = this;
          this.view = { ...view, tenants: undefined };
          follow.call(this, revision, change);
          this.view = view;
        },
    ),
  'a replica tells nodes nothing over their streams': () => patch(NodeConnection, 'announce', () => () => {}),
  'a node that is not of the step is given the revision': () => patch(Rollouts, 'includes', () => () => true),
  'more callers than the step has are given the revision': () =>
    patch(
      Rollouts,
      'trialAt',
      (trialAt) =>
        function (node: string) {
          const trial = trialAt.call(this, node);
          return trial && { ...trial, principalsPercent: 100 };
        },
    ),
  'a node does not know that callers are given nothing any more': () =>
    patch(TrialFollower, 'ended', () => () => {}),
  'a replica counts nodes that refused': () =>
    patch(
      Fleet,
      'acknowledged',
      (acknowledged) =>
        function (acknowledgement) {
          acknowledged.call(this, { ...acknowledgement, rejection: undefined });
        },
    ),
  'a writer is told that what may be there is not': () =>
    patch(
      ConfigurationHead,
      'append',
      (append) =>
        async function (revision: Revision) {
          return append.call(this, revision).catch(() => {
            throw this.conflict(Number(revision.number) - 1);
          });
        },
    ),
  'a writer does not see what others wrote': () =>
    patch(
      ConfigurationHead,
      'commit',
      (commit) =>
        function (proposal) {
          return commit.call(this, { ...proposal, expected: undefined });
        },
    ),
};
