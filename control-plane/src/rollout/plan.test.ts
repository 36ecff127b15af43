import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { RolloutPlanSchema } from '@sluice/proto/cluster';
import { describe, expect, it } from 'vitest';
import { planMessage, planOf, problemOf } from './plan.js';

const plan = (init: MessageInitShape<typeof RolloutPlanSchema>) => create(RolloutPlanSchema, init);

describe('the plan of a rollout', () => {
  it('has a default for everything', () => {
    const whole = planOf(plan({}));
    expect(whole).toEqual({
      steps: [
        { percent: 10, regions: [], pauseMs: 60_000 },
        { percent: 50, regions: [], pauseMs: 60_000 },
        { percent: 100, regions: [], pauseMs: 60_000 },
      ],
      limits: {
        maxNacksCount: 0,
        maxErrorIncreasePercentagePoints: 5,
        maxLatencyRatio: 2,
        minRequestsCount: 50,
        maxArrivalMs: 120_000,
      },
    });
    expect(planOf(planMessage(whole))).toEqual(whole);
  });

  it('keeps what was said, zero too', () => {
    const said = plan({
      steps: [{ regions: ['eu'], pauseMs: 0 }, { nodesPercent: 40 }],
      pauseMs: 9,
      limits: { minRequestsCount: 0, maxNacksCount: 2 },
    });
    expect(planOf(said)).toMatchObject({
      steps: [
        { percent: 100, regions: ['eu'], pauseMs: 0 },
        { percent: 40, regions: [], pauseMs: 9 },
      ],
      limits: { minRequestsCount: 0, maxNacksCount: 2, maxLatencyRatio: 2 },
    });
  });

  it('may be about callers of all nodes, or of some', () => {
    const said = plan({
      steps: [
        { principalsPercent: 5, regions: ['eu'] },
        { principalsPercent: 5, nodesPercent: 50 },
      ],
    });
    expect(problemOf(said)).toBeUndefined();
    const whole = planOf(said);
    expect(whole).toMatchObject({
      steps: [
        { percent: 100, regions: ['eu'], principalsPercent: 5 },
        { percent: 50, regions: [], principalsPercent: 5 },
      ],
    });
    expect(planOf(planMessage(whole))).toEqual(whole);
  });

  it('is refused when it cannot be', () => {
    const day = 24 * 60 * 60_000;
    const refused: [MessageInitShape<typeof RolloutPlanSchema>, string, string][] = [
      [{ steps: [{}] }, 'steps[0].nodes_percent', 'say a share of the nodes or of the callers'],
      [{ steps: [{ nodesPercent: 0 }] }, 'steps[0].nodes_percent', 'is 0, and has to be 1 to 100'],
      [{ steps: [{ nodesPercent: 101 }] }, 'steps[0].nodes_percent', 'is 101'],
      [{ steps: [{ nodesPercent: 50 }, { nodesPercent: 20 }] }, 'steps[1].nodes_percent', 'less than 50'],
      [{ steps: [{ regions: Array(101).fill('eu') }] }, 'steps[0].regions', 'are 101, and may be 100'],
      [{ steps: Array(21).fill({ nodesPercent: 1 }) }, 'steps', 'are 21, and may be 20'],
      [{ steps: [{ principalsPercent: 0 }] }, 'steps[0].principals_percent', 'is 0, and has to be 1 to 100'],
      [{ steps: [{ principalsPercent: 101 }] }, 'steps[0].principals_percent', 'is 101'],
      [
        { steps: [{ principalsPercent: 9 }, { principalsPercent: 8, regions: ['eu'] }] },
        'steps[1].principals_percent',
        'less than 9',
      ],
      [
        { steps: [{ principalsPercent: 9 }, { nodesPercent: 100 }] },
        'steps[1].principals_percent',
        'in all steps or in none',
      ],
      [
        { steps: [{ nodesPercent: 9 }, { principalsPercent: 9 }] },
        'steps[1].principals_percent',
        'in all steps or in none',
      ],
      [{ pauseMs: day + 1 }, 'pause_ms', `has to be 0 to ${day}`],
      [{ steps: [{ nodesPercent: 1, pauseMs: day + 1 }] }, 'steps[0].pause_ms', `has to be 0 to ${day}`],
      [{ limits: { maxArrivalMs: day + 1 } }, 'limits.max_arrival_ms', `has to be 0 to ${day}`],
      [{ limits: { maxErrorIncreasePercentagePoints: Number.NaN } }, 'limits.max_error_increase', 'is NaN'],
      [{ limits: { maxLatencyRatio: 0.5 } }, 'limits.max_latency_ratio', 'has to be 1 to 1000'],
    ];
    for (const [init, field, description] of refused)
      expect(problemOf(plan(init)), field).toEqual({
        field: expect.stringContaining(field),
        description: expect.stringContaining(description),
      });
    expect(
      problemOf(plan({ steps: [{ nodesPercent: 5 }, { regions: ['eu'], nodesPercent: 1 }] })),
    ).toBeUndefined();
  });
});
