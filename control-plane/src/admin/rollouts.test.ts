import { readFileSync } from 'node:fs';
import { RolloutService } from '@sluice/proto/admin';
import { RolloutState } from '@sluice/proto/cluster';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type AdminCluster,
  GrpcCaller,
  RestCaller,
  startAdminCluster,
  statusOf,
  TOKENS,
} from '../../test/admin-cluster.js';

let cluster: AdminCluster;
let operator: RestCaller;
let grpc: GrpcCaller;
beforeEach(async () => {
  cluster = await startAdminCluster();
  operator = new RestCaller(cluster.url, TOKENS.operator);
  grpc = new GrpcCaller(`127.0.0.1:${cluster.api.port}`, TOKENS.operator);
  cluster.join('n1', 'eu');
});
afterEach(async () => {
  grpc.close();
  await cluster.close();
});

const apply = (name: string, options: object = {}, to = operator) =>
  to.call('POST', '/api/v1/apply', { resources: [{ consumer: { name } }], options });

describe('rollouts over the admin API', () => {
  it('begin with a change, stop all others, and end when somebody promotes them', async () => {
    await apply('a');
    expect(await apply('b', { rollout: { steps: [{ regions: ['eu'] }], pause_ms: 1_000 } })).toMatchObject({
      status: 200,
      body: { revision: '2' },
    });
    const reason = 'revision 2 is being rolled out: wait for its end, or promote or abort it first';
    for (const refused of [
      await apply('c'),
      await apply('c', { dry_run: true }),
      await operator.call('DELETE', '/api/v1/resources/consumer/a'),
      await new RestCaller(cluster.url, TOKENS.admin).call('POST', '/api/v1/rollback', { revision: 1 }),
    ])
      expect(refused).toMatchObject({ status: 409, body: { reason: 'ROLLOUT_ACTIVE', detail: reason } });
    expect(await operator.call('GET', '/api/v1/rollouts/0')).toMatchObject({
      status: 200,
      body: {
        rollout: {
          revision: '2',
          stable_revision: '1',
          state: 'ROLLOUT_STATE_IN_PROGRESS',
          step: 1,
          plan: {
            steps: [{ nodes_percent: 100, regions: ['eu'], pause_ms: 1_000 }],
            limits: { min_requests_count: 50 },
          },
        },
      },
    });
    const promoted = await operator.call('POST', '/api/v1/rollouts/2/promote', { reason: 'looks good' });
    expect(promoted).toMatchObject({ status: 200, body: { rollout: { state: 'ROLLOUT_STATE_PROMOTED' } } });
    expect(promoted.body.rollout.events.at(-1)).toMatchObject({ reason: 'looks good', author: 'token/otto' });
    expect(await apply('c')).toMatchObject({ status: 200, body: { revision: '3' } });
    expect(await operator.call('POST', '/api/v1/rollouts/2/abort', {})).toMatchObject({
      status: 409,
      body: { reason: 'ROLLOUT_OVER', detail: 'the rollout of revision 2 is promoted already' },
    });
  });

  it('are taken back by who aborts them, without naming a revision', async () => {
    await apply('a');
    await apply('b', { rollout: {} });
    const { rollout } = await grpc.call(RolloutService, 'abortRollout', { reason: 'not today' });
    expect(rollout).toMatchObject({ revision: 2n, state: RolloutState.ROLLED_BACK, restoredBy: 3n });
    expect(cluster.head.newest).toMatchObject({ author: 'token/otto', restores: 1n });
    expect([...cluster.head.state.entries()].map(({ key }) => key)).toEqual(['consumer//a']);
    const { rollouts } = await grpc.call(RolloutService, 'listRollouts', {});
    expect(rollouts).toMatchObject([{ revision: 2n }]);
    await expect(grpc.call(RolloutService, 'abortRollout', {})).rejects.toSatisfy(
      (error) => statusOf(error).details === 'no rollout is under way',
    );
    expect(await operator.call('GET', '/api/v1/rollouts/1')).toMatchObject({ status: 404 });
  });

  it('are refused when the plan cannot be, or the caller is limited to tenants', async () => {
    expect(await apply('a', { rollout: {} })).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining('there is nothing that they could go back to') },
    });
    await apply('a');
    for (const [rollout, detail] of [
      [
        { steps: [{ nodes_percent: 0 }] },
        'options.rollout.steps[0].nodes_percent: is 0, and has to be 1 to 100',
      ],
      [
        { steps: [{ regions: ['ue'] }] },
        'options.rollout.steps[0].regions: no node and no resource is called',
      ],
      [{ steps: [{ principals_percent: 101 }] }, 'options.rollout.steps[0].principals_percent'],
    ] as const)
      expect(await apply('b', { rollout })).toMatchObject({
        status: 400,
        body: { detail: expect.stringContaining(detail) },
      });
    const limited = new RestCaller(cluster.url, TOKENS.acmeOperator);
    expect(await apply('b', { rollout: {} }, limited)).toMatchObject({
      status: 403,
      body: { reason: 'CLUSTER_RESOURCE' },
    });
    expect(cluster.head.revision).toBe(1);
  });

  it('begin as the example of the documentation says', async () => {
    const page = readFileSync(new URL('../../../docs/operating/rollouts.md', import.meta.url), 'utf8');
    const [, body = ''] = /-d '(\{.*?\})'\n```/s.exec(page) ?? [];
    await apply('a');
    expect(await operator.call('POST', '/api/v1/apply', body)).toMatchObject({ status: 200 });
    expect(cluster.rollouts.all()[0]).toMatchObject({
      plan: { steps: [{ nodesPercent: 10 }, { regions: ['eu'], pauseMs: 300_000 }, { nodesPercent: 100 }] },
    });
  });

  it('begin with a change over query parameters', async () => {
    await apply('a');
    const path = '/api/v1/resources/consumer/a?rollout.pause_ms=5000';
    const put = await operator.call('PUT', path, { consumer: { name: 'a', scopes: ['x'] } });
    expect(put).toMatchObject({ status: 200 });
    expect(cluster.rollouts.all()).toMatchObject([{ plan: { steps: [{ pauseMs: 5_000 }, {}, {}] } }]);
  });
});
