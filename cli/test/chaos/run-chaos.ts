/** Breaks a cluster again and again while clients call it and somebody changes it, and counts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ChaosCluster, startChaosCluster } from './chaos-cluster.js';
import { Clients } from './clients.js';
import type { Fault } from './faults.js';
import { Looks } from './looks.js';
import { newTally, type Tally } from './tally.js';
import { Writer } from './writer.js';

/** Before anything is broken. */
const QUIET_MS = 3_000;
const STATELESS_CLIENT_COUNT = 3;
const SESSION_COUNT = 6;
/** What every node is to be within after something was mended; what takes longer is said in the table. */
export const CONVERGENCE_TARGET_MS = 2_000;
/** What takes longer than this is no convergence. */
const CONVERGENCE_LIMIT_MS = 20_000;

export interface ChaosRow {
  readonly fault: string;
  readonly roundCount: number;
  readonly tally: Tally;
  /** From the moment that something was mended until a change that began after it was committed; for each round. */
  readonly commitMs: (number | undefined)[];
  /** And until every node served it. */
  readonly convergenceMs: (number | undefined)[];
}

/** @param note told what is done next */
export async function runChaos(
  faults: readonly Fault[],
  roundCount: number,
  note: (text: string) => void = () => {},
): Promise<ChaosRow[]> {
  const cluster = await startChaosCluster();
  const rows: ChaosRow[] = [];
  let tally = newTally();
  const current = () => tally;
  const writer = new Writer(cluster, current);
  const looks = new Looks(cluster, current);
  const clients = new Clients(cluster, current);
  try {
    await Promise.all(cluster.nodes.map((node) => node.up()).concat(writer.begin()));
    await clients.begin(STATELESS_CLIENT_COUNT, SESSION_COUNT);
    looks.begin();
    rows.push(await struck(cluster, { name: 'nothing', strike: () => sleep(QUIET_MS) }, 1));
    for (const fault of faults) {
      note(fault.name);
      rows.push(await struck(cluster, fault, roundCount));
    }
    await Promise.all([clients.end(), writer.end(), looks.end()]);
    const wrong = await looks.judge(writer);
    rows[0]?.tally.wrongStates.push(...wrong);
    return rows;
  } finally {
    await Promise.all([clients.end(), writer.end(), looks.end()]);
    await cluster.close();
  }

  async function struck(broken: ChaosCluster, fault: Fault, count: number): Promise<ChaosRow> {
    tally = newTally();
    const row: ChaosRow = { fault: fault.name, roundCount: count, tally, commitMs: [], convergenceMs: [] };
    for (let round = 0; round < count; round++) {
      await fault.strike(broken, round);
      const mendedAt = performance.now();
      const number = await writer.nextCommitted(CONVERGENCE_LIMIT_MS);
      row.commitMs.push(number === undefined ? undefined : performance.now() - mendedAt);
      const isServed = number !== undefined && (await looks.untilAllServe(number, CONVERGENCE_LIMIT_MS));
      row.convergenceMs.push(isServed ? performance.now() - mendedAt : undefined);
    }
    return row;
  }
}
