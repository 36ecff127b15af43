/** Waiting until nodes run a revision, and saying how far that has come. */
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { type Convergence, ConvergenceSchema, type NodeBehind } from '@sluice/proto/admin';
import { Presence } from '@sluice/proto/cluster';
import { EXIT } from '../exit-codes.js';
import { ProgressLine } from '../progress-line.js';
import { printable } from '../terminal.js';
import type { Surroundings } from './surroundings.js';

/** How often a person is shown how far it has come. */
const LOOK_INTERVAL_MS = 500;
/** Nodes that a progress line names. */
const MAX_NAMED_COUNT = 3;

interface WaitedFor {
  readonly revision: bigint;
  /** `any`, `all`, `region:NAME` or `N%`. */
  readonly wait: string;
  readonly deadlineMs: number;
}

/** Resolves when it is so, when it cannot be any more, and at the deadline. A terminal is shown how far it has come. */
export async function converged(
  { client, err }: Pick<Surroundings, 'client' | 'err'>,
  { revision, wait, deadlineMs }: WaitedFor,
): Promise<Convergence> {
  const look = async (ms: number, signal?: AbortSignal) => {
    const request = { revision, wait, deadline: durationFromMs(ms) };
    const { convergence } = await client.configuration.waitRevision(request, { signal });
    return convergence ?? create(ConvergenceSchema, { revision });
  };
  if (!err.isTTY) return look(deadlineMs);
  let text = `revision ${revision} is on its way`;
  const done = new AbortController();
  const line = new ProgressLine(err, () => text);
  const following = follow();
  try {
    return await look(deadlineMs);
  } finally {
    done.abort();
    await following;
    line.end();
  }

  async function follow(): Promise<void> {
    while (!done.signal.aborted) {
      // What fails here fails for the call that decides, too, and is told there.
      const now = await look(0, done.signal).catch(() => undefined);
      if (now !== undefined) text = progressText(now);
      await sleep(LOOK_INTERVAL_MS, undefined, { signal: done.signal }).catch(() => {});
    }
  }
}

/** Says what became of it; the exit code. */
export function tellConvergence(
  { out, err, paint }: Pick<Surroundings, 'out' | 'err' | 'paint'>,
  convergence: Convergence,
): number {
  const { revision, reached, behind } = convergence;
  const counts = countsText(convergence);
  if (reached && convergence.concerned === 0) {
    out.write(`no node is there; those that come will run revision ${revision}\n`);
    return EXIT.ok;
  }
  if (reached) {
    out.write(`${paint.green(counts)}\n`);
    return EXIT.ok;
  }
  const lines = behind.map((node) => `  ${printable(node.node)}  ${stateOf(node)}\n`);
  const nobody =
    convergence.concerned === 0
      ? `sluice: there is no node that could run revision ${revision}: none is registered, or none in that region\n`
      : '';
  err.write(nobody || `sluice: ${counts}; behind revision ${revision}:\n${lines.join('')}`);
  return EXIT.behind;
}

/** `3/4 nodes run revision 17 · behind: eu-2 (refused: …)`. */
export function progressText(convergence: Convergence): string {
  const { behind } = convergence;
  const named = behind.slice(0, MAX_NAMED_COUNT).map((node) => `${printable(node.node)} (${stateOf(node)})`);
  const more = behind.length > MAX_NAMED_COUNT ? ` and ${behind.length - MAX_NAMED_COUNT} more` : '';
  return `${countsText(convergence)}${named.length === 0 ? '' : ` · behind: ${named.join(', ')}${more}`}`;
}

function countsText({ active, concerned, revision }: Convergence): string {
  return `${active}/${concerned} ${concerned === 1 ? 'node runs' : 'nodes run'} revision ${revision}`;
}

function stateOf({ rejection, revision, presence }: NodeBehind): string {
  if (rejection !== '') return `refused: ${printable(rejection)}`;
  const runs = revision === 0n ? 'runs nothing yet' : `runs ${revision}`;
  return presence === Presence.UNKNOWN ? `not heard of, ${runs}` : runs;
}
