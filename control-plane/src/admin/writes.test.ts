/* What becomes of changes, over both transports. */
import { create } from '@bufbuild/protobuf';
import { ConfigurationService } from '@sluice/proto/admin';
import { ResourceKind, ResourceSchema } from '@sluice/proto/cluster';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type AdminCluster,
  GrpcCaller,
  RestCaller,
  startAdminCluster,
  statusOf,
  TOKENS,
} from '../../test/admin-cluster.js';
import { StoreUnavailableError } from '../store/revision-log.js';

let cluster: AdminCluster;
let rest: RestCaller;
let acme: RestCaller;
let grpc: GrpcCaller;

beforeEach(async () => {
  cluster = await startAdminCluster({
    compile: async (after) =>
      [...after.entries()].flatMap(({ resource: { spec } }) =>
        spec.case === 'upstream' && spec.value.name === 'broken'
          ? [{ field: 'http.url', reason: 'does not compile', hint: 'mend it' }]
          : [],
      ),
  });
  rest = new RestCaller(cluster.url, TOKENS.admin);
  acme = new RestCaller(cluster.url, TOKENS.acmeOperator);
  grpc = new GrpcCaller(`127.0.0.1:${cluster.api.port}`, TOKENS.admin);
});
afterEach(async () => {
  grpc.close();
  await cluster.close();
  expect(cluster.failures).toEqual([]);
});

const UPSTREAM = '/api/v1/resources/upstream';
const upstream = (name: string, more: object = {}) => ({
  upstream: { name, http: { url: `https://${name}.example.com/mcp`, ...more } },
});
const consumer = (name: string, more: object = {}) => ({ consumer: { name, ...more } });
const tenant = (name: string) => ({ tenant_spec: { name } });
const resource = (name: string, scopes: string[] = []) =>
  create(ResourceSchema, { spec: { case: 'consumer', value: { name, scopes } } });

describe('a change of one resource', () => {
  it('makes a revision with its author, message and change', async () => {
    const answer = await rest.call('PUT', `${UPSTREAM}/files?message=because`, upstream('files'));
    expect(answer).toMatchObject({ status: 200, body: { revision: '1', etag: '1' } });
    expect(answer.body.changes).toMatchObject([
      { key: { kind: 'RESOURCE_KIND_UPSTREAM', name: 'files' }, after: { revision: '1' } },
    ]);
    expect(answer.headers.get('etag')).toBe('"1"');
    const { body } = await rest.call('GET', '/api/v1/revisions/1');
    expect(body.revision).toMatchObject({ author: 'token/ada', message: 'because' });
  });

  it('that is so already makes none, and says the revision that holds it', async () => {
    await rest.call('PUT', `${UPSTREAM}/files`, upstream('files'));
    await rest.call('PUT', '/api/v1/resources/consumer/ann', consumer('ann'));
    const again = await rest.call('PUT', `${UPSTREAM}/files`, upstream('files'));
    expect(again.body).toMatchObject({ revision: '2', changes: [], etag: '1' });
    expect(cluster.head.revision).toBe(2);
  });

  it('is only made on what the caller has seen', async () => {
    const put = (headers: Record<string, string>, scopes: string[]) =>
      rest.call('PUT', '/api/v1/resources/consumer/ann', consumer('ann', { scopes }), headers);
    expect((await put({ 'if-match': '*' }, [])).status).toBe(412);
    expect((await put({ 'if-none-match': '*' }, [])).status).toBe(200);
    expect((await put({ 'if-none-match': '*' }, ['a'])).status).toBe(412);
    expect((await put({ 'if-match': '"1"' }, ['a'])).headers.get('etag')).toBe('"2"');
    const late = await put({ 'if-match': '"1"' }, ['b']);
    expect(late).toMatchObject({
      status: 412,
      body: {
        reason: 'ETAG_MISMATCH',
        detail: 'consumer/ann: the caller has seen 1, and revision 2 has changed it',
        metadata: { etag: '2' },
      },
    });
    expect((await put({ 'if-match': '*' }, ['b'])).status).toBe(200);
    expect((await put({ 'if-match': 'W/"3"' }, ['c'])).body.violations[0].field).toBe('If-Match');
    const remove = (etag: string) =>
      rest.call('DELETE', '/api/v1/resources/consumer/ann', undefined, { 'if-match': etag });
    expect((await remove('"2"')).status).toBe(412);
    expect((await remove('"3"')).body).toMatchObject({ revision: '4', changes: [{ before: {} }] });
    expect((await remove('*')).status).toBe(412);
    const stale = { kind: ResourceKind.CONSUMER, name: 'ann', resource: resource('ann'), etag: '3' };
    const refused = await grpc.call(ConfigurationService, 'putResource', stale).catch(statusOf);
    expect(refused).toMatchObject({ code: 9, info: { reason: 'ETAG_MISMATCH', metadata: { etag: '0' } } });
  });

  it('has the name and kind of its address', async () => {
    const other = await rest.call('PUT', `${UPSTREAM}/files`, upstream('docs'));
    expect(other).toMatchObject({ status: 400, body: { violations: [{ field: 'resource' }] } });
    expect((await rest.call('PUT', `${UPSTREAM}/ann`, consumer('ann'))).status).toBe(400);
    expect((await rest.call('PUT', `${UPSTREAM}/ann`, {})).status).toBe(400);
    expect((await rest.call('DELETE', `${UPSTREAM}/ann`)).body.reason).toBe('NOT_FOUND');
  });

  it('can be asked for with 304', async () => {
    await rest.call('PUT', `${UPSTREAM}/files`, upstream('files'));
    const get = (tag: string) => rest.call('GET', `${UPSTREAM}/files`, undefined, { 'if-none-match': tag });
    expect(await get('"1"')).toMatchObject({ status: 304, body: undefined });
    expect((await get('"7"')).status).toBe(200);
  });
});

describe('a dry run', () => {
  it('says the same and stores nothing', async () => {
    const run = { resources: [upstream('files')], options: { dry_run: true, expected_revision: '0' } };
    const tried = await rest.call('POST', '/api/v1/apply', run);
    expect(tried.body).toMatchObject({ dry_run: true });
    expect(cluster.head.revision).toBe(0);
    const made = await rest.call('POST', '/api/v1/apply', { resources: [upstream('files')] });
    expect(made.body.changes).toEqual(tried.body.changes);
    const broken = { resources: [upstream('broken')] };
    const refused = await rest.call('POST', '/api/v1/apply?dry_run=true', broken);
    expect(refused.status).toBe(422);
    expect((await rest.call('POST', '/api/v1/apply', broken)).body).toEqual(refused.body);
    const stale = await rest.call('DELETE', `${UPSTREAM}/files?dry_run&expected_revision=7`);
    expect(stale.body).toMatchObject({ reason: 'CONFLICT', conflict: { expected: '7', head: '1' } });
    expect(cluster.head.revision).toBe(1);
  });
});

describe('what is not valid', () => {
  it('is refused with all findings, and nothing is stored', async () => {
    const answer = await rest.call('PUT', `${UPSTREAM}/broken`, upstream('broken'));
    expect(answer).toMatchObject({
      status: 422,
      body: {
        reason: 'INVALID_RESOURCES',
        detail: 'http.url: does not compile',
        findings: [{ field: 'http.url', message: 'does not compile', hint: 'mend it' }],
      },
    });
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    const refused = await grpc
      .call(ConfigurationService, 'apply', {
        resources: [
          {
            spec: {
              case: 'upstream',
              value: { name: 'broken', transport: { case: 'http', value: { url: 'http://x' } } },
            },
          },
        ],
      })
      .catch(statusOf);
    expect(refused).toMatchObject({
      code: 3,
      info: { reason: 'INVALID_RESOURCES', domain: 'sluice', metadata: { findings_total: '1' } },
      badRequest: { fieldViolations: [{ field: 'http.url', description: 'does not compile; mend it' }] },
      invalid: { findings: [{ message: 'does not compile' }] },
    });
    expect(cluster.head.revision).toBe(0);
  });

  it('is told in a trailer that clients take, however much it is', async () => {
    const resources = Array.from({ length: 500 }, (_, index) => resource(`${index}${'x'.repeat(200)}`));
    const refused = await grpc.call(ConfigurationService, 'apply', { resources }).catch(statusOf);
    expect(refused).toMatchObject({ code: 3, info: { metadata: { findings_total: '500' } } });
    expect((refused as ReturnType<typeof statusOf>).invalid?.findings.length).toBeGreaterThan(3);
  });

  it('is said by validate, and changes nothing', async () => {
    const { body, status } = await rest.call('POST', '/api/v1/validate', {
      resources: [upstream('broken'), upstream('files')],
    });
    expect(status).toBe(200);
    expect(body.findings).toMatchObject([{ message: 'does not compile' }]);
    expect(body.changes).toHaveLength(2);
    expect(cluster.head.revision).toBe(0);
  });
});

describe('two writers', () => {
  it('of which one is told what the other has changed', async () => {
    await rest.call('PUT', `${UPSTREAM}/files`, upstream('files'));
    await rest.call('PUT', '/api/v1/resources/consumer/ann', consumer('ann'));
    const late = await rest.call('PUT', `${UPSTREAM}/docs?expected_revision=1`, upstream('docs'));
    expect(late).toMatchObject({
      status: 409,
      body: {
        reason: 'CONFLICT',
        detail: 'the change was made on revision 1, and token/ada has made 2, which changed consumer/ann',
        conflict: {
          expected: '1',
          head: '2',
          revisions: [{ number: '2', author: 'token/ada', created: 1, keys: [{ name: 'ann' }] }],
        },
      },
    });
    const options = { expectedRevision: 1n };
    const refused = await grpc
      .call(ConfigurationService, 'apply', { resources: [resource('bob')], options })
      .catch(statusOf);
    expect(refused).toMatchObject({
      code: 10,
      info: { reason: 'CONFLICT' },
      conflict: { expected: 1n, head: 2n, revisions: [{ number: 2n }] },
    });
  });

  it('of whom one with tenants learns nothing about those of others', async () => {
    await rest.call('POST', '/api/v1/apply', { resources: [tenant('acme'), tenant('globex')] });
    await rest.call('PUT', `${UPSTREAM}/gone`, { tenant: 'globex', ...upstream('gone') });
    expect(cluster.head.revision).toBe(2);
    const late = await acme.call('PUT', `${UPSTREAM}/docs?expected_revision=1`, {
      tenant: 'acme',
      ...upstream('docs'),
    });
    expect(late.status).toBe(409);
    expect(JSON.stringify(late.body)).not.toMatch(/globex|gone|ada/);
  });

  it('of which one with tenants sees a part, and not what was said of the whole', async () => {
    await rest.call('POST', '/api/v1/apply', {
      resources: [tenant('acme'), tenant('globex')],
      options: { message: 'globex has paid' },
    });
    await rest.call('POST', '/api/v1/apply', {
      resources: [{ tenant: 'acme', ...upstream('docs') }],
      options: { message: 'acme has docs' },
    });
    for (const path of ['/api/v1/revisions', '/api/v1/revisions/1', '/api/v1/revisions/2']) {
      const seen = JSON.stringify((await acme.call('GET', path)).body);
      expect(seen, path).not.toContain('globex');
      if (!path.endsWith('1')) expect(seen).toContain('acme has docs');
    }
    expect(JSON.stringify((await rest.call('GET', '/api/v1/revisions')).body)).toContain('globex has paid');
  });
});

describe('an idempotency key', () => {
  it('makes a change once, and gives its answer again, by either transport', async () => {
    const key = { 'idempotency-key': 'k1' };
    const first = await rest.call('PUT', `${UPSTREAM}/files`, upstream('files'), key);
    await rest.call('DELETE', `${UPSTREAM}/files`);
    const again = await rest.call('PUT', `${UPSTREAM}/files`, upstream('files'), key);
    expect(again.body).toEqual(first.body);
    expect(again.headers.get('etag')).toBe('"1"');
    expect(cluster.head.revision).toBe(2);
    const byGrpc = await grpc.call(ConfigurationService, 'putResource', {
      kind: ResourceKind.UPSTREAM,
      name: 'files',
      resource: {
        spec: {
          case: 'upstream',
          value: {
            name: 'files',
            transport: { case: 'http', value: { url: 'https://files.example.com/mcp' } },
          },
        },
      },
      options: { idempotencyKey: 'k1', wait: 'any', deadline: { seconds: 0n } },
    });
    expect(byGrpc).toMatchObject({ revision: 1n, etag: '1', convergence: { reached: false } });
  });

  it('that belongs to another request is refused, and to another caller is another key', async () => {
    const key = { 'idempotency-key': 'k1' };
    await rest.call('PUT', `${UPSTREAM}/files`, upstream('files'), key);
    expect(await rest.call('PUT', `${UPSTREAM}/docs`, upstream('docs'), key)).toMatchObject({
      status: 422,
      body: { reason: 'IDEMPOTENCY_KEY_REUSED', metadata: { revision: '1' } },
    });
    expect((await rest.call('DELETE', `${UPSTREAM}/files`, undefined, key)).status).toBe(422);
    const otto = new RestCaller(cluster.url, TOKENS.operator);
    expect((await otto.call('PUT', `${UPSTREAM}/docs`, upstream('docs'), key)).body.revision).toBe('2');
    expect(
      (await rest.call('PUT', `${UPSTREAM}/files`, upstream('files'), { 'idempotency-key': 'k'.repeat(256) }))
        .status,
    ).toBe(400);
  });

  it('makes one revision of many calls at once', async () => {
    const key = { 'idempotency-key': 'k1' };
    const calls = Array.from({ length: 20 }, () =>
      rest.call('PUT', `${UPSTREAM}/files`, upstream('files'), key),
    );
    const answers = await Promise.all(calls);
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(cluster.head.revision).toBe(1);
  });

  it('does not depend on the order of labels', async () => {
    const options = { idempotencyKey: 'k1' };
    const labelled = (labels: Record<string, string>) =>
      grpc.call(ConfigurationService, 'apply', { resources: [{ ...resource('ann'), labels }], options });
    const first = await labelled({ a: '1', b: '2' });
    expect((await labelled({ b: '2', a: '1' })).revision).toBe(first.revision);
  });
});

describe('an apply', () => {
  it('makes many changes in one revision, and removes within its scope only', async () => {
    const labels = { team: 'search' };
    await rest.call('POST', '/api/v1/apply', {
      resources: [
        { labels, ...consumer('ann') },
        { labels, ...consumer('bob') },
        { labels, ...upstream('files') },
        tenant('acme'),
        { tenant: 'acme', labels, ...consumer('cleo') },
        consumer('dora'),
      ],
    });
    const { body } = await rest.call('POST', '/api/v1/apply', {
      resources: [
        { labels, ...consumer('ann') },
        { labels, ...consumer('eve') },
      ],
      prune: { tenants: [''], kinds: ['RESOURCE_KIND_CONSUMER'], labels },
    });
    expect(body.revision).toBe('2');
    expect(body.changes.map(({ key }: { key: { name: string } }) => key.name)).toEqual(['bob', 'eve']);
    expect(cluster.head.state.size).toBe(6);
  });

  it('names what comes twice, what is nothing, and a prune of nobody', async () => {
    const problem = async (body: object) => (await rest.call('POST', '/api/v1/apply', body)).body.violations;
    expect(await problem({ resources: [consumer('ann'), consumer('ann')] })).toEqual([
      { field: 'resources[1]', description: 'is consumer/ann, which resources[0] is too' },
    ]);
    expect(await problem({ resources: [{}] })).toMatchObject([{ field: 'resources[0]' }]);
    expect(await problem({ prune: {} })).toMatchObject([{ field: 'prune.tenants' }]);
    const ann = { kind: 'RESOURCE_KIND_CONSUMER', name: 'ann' };
    expect(await problem({ resources: [consumer('ann')], remove: [ann] })).toEqual([
      { field: 'remove[0]', description: 'is consumer/ann, which resources[0] is too' },
    ]);
    expect(await problem({ remove: [{ name: 'ann' }] })).toMatchObject([{ field: 'remove[0].kind' }]);
  });
});

describe('history', () => {
  beforeEach(async () => {
    await rest.call('PUT', '/api/v1/resources/consumer/ann', consumer('ann'));
    await rest.call('PUT', '/api/v1/resources/consumer/bob', consumer('bob'));
    await rest.call('PUT', '/api/v1/resources/consumer/ann', consumer('ann', { scopes: ['a'] }));
    await new RestCaller(cluster.url, TOKENS.operator).call('DELETE', '/api/v1/resources/consumer/bob');
  });

  it('is listed newest first, in pages, and by what was changed and by whom', async () => {
    const numbers = async (query: string) => {
      const { body } = await rest.call('GET', `/api/v1/revisions${query}`);
      return [
        body.revisions.map(({ number }: { number: string }) => Number(number)),
        body.next_page_token ?? '',
      ];
    };
    const [first, token] = await numbers('?page_size=3');
    expect(first).toEqual([4, 3, 2]);
    expect(await numbers(`?page_size=3&page_token=${token}`)).toEqual([[1], '']);
    expect(await numbers('?name=bob')).toEqual([[4, 2], '']);
    expect(await numbers('?author=token/otto')).toEqual([[4], '']);
    expect(await numbers('?kind=upstream')).toEqual([[], '']);
    const { body } = await rest.call('GET', '/api/v1/revisions?name=bob');
    expect(body.revisions).toMatchObject([{ deleted: 1 }, { created: 1 }]);
  });

  it('differs as a diff says, in both directions', async () => {
    const { body } = await rest.call('GET', '/api/v1/diff?from=1&to=4');
    expect(body.changes).toMatchObject([{ key: { name: 'ann' }, after: { consumer: { scopes: ['a'] } } }]);
    const back = await rest.call('GET', '/api/v1/diff?from=4&to=1');
    expect(back.body.changes[0].before).toEqual(body.changes[0].after);
    expect((await rest.call('GET', '/api/v1/diff')).body).toMatchObject({ from: '3', to: '4' });
    expect((await rest.call('GET', '/api/v1/diff?from=1&to=9')).body.reason).toBe('REVISION_UNKNOWN');
  });

  it('can be gone back to, as a new revision', async () => {
    const { body } = await rest.call('POST', '/api/v1/rollback', { revision: '2' });
    expect(body).toMatchObject({
      revision: '5',
      changes: [{ key: { name: 'ann' } }, { key: { name: 'bob' } }],
    });
    expect((await rest.call('GET', '/api/v1/diff?from=2&to=5')).body.changes).toMatchObject([{}, {}]);
    const { body: made } = await rest.call('GET', '/api/v1/revisions/5');
    expect(made.revision.restores).toBe('2');
    expect(cluster.head.state.get('consumer//ann')?.resource).toMatchObject({
      spec: { value: { scopes: [] } },
    });
    expect((await rest.call('POST', '/api/v1/rollback', { revision: '77' })).status).toBe(404);
    expect((await rest.call('POST', '/api/v1/rollback', {})).status).toBe(400);
  });

  it('is kept by an export, which brings everything back elsewhere', async () => {
    const { body: backup } = await rest.call('GET', '/api/v1/export?revision=3');
    const other = await startAdminCluster();
    try {
      const there = new RestCaller(other.url, TOKENS.admin);
      await there.call('PUT', '/api/v1/resources/consumer/zoe', consumer('zoe'));
      const { body } = await there.call('POST', '/api/v1/import', backup);
      expect(body).toMatchObject({ revision: '2' });
      const names = (state: typeof other.head.state) => [...state.entries()].map(({ key }) => key).sort();
      expect(names(other.head.state)).toEqual(['consumer//ann', 'consumer//bob']);
      backup.checkpoint.resources.pop();
      expect((await there.call('POST', '/api/v1/import', backup)).body.violations[0].field).toBe(
        'checkpoint.digest',
      );
    } finally {
      await other.close();
    }
  });
});

describe('a list', () => {
  beforeEach(async () => {
    await rest.call('POST', '/api/v1/apply', {
      resources: [
        tenant('acme'),
        tenant('globex'),
        { region: { name: 'eu' } },
        upstream('files'),
        { tenant: 'acme', ...upstream('files-acme'), regions: ['eu'] },
        { tenant: 'globex', ...upstream('files-globex') },
        { ...consumer('ann'), labels: { team: 'search' } },
        { ...consumer('bob'), labels: { team: 'storage' } },
      ],
    });
  });
  const names = (body: { resources: Record<string, { name: string }>[] }) =>
    body.resources.map((each) => (each.upstream ?? each.consumer ?? each.tenant_spec)?.name);

  it('is filtered, paged and of a revision', async () => {
    const list = async (query: string) => names((await rest.call('GET', `/api/v1/resources?${query}`)).body);
    expect(await list('kind=consumer')).toEqual(['ann', 'bob']);
    expect(await list('tenant=acme')).toEqual(['files-acme']);
    expect(await list('filter=name%3Dfiles*')).toEqual(['files', 'files-acme', 'files-globex']);
    expect(await list('filter=label.team%3Dse*,name%3Da*')).toEqual(['ann']);
    expect(await list('filter=region%3Dus%2Cname%3Dfiles*&kind=upstream')).toEqual(['files', 'files-globex']);
    expect(await list('revision=1&kind=upstream')).toHaveLength(3);
    const pages: unknown[] = [];
    let token = '';
    do {
      const { body } = await rest.call(
        'GET',
        `/api/v1/resources?page_size=2&filter=name%3D*l*&page_token=${token}`,
      );
      pages.push(...names(body));
      token = body.next_page_token ?? '';
    } while (token !== '');
    expect(pages).toEqual(['files', 'files-acme', 'files-globex', 'globex']);
    const problem = async (query: string) =>
      (await rest.call('GET', `/api/v1/resources?${query}`)).body.violations?.[0].field;
    expect(await problem('filter=colour%3Dred')).toBe('filter');
    expect(await problem('page_size=1001')).toBe('page_size');
    expect(await problem('page_token=%21')).toBe('page_token');
    expect(await problem('kind=nothing')).toBe('kind');
    expect(await problem('colour=red')).toBe('colour');
  });

  it('shows what concerns the caller', async () => {
    expect(names((await acme.call('GET', '/api/v1/resources?kind=upstream')).body)).toEqual([
      'files',
      'files-acme',
    ]);
    const { body } = await acme.call('GET', '/api/v1/revisions/1');
    expect(JSON.stringify(body)).not.toContain('globex');
  });
});

describe('a change that is waited for', () => {
  it('says who is behind at the deadline, and is answered as soon as all run it', async () => {
    cluster.join('n1', 'eu');
    cluster.join('n2', 'us');
    const late = await rest.call('PUT', `${UPSTREAM}/files?wait=all&deadline=0.05s`, upstream('files'));
    expect(late.body.convergence).toMatchObject({
      revision: '1',
      concerned: 2,
      behind: [{ node: 'n1' }, { node: 'n2' }],
    });
    const waiting = rest.call('PUT', `${UPSTREAM}/docs?wait=region:eu&deadline=60s`, upstream('docs'));
    await expect.poll(() => cluster.head.revision, { timeout: 10_000 }).toBe(2);
    cluster.runs('n1');
    expect((await waiting).body.convergence).toMatchObject({ reached: true, active: 1, concerned: 1 });
    cluster.refuses('n2', 2, 'no such file');
    const { body } = await rest.call('GET', '/api/v1/revisions/2/convergence?wait=all&deadline=60s');
    expect(body.convergence.behind).toMatchObject([{ node: 'n2', rejection: 'no such file' }]);
    const half = await rest.call('GET', '/api/v1/revisions/0/convergence?wait=50%25');
    expect(half.body.convergence.reached).toBe(true);
    for (const query of ['wait=some', 'wait=0%25', 'deadline=601s', 'deadline=-1s', 'wait=none'])
      expect((await rest.call('GET', `/api/v1/revisions/1/convergence?${query}`)).status).toBe(400);
    expect((await rest.call('GET', '/api/v1/revisions/9/convergence')).status).toBe(404);
  });

  it('refuses a wait that is none before it changes anything', async () => {
    expect((await rest.call('PUT', `${UPSTREAM}/files?wait=most`, upstream('files'))).status).toBe(400);
    expect(cluster.head.revision).toBe(0);
  });
});

describe('a store that is away', () => {
  it('is said with 503, and reads go on', async () => {
    await rest.call('PUT', `${UPSTREAM}/files`, upstream('files'));
    const away = () => Promise.reject(new StoreUnavailableError('etcd at 10.0.0.1 does not answer'));
    Object.assign(cluster.log, { append: away, history: away });
    const answer = await rest.call('PUT', `${UPSTREAM}/docs`, upstream('docs'));
    expect(answer).toMatchObject({ status: 503, body: { reason: 'STORE_UNAVAILABLE' } });
    expect(JSON.stringify(answer.body)).not.toContain('10.0.0.1');
    expect(answer.headers.get('retry-after')).toBe('1');
    const refused = await grpc
      .call(ConfigurationService, 'apply', { resources: [resource('a')] })
      .catch(statusOf);
    expect(refused).toMatchObject({ code: 14, info: { reason: 'STORE_UNAVAILABLE' } });
    expect((await rest.call('GET', `${UPSTREAM}/files`)).status).toBe(200);
    expect(cluster.failures.splice(0)).toHaveLength(2);
  });
});
