import { create } from '@bufbuild/protobuf';
import { RolloutPlanSchema } from '@sluice/proto/cluster';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NOTHING } from './evidence.js';
import { missingMembers } from './members.js';
import { planOf } from './plan.js';
import { type Course, type Decision, RolloutWatch } from './watch.js';
import type { WatchedNode } from './watched-node.js';

const REVISION = 7;
const TICK_MS = 500;

/** Nodes that serve, take the revision, refuse it or die as a test says, on a clock of its own. */
class World {
  nowMs = 0;
  readonly nodes = new Map<string, Mutable>();
  course: Course;
  readonly decisions: Decision[] = [];
  private readonly watch: RolloutWatch;

  constructor(
    plan: Parameters<typeof create<typeof RolloutPlanSchema>>[1],
    names: readonly (string | readonly [name: string, region: string])[],
    before = NOTHING,
  ) {
    for (const each of names) {
      const [name, region] = typeof each === 'string' ? [each, ''] : each;
      this.nodes.set(name, {
        region,
        presence: 'present',
        runs: false,
        refusal: undefined,
        incarnation: 'first',
        failedUpstreams: 0,
        requests: 1_000,
        errors: 0,
        durationUs: 1_000_000,
      });
    }
    const { steps } = planOf(create(RolloutPlanSchema, plan));
    this.watch = new RolloutWatch(planOf(create(RolloutPlanSchema, plan)));
    const members = new Set(missingMembers('id', steps[0] as never, this.seen(), new Set()));
    this.course = { id: 'id', revision: REVISION, step: 1, members, before };
  }

  get end(): Decision | undefined {
    return this.decisions.find(({ kind }) => kind === 'promote' || kind === 'roll back');
  }

  seen(): WatchedNode[] {
    return [...this.nodes].map(([name, node]) => ({
      name,
      region: node.region,
      presence: node.presence,
      runs: node.runs,
      refusal: node.refusal,
      report: {
        incarnation: node.incarnation,
        ran: node.runs,
        failedUpstreams: node.failedUpstreams,
        requests: node.requests,
        errors: node.errors,
        durationUs: node.durationUs,
      },
    }));
  }

  tick(live: (node: Mutable, isGiven: boolean, name: string) => void): Decision {
    this.nowMs += TICK_MS;
    for (const [name, node] of this.nodes) live(node, this.course.members.has(name), name);
    const decision = this.watch.look(this.course, this.seen(), this.nowMs);
    this.decisions.push(decision);
    const members = new Set(this.course.members);
    if (decision.kind === 'add' || decision.kind === 'advance')
      for (const name of decision.nodes) members.add(name);
    const step = this.course.step + (decision.kind === 'advance' ? 1 : 0);
    this.course = { ...this.course, members, step };
    return decision;
  }

  run(ticks: number, live: (node: Mutable, isGiven: boolean, name: string) => void): Decision | undefined {
    for (let tick = 0; tick < ticks && this.end === undefined; tick++) this.tick(live);
    return this.end;
  }
}

interface Mutable {
  region: string;
  presence: WatchedNode['presence'];
  runs: boolean;
  refusal: string | undefined;
  incarnation: string;
  failedUpstreams: number;
  requests: number;
  errors: number;
  durationUs: number;
}

interface Behaviour {
  readonly requests?: number;
  readonly errors?: number;
  readonly meanMs?: number;
}

const serve = (node: Mutable, { requests = 10, errors = 0, meanMs = 1 }: Behaviour = {}) => {
  node.requests += requests;
  node.errors += errors;
  node.durationUs += requests * meanMs * 1_000;
};

const healthy = (node: Mutable, isGiven: boolean) => {
  node.runs ||= isGiven;
  serve(node);
};

const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`);

describe('the watch of a rollout', () => {
  it('takes a good revision through its steps, and waits in each', () => {
    const world = new World({ pauseMs: 5_000 }, names(10));
    expect(world.course.members.size).toBe(1);
    expect(world.run(200, healthy)).toMatchObject({ kind: 'promote' });
    const advances = world.decisions.flatMap(({ kind }, index) => (kind === 'advance' ? [index] : []));
    expect(advances).toHaveLength(2);
    expect((advances[0] ?? 0) * TICK_MS).toBeGreaterThanOrEqual(5_000);
    expect(world.course.members.size).toBe(10);
    expect(world.nowMs).toBeGreaterThanOrEqual(15_000);
  });

  it('goes back when a node refuses it, and says which and why', () => {
    const world = new World({}, names(4));
    const end = world.run(9, (node, isGiven) => {
      if (isGiven) node.refusal = 'upstream/files: the secret TOKEN is not there';
    });
    expect(end).toMatchObject({
      kind: 'roll back',
      reason: expect.stringMatching(
        /^1 node refused revision 7, and 0 may; n\d: upstream\/files: the secret/,
      ),
    });
  });

  it('bears as many refusals as it may, and goes back when those nodes do not come', () => {
    const world = new World({ limits: { maxNacksCount: 1, maxArrivalMs: 3_000 } }, names(4));
    const end = world.run(9, (node, isGiven) => {
      if (isGiven) node.refusal = 'no';
    });
    expect(end).toMatchObject({ kind: 'roll back', reason: expect.stringContaining('within 3 s; n') });
    expect(world.nowMs).toBeGreaterThan(3_000);
  });

  it('goes back when requests fail that do not fail elsewhere', () => {
    const world = new World({}, names(10));
    const end = world.run(50, (node, isGiven) => {
      node.runs ||= isGiven;
      serve(node, { requests: 20, errors: node.runs ? 2 : 0 });
    });
    expect(end).toMatchObject({
      kind: 'roll back',
      reason: expect.stringMatching(
        /^10\.0 % of \d+ requests failed with it, 0\.0 % of \d+ without it; it may be 5/,
      ),
    });
  });

  it('bears requests that fail everywhere', () => {
    const world = new World({ pauseMs: 2_000 }, names(10), {
      ...NOTHING,
      nodes: 10,
      requests: 500,
      errors: 150,
    });
    const end = world.run(99, (node, isGiven) => {
      node.runs ||= isGiven;
      serve(node, { requests: 10, errors: 3 });
    });
    expect(end).toMatchObject({ kind: 'promote' });
  });

  it('goes back when requests take too long, but not for a few milliseconds', () => {
    const slow = (meanMs: number) => (node: Mutable, isGiven: boolean) => {
      node.runs ||= isGiven;
      serve(node, { meanMs: node.runs ? meanMs : 2 });
    };
    const before = { ...NOTHING, nodes: 10, requests: 10_000, errors: 0, durationUs: 20_000_000 };
    expect(new World({ pauseMs: 4_000 }, names(10), before).run(99, slow(50))).toMatchObject({
      kind: 'roll back',
      reason: expect.stringContaining('take 50.0 ms with it and 2.0 ms without it'),
    });
    expect(new World({ pauseMs: 4_000 }, names(10), before).run(99, slow(9))).toMatchObject({
      kind: 'promote',
    });
  });

  it('compares the only node with what it served before', () => {
    const before = { ...NOTHING, nodes: 1, requests: 1_000, errors: 10, durationUs: 1_000_000 };
    const end = new World({ steps: [{ nodesPercent: 100 }] }, ['only'], before).run(99, (node, isGiven) => {
      node.runs ||= isGiven;
      serve(node, { errors: node.runs ? 1 : 0 });
    });
    expect(end).toMatchObject({
      kind: 'roll back',
      reason: expect.stringContaining('1.0 % of 1000 without it'),
    });
  });

  it('waits for people when nothing is served, and not when it is told not to judge by requests', () => {
    const idle = (node: Mutable, isGiven: boolean) => {
      node.runs ||= isGiven;
    };
    const world = new World({ pauseMs: 1_000 }, names(3));
    expect(world.run(1_000, idle)).toBeUndefined();
    expect(world.decisions.at(-1)).toMatchObject({
      kind: 'wait',
      reason: expect.stringContaining('0 of the 50 requests'),
    });
    const blind = new World({ pauseMs: 1_000, limits: { minRequestsCount: 0 } }, names(3));
    expect(blind.run(1_000, idle)).toMatchObject({ kind: 'promote' });
  });

  it('never ends while there is no node', () => {
    const world = new World({ limits: { minRequestsCount: 0 } }, []);
    expect(world.run(2_000, healthy)).toBeUndefined();
    expect(world.decisions.at(-1)).toMatchObject({
      kind: 'wait',
      reason: expect.stringContaining('connected'),
    });
  });

  it('goes back when a node is not heard of any more after it took the revision', () => {
    const world = new World({ limits: { maxArrivalMs: 10_000 } }, names(3));
    const end = world.run(99, (node, isGiven) => {
      healthy(node, isGiven);
      if (node.runs && world.nowMs > 2_000) node.presence = 'lost';
    });
    expect(end).toMatchObject({ kind: 'roll back', reason: expect.stringContaining('is not heard of') });
  });

  it('goes back when upstreams do not answer that answer elsewhere, and bears those that answer nobody', () => {
    const limits = { maxArrivalMs: 10_000 };
    const failing = (count: number) => (node: Mutable, isGiven: boolean) => {
      healthy(node, isGiven);
      node.failedUpstreams = node.runs ? count : 1;
    };
    const world = new World({ pauseMs: 5_000, limits }, names(3));
    expect(world.run(99, failing(2))).toMatchObject({
      kind: 'roll back',
      reason: expect.stringMatching(
        /within 10 s; 2 upstreams do not answer n\d, and 1 without the revision$/,
      ),
    });
    const before = { ...NOTHING, failedUpstreams: 1 };
    expect(new World({ pauseMs: 5_000, limits }, names(3), before).run(99, failing(1))).toMatchObject({
      kind: 'promote',
    });
  });

  it('takes another node in the place of one that left', () => {
    const world = new World({}, names(4));
    const [first] = world.course.members;
    world.tick(healthy);
    (world.nodes.get(first ?? '') as Mutable).presence = 'gone';
    expect(world.tick(healthy)).toMatchObject({ kind: 'add', nodes: [expect.stringMatching(/^n\d$/)] });
  });

  it('begins with a region', () => {
    const regions = [
      ['a', 'eu'],
      ['b', 'eu'],
      ['c', 'us'],
    ] as const;
    const steps = [{ regions: ['eu'] }, { nodesPercent: 100 }];
    const world = new World({ steps, pauseMs: 1_000 }, regions);
    expect([...world.course.members].sort()).toEqual(['a', 'b']);
    expect(world.run(99, healthy)).toMatchObject({ kind: 'promote' });
  });

  it('does not count what another start of a node served', () => {
    const world = new World({ steps: [{ nodesPercent: 50 }] }, names(2));
    const end = world.run(40, (node, isGiven) => {
      node.runs ||= isGiven;
      serve(node);
      if (!node.runs || world.nowMs !== 5_000) return;
      // It crashed: its totals begin anew, with what failed meanwhile.
      Object.assign(node, { incarnation: 'second', requests: 500, errors: 400, durationUs: 0 });
    });
    expect(end).toBeUndefined();
  });

  it('never promotes what fails, nor takes a revision away from a node, nor ends without a reason', () => {
    const event = fc.record({
      node: fc.nat({ max: 5 }),
      what: fc.constantFrom('serve', 'fail', 'lose', 'find', 'leave', 'restart', 'refuse', 'late'),
    });
    const scripts = fc.record({
      nodes: fc.integer({ min: 0, max: 6 }),
      steps: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 4 }),
      pauseMs: fc.integer({ min: 0, max: 5_000 }),
      events: fc.array(event, { maxLength: 60 }),
    });
    fc.assert(
      fc.property(scripts, ({ nodes, steps, pauseMs, events }) => {
        const shares = steps.sort((a, b) => a - b).map((nodesPercent) => ({ nodesPercent }));
        const world = new World({ steps: shares, pauseMs, limits: { maxArrivalMs: 8_000 } }, names(nodes));
        const late = new Set<string>();
        let given = new Set(world.course.members);
        const failing = new Map<string, boolean>();
        for (const { node, what } of events) {
          if (world.end !== undefined) break;
          world.tick((each, isGiven, name) => {
            if (name === `n${node}`) {
              if (what === 'lose') each.presence = 'lost';
              if (what === 'find' && each.presence === 'lost') each.presence = 'present';
              if (what === 'leave') each.presence = 'gone';
              if (what === 'restart')
                Object.assign(each, { incarnation: `${world.nowMs}`, requests: 0, errors: 0, durationUs: 0 });
              if (what === 'refuse' && isGiven && !each.runs) each.refusal = 'no';
              if (what === 'late') late.add(name);
              failing.set(name, what === 'fail');
            }
            if (each.presence !== 'present') return;
            if (isGiven && each.refusal === undefined && !late.has(name)) each.runs = true;
            serve(each, { requests: 60, errors: each.runs && failing.get(name) ? 60 : 0 });
          });
          for (const name of given) expect(world.course.members.has(name)).toBe(true);
          given = new Set(world.course.members);
        }
        const { end } = world;
        if (end === undefined) return;
        expect(end.reason).not.toBe('');
        if (end.kind !== 'promote') return;
        const members = [...world.course.members].map((name) => world.nodes.get(name) as Mutable);
        for (const member of members) if (member.presence !== 'gone') expect(member.runs).toBe(true);
        for (const node of world.nodes.values()) expect(node.refusal).toBeUndefined();
        expect(members.some(({ runs }) => runs)).toBe(true);
        expect(world.course.step).toBe(shares.length);
        expect(world.nowMs).toBeGreaterThanOrEqual(pauseMs * shares.length);
      }),
      { numRuns: 500 },
    );
  });
});
