import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { derivedPlugins } from './derived-plugins.js';
import { LimitPeriod, LimitSchema, LimitScope } from './gen/sluice/config/v1/access_pb.js';

const limit = (name: string, scope: LimitScope) =>
  create(LimitSchema, { name, requests: 10, per: LimitPeriod.HOUR, scope });

it('limits of the cluster have a use of ratelimit to themselves, beside those of each node', () => {
  const uses = derivedPlugins({
    tenant: '',
    paths: [],
    policies: [],
    limits: [
      limit('mine', LimitScope.UNSPECIFIED),
      limit('ours', LimitScope.CLUSTER),
      limit('too', LimitScope.NODE),
    ],
  });
  const written = (name: string) => ({ name, key: ['principal.id'], rate: 10, per: 'hour' });
  expect(uses.map(({ name, config }) => [name, config])).toEqual([
    ['limits', { limits: [written('mine'), written('too')] }],
    ['limits-2', { scope: 'cluster', limits: [written('ours')] }],
  ]);
});
