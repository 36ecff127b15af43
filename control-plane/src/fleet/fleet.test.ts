import { create } from '@bufbuild/protobuf';
import { HealthSchema, HelloSchema, NodeEventKind, NodeState, Presence } from '@sluice/proto/cluster';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryLog } from '../../test/memory-log.js';
import { Views } from '../delivery/views.js';
import { ConfigurationHead } from '../revisions/head.js';
import { Fleet, HEALTH_INTERVAL_MS } from './fleet.js';
import { NodeUnreachableError, type Wait } from './fleet-view.js';

const DAY_MS = 24 * 60 * 60_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] }));
afterEach(() => void vi.useRealTimers());

async function fleetOf(...regions: string[]) {
  const onTrouble = (error: unknown) => {
    throw error;
  };
  const head = await ConfigurationHead.open({ log: new MemoryLog(), nowMs: () => 0, onTrouble });
  const views = new Views(head, () => 0);
  const fleet = new Fleet({
    head,
    views,
    nowMs: () => 0,
    elapsedMs: () => Date.now(),
    orderElsewhere: () => false,
  });
  for (const [index, region] of regions.entries())
    fleet.joined(create(HelloSchema, { node: `n${index}`, incarnation: 'first', region }), {
      region,
      tenants: undefined,
    });
  return { head, fleet };
}

const health = (node: string, state = NodeState.READY) =>
  create(HealthSchema, { node, incarnation: 'first', state });

describe('the fleet', () => {
  it('loses a node whose lease ended, finds it again, and forgets it after a day', async () => {
    const { fleet } = await fleetOf('eu');
    vi.advanceTimersByTime(HEALTH_INTERVAL_MS * 4);
    expect(fleet.nodes()).toMatchObject([{ presence: Presence.UNKNOWN }]);
    fleet.reported(health('n0'));
    expect(fleet.nodes()).toMatchObject([{ presence: Presence.PRESENT }]);
    expect(fleet.events(9).map(({ kind }) => kind)).toEqual([
      NodeEventKind.FOUND,
      NodeEventKind.LOST,
      NodeEventKind.JOINED,
    ]);
    vi.advanceTimersByTime(DAY_MS + HEALTH_INTERVAL_MS);
    expect(fleet.nodes()).toEqual([]);
  });

  it('passes over what an earlier start of a node says', async () => {
    const { fleet } = await fleetOf('eu');
    fleet.reported({ ...health('n0', NodeState.STOPPED), incarnation: 'earlier' });
    expect(fleet.nodes()).toMatchObject([{ presence: Presence.PRESENT }]);
  });

  it('has room for a node that comes while others are silent, and for no more than it can hold', async () => {
    const { fleet } = await fleetOf('eu');
    const nodes = 10_000;
    const seen = { region: 'eu', tenants: undefined };
    const join = (node: string) => fleet.joined(create(HelloSchema, { node, incarnation: 'first' }), seen);
    for (let number = 1; number < nodes; number++) join(`n${number}`);
    expect(() => join('one-more')).toThrow('the cluster has 10000 nodes already');
    join('n7');
    vi.advanceTimersByTime(HEALTH_INTERVAL_MS * 4);
    join('one-more');
    expect(fleet.knows('one-more')).toBe(true);
    expect(fleet.nodes()).toHaveLength(nodes);
  });

  it('says that a node cannot be told', async () => {
    const { fleet } = await fleetOf('eu');
    await expect(fleet.drain('n0', '')).rejects.toThrow(NodeUnreachableError);
  });

  it('counts who runs a revision, and does not wait for who left', async () => {
    const { head, fleet } = await fleetOf('eu', 'eu', 'us', 'us');
    const acknowledge = (node: string) =>
      fleet.reported({
        ...health(node),
        position: {
          $typeName: 'sluice.delivery.v1.Position',
          storeId: head.storeId,
          revision: 1n,
          digest: new Uint8Array(),
        },
      });
    acknowledge('n0');
    acknowledge('n1');
    const now = async (wait: Wait) => (await fleet.convergence({ revision: 1, wait, deadlineMs: 0 })).reached;
    expect(await now({ kind: 'any' })).toBe(true);
    expect(await now({ kind: 'region', region: 'eu' })).toBe(true);
    expect(await now({ kind: 'region', region: 'misspelled' })).toBe(false);
    expect(await now({ kind: 'share', percent: 50 })).toBe(true);
    expect(await now({ kind: 'share', percent: 51 })).toBe(false);
    expect(await now({ kind: 'all' })).toBe(false);
    fleet.reported(health('n2', NodeState.STOPPED));
    acknowledge('n3');
    expect(await now({ kind: 'all' })).toBe(true);
  });
});
