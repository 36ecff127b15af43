import { join } from 'node:path';
import { toBinary } from '@bufbuild/protobuf';
import type { WriteResponse } from '@sluice/proto/admin';
import { type Resource, ResourceSchema } from '@sluice/proto/cluster';
import type { Surroundings } from '../benchmark.js';
import { startUpstream } from '../laboratory.js';
import { describeMachine } from '../machine.js';
import type { PropagationOptions } from '../options.js';
import { type Cluster, startCluster } from './cluster.js';
import { credential, type Mix, mixOf, server, upstream } from './resources.js';
import type { PropagationCell, PropagationResult, SnapshotFigures } from './result.js';

const LIMIT_ON_NATS_MS = 50;
const LIMIT_WITHOUT_MS = 1_500;
const SERVING_NODES_COUNT = 3;
/** Resources of the large change. */
const LARGE_CHANGE_COUNT = 100;
/** A change that not every node runs by then is a problem of its own. */
const DEADLINE_SECONDS = 60;
/** Changes before the first figure, so that what is compiled while it runs has been compiled. */
const WARM_UP_COUNT = 10;
/** For the time that the progress line promises. */
const SECONDS_PER_CHANGE = 0.15;
const SECONDS_PER_CLUSTER = 40;

/** The next change of a kind. */
type Change = (index: number) => readonly Resource[];

/**
 * Measures how long a change takes from its commit to the last acknowledgement, with NATS and without.
 * @throws Error when a cluster does not start
 */
export async function measurePropagation(
  options: PropagationOptions,
  { processes, progress, folder }: Surroundings,
): Promise<PropagationResult> {
  const startedAt = new Date().toISOString();
  const { nodes, resources, changes } = options;
  const { url, listener } = await startUpstream(processes);
  const mix = mixOf(resources, url.href);
  const cells: PropagationCell[] = [];
  const problems: string[] = [];
  let snapshot: SnapshotFigures | undefined;
  const kinds = changesOf(mix, url.href);
  progress.plan(
    2 * (kinds.length + 1),
    2 * (SECONDS_PER_CLUSTER + kinds.length * changes * SECONDS_PER_CHANGE),
  );
  for (const isOnNats of [true, false]) {
    progress.step(`starting a cluster ${isOnNats ? 'with' : 'without'} NATS`, SECONDS_PER_CLUSTER);
    const cluster = await startCluster(processes, {
      servingNodesCount: SERVING_NODES_COUNT,
      lightNodesCount: nodes,
      isOnNats,
      folder: join(folder, isOnNats ? 'nats' : 'alone'),
    });
    progress.note(`one revision with ${mix.resources.length} resources ...`);
    const first = await made(cluster, mix.resources, problems);
    snapshot ??= { bytes: bytesOf(mix.resources), callMs: first.callMs };
    for (const { what, change } of kinds) {
      progress.step(`${what}, ${isOnNats ? 'with' : 'without'} NATS`, changes * SECONDS_PER_CHANGE);
      cells.push(await measureCell(cluster, { what, change, isOnNats, changes }, problems));
    }
    await cluster.end();
  }
  return {
    formatVersion: 1,
    measures: 'propagation',
    startedAt,
    finishedAt: new Date().toISOString(),
    servingNodesCount: SERVING_NODES_COUNT,
    lightNodesCount: nodes,
    resourcesCount: mix.resources.length,
    machine: describeMachine(listener, undefined),
    cells,
    snapshot,
    problems,
  };
}

function changesOf(mix: Mix, url: string): { what: string; change: Change }[] {
  const { upstreams, servers, credentials } = mix;
  const told = (index: number, round: number) =>
    server(index % servers.length, upstreams.length, `as it was changed in round ${round}`);
  return [
    { what: 'one virtual server', change: (index) => [told(index, index)] },
    {
      what: 'one upstream',
      change: (index) => [upstream(index % upstreams.length, url, 61 + index)],
    },
    { what: 'one credential', change: (index) => [credential(index % credentials.length)] },
    {
      what: `${Math.min(LARGE_CHANGE_COUNT, servers.length)} virtual servers`,
      change: (index) =>
        servers.slice(0, LARGE_CHANGE_COUNT).map((_, each) => told(each, index + servers.length)),
    },
  ];
}

async function measureCell(
  cluster: Cluster,
  { what, change, isOnNats, changes }: { what: string; change: Change; isOnNats: boolean; changes: number },
  problems: string[],
): Promise<PropagationCell> {
  const cell: PropagationCell = {
    what,
    changedCount: change(0).length,
    isOnNats,
    changesCount: changes,
    limitMs: isOnNats ? LIMIT_ON_NATS_MS : LIMIT_WITHOUT_MS,
    lastAckMs: [],
    callMs: [],
    receivedBytes: [],
    changeBytes: [],
  };
  for (let index = 0; index < WARM_UP_COUNT + changes; index++) {
    const resources = change(index);
    const before = await cluster.receivedBytes();
    const { callMs, lastAckMs } = await made(cluster, resources, problems);
    const receivedBytes = (await cluster.receivedBytes()) - before;
    if (index < WARM_UP_COUNT) continue;
    cell.callMs.push(callMs);
    cell.lastAckMs.push(lastAckMs);
    cell.receivedBytes.push(receivedBytes);
    cell.changeBytes.push(bytesOf(resources));
  }
  return cell;
}

/** Makes a revision, and waits until every node runs it. */
async function made({ admin }: Cluster, resources: readonly Resource[], problems: string[]) {
  const beganAt = performance.now();
  const response: WriteResponse = await admin.configuration.apply(
    {
      resources: [...resources],
      options: { wait: 'all', deadline: { seconds: BigInt(DEADLINE_SECONDS) } },
    },
    { timeoutMs: (DEADLINE_SECONDS + 10) * 1_000 },
  );
  const endedAt = performance.now();
  const endedAtMs = performance.timeOrigin + endedAt;
  const { revision, convergence } = response;
  if (convergence?.reached !== true)
    problems.push(
      `revision ${revision}: ${convergence?.behind.length} nodes did not run it in ${DEADLINE_SECONDS} s`,
    );
  const { revision: stored } = await admin.configuration.getRevision({ revision });
  const { seconds = 0n, nanos = 0 } = stored?.time ?? {};
  return { callMs: endedAt - beganAt, lastAckMs: endedAtMs - (Number(seconds) * 1_000 + nanos / 1_000_000) };
}

function bytesOf(resources: readonly Resource[]): number {
  return resources.reduce((sum, resource) => sum + toBinary(ResourceSchema, resource).length, 0);
}
