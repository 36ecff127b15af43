/* What a change has to pass before it is a revision: the compiler of the nodes, for every region that it concerns. */
import { create, entryOf, type Resource, ResourceSchema, ResourceState } from '@sluice/proto/cluster';
import { expect, it } from 'vitest';
import { compileCheck } from './compile-check.js';

const stateOf = (...resources: Resource[]) => ResourceState.of(resources.map(entryOf));
const upstream = (
  name: string,
  url: string,
  more: { tenant?: string; regions?: string[]; id?: string } = {},
) => {
  const { id = '', ...rest } = more;
  const transport = { case: 'http' as const, value: { url, headers: {} } };
  return create(ResourceSchema, { ...rest, spec: { case: 'upstream', value: { name, id, transport } } });
};
const secret = (name: string, regions: string[] = []) =>
  create(ResourceSchema, {
    regions,
    spec: { case: 'secret', value: { name, source: { case: 'env', value: 'KEY' } } },
  });

it('takes what nodes can run, with what only nodes have', async () => {
  const url = 'http://${HOST}/${secret:key}';
  expect(await compileCheck()(stateOf(upstream('a', url), secret('key')))).toEqual([]);
});

it('says which resource, field and region it is about, and what would be right', async () => {
  const state = stateOf(upstream('a', 'http://h/${secret:key}'), secret('key', ['eu']));
  expect(await compileCheck()(state)).toMatchObject([
    {
      resource: { name: 'a' },
      field: 'http.url',
      reason: 'there is no secret key',
      hint: expect.stringContaining('add a `secret`'),
    },
  ]);
  const inOneRegion = stateOf(
    upstream('a', 'http://h/${secret:key}', { regions: ['eu'] }),
    secret('key', ['us']),
  );
  expect(await compileCheck()(inOneRegion)).toMatchObject([
    { reason: 'there is no secret key (on nodes of the region eu)' },
  ]);
});

it('tells what is wrong in all regions once', async () => {
  const state = stateOf(
    upstream('a', 'http://h/${secret:key}'),
    secret('other', ['eu']),
    secret('more', ['us']),
  );
  expect(await compileCheck()(state)).toHaveLength(1);
});

it('goes on from what it compiled, and forgets what was refused', async () => {
  const check = compileCheck();
  const good = [upstream('a', 'http://h/${secret:key}', { id: 'x' }), secret('key')];
  expect(await check(stateOf(...good))).toEqual([]);
  expect(await check(stateOf(...good, upstream('b', 'http://h/', { id: 'x' })))).toMatchObject([
    { resource: { name: 'b' }, field: 'id', hint: 'give each upstream an id of its own' },
  ]);
  expect(await check(stateOf(good[0] as Resource))).toHaveLength(1);
  expect(await check(stateOf(...good, upstream('b', 'http://h/', { id: 'y' })))).toEqual([]);
  expect(await check(ResourceState.empty())).toEqual([]);
});
