/* Every method, as it is described: the same over gRPC and REST, in the form of the OpenAPI document, without secrets. */
import { readFileSync } from 'node:fs';
import { type DescMethod, equals, fromJson, getOption, type JsonValue, toJson } from '@bufbuild/protobuf';
import { rest as restOption } from '@sluice/proto/admin';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type AdminCluster,
  GrpcCaller,
  RestCaller,
  startAdminCluster,
  TOKENS,
} from '../../test/admin-cluster.js';
import { casesOf, STORED } from '../../test/authorization-cases.js';
import { httpRequestOf } from '../../test/rest-of-message.js';
import { ADMIN_SERVICES } from './services/services.js';

const METHODS = ADMIN_SERVICES.flatMap((service): readonly DescMethod[] => service.methods);
const DOCUMENT = JSON.parse(readFileSync(new URL('../../gen/openapi.json', import.meta.url), 'utf8'));

const ajv = new Ajv2020({ strict: false, validateSchema: false, formats: { uri: true, 'date-time': true } });
ajv.addSchema(DOCUMENT, 'openapi');

/** What is wrong with an answer that is described by this schema of the document. */
function faults(schema: string, value: unknown): unknown {
  const check = ajv.getSchema(`openapi#/components/schemas/${schema}`);
  if (check === undefined) throw new TypeError(`the document has no schema ${schema}`);
  return check(value) ? undefined : check.errors;
}

let cluster: AdminCluster;
let rest: RestCaller;
let grpc: GrpcCaller;

beforeEach(async () => {
  cluster = await startAdminCluster({
    catalogue: [
      {
        $typeName: 'sluice.admin.v1.PluginDescription',
        name: 'p',
        summary: 's',
        phase: 'auth',
        configSchemaJson: '{}',
      },
    ],
  });
  rest = new RestCaller(cluster.url, TOKENS.admin);
  grpc = new GrpcCaller(`127.0.0.1:${cluster.api.port}`, TOKENS.admin);
  cluster.join('n1', 'eu', true);
});
afterEach(async () => {
  grpc.close();
  await cluster.close();
});

describe('the description in OpenAPI', () => {
  it('is served to everybody', async () => {
    expect((await new RestCaller(cluster.url).call('GET', '/api/v1/openapi.json')).body).toEqual(DOCUMENT);
  });

  it('holds together', () => {
    const text = JSON.stringify(DOCUMENT);
    for (const [, name] of text.matchAll(/"\$ref":"#\/components\/(?:schemas|responses)\/(\w+)"/g))
      expect({ ...DOCUMENT.components.schemas, ...DOCUMENT.components.responses }).toHaveProperty(
        name as string,
      );
    const meta = new Ajv2020({ strict: false });
    for (const schema of Object.values(DOCUMENT.components.schemas))
      expect(meta.validateSchema(schema as object), JSON.stringify(meta.errors)).toBe(true);
    const operations = Object.entries<
      Record<string, { operationId: string; parameters: { in: string; name: string }[] }>
    >(DOCUMENT.paths).flatMap(([path, verbs]) =>
      Object.entries(verbs).map(([verb, operation]) => ({ path, verb, operation })),
    );
    expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(METHODS.length);
    for (const { path, operation } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = operation.parameters.filter((each) => each.in === 'path').map(({ name }) => name);
      expect(declared).toEqual(inPath);
    }
    for (const method of METHODS) {
      const { path, method: verb } = getOption(method, restOption);
      expect(DOCUMENT.paths[path][verb.toLowerCase()].summary).not.toBe('');
    }
  });

  it('has the form of failures', async () => {
    const failing: [string, string, unknown?][] = [
      ['GET', '/api/v1/resources/upstream/none'],
      ['GET', '/nothing'],
      ['PUT', '/api/v1/resources'],
      ['POST', '/api/v1/apply', { resources: [{ upstream: { name: '!' } }] }],
      [
        'POST',
        '/api/v1/apply',
        { options: { expected_revision: '9' }, resources: [{ consumer: { name: 'a' } }] },
      ],
      ['GET', '/api/v1/resources?page_size=2000'],
    ];
    for (const [verb, path, body] of failing) {
      const answer = await rest.call(verb, path, body);
      expect(answer.status).toBe(answer.body.status);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(faults('Problem', answer.body), path).toBeUndefined();
    }
  });
});

describe.each(METHODS.map((method) => [`${method.parent.name}.${method.name}`, method] as const))(
  '%s',
  (_, method) => {
    it('answers the same over gRPC and REST, as it is described', async () => {
      for (const resource of STORED)
        await cluster.head.commit({
          author: 'test',
          message: 'm',
          plan: async () => ({ changed: [resource], removed: [] }),
        });
      cluster.runs('n1');
      for (const { request, about } of casesOf(method)) {
        const byGrpc = await grpc.call(method.parent, method.localName, request).catch(() => undefined);
        const { method: verb, path, body } = httpRequestOf(method, request);
        const byRest = await rest.call(verb, path, body);
        expect(byRest.status === 200, about).toBe(byGrpc !== undefined);
        if (byGrpc === undefined) continue;
        const read = fromJson(method.output, byRest.body as JsonValue);
        expect(
          equals(method.output, read, byGrpc),
          `${JSON.stringify(byRest.body)} and ${JSON.stringify(toJson(method.output, byGrpc))}`,
        ).toBe(true);
        expect(faults(method.output.name, byRest.body), about).toBeUndefined();
      }
    });
  },
);

describe('a secret', () => {
  const SECRET = 'S3CRETS3CRETS3CRETS3CRETS3CRETS3CRET';
  const resources = [
    { tenant_spec: { name: 'acme' } },
    { gateway: { sessions: { keys: [SECRET] } } },
    {
      upstream: {
        name: 'web',
        http: {
          url: `https://web.example.com/mcp?key=${SECRET}`,
          headers: { Authorization: `Bearer ${SECRET}` },
        },
      },
    },
    { upstream: { name: 'run', stdio: { command: 'node', args: ['x.js'], env: { KEY: SECRET } } } },
    { upstream: { name: 'open', http: { url: 'https://x.example.com/', headers: { K: '${secret:NAME}' } } } },
    { secret: { name: 'NAME', env: 'NAME' } },
    { tenant: 'acme', consumer: { name: 'ann' } },
  ];

  it('is in no answer but a backup', async () => {
    const answers: string[] = [];
    const tell = async (verb: string, path: string, body?: unknown) => {
      const answer = await rest.call(verb, path, body);
      answers.push(JSON.stringify(answer.body));
      return answer;
    };
    expect(await tell('POST', '/api/v1/apply?dry_run', { resources })).toMatchObject({ status: 200 });
    await tell('POST', '/api/v1/validate', { resources });
    expect(await tell('POST', '/api/v1/apply', { resources })).toMatchObject({ status: 200 });
    const { body } = await tell('GET', '/api/v1/resources');
    expect(body.resources).toHaveLength(resources.length);
    const late = { resources: [{ consumer: { name: 'x' } }], options: { expected_revision: '7' } };
    expect((await tell('POST', '/api/v1/apply', late)).status).toBe(409);
    for (const path of ['resources/upstream/web', 'revisions', 'revisions/1', 'diff?from=0&to=1', 'nodes'])
      expect((await tell('GET', `/api/v1/${path}`)).status).toBe(200);
    const bad = {
      upstream: { name: 'bad name', http: { url: `https://u:${SECRET}@x/`, headers: { a: `\n${SECRET}` } } },
    };
    expect((await tell('POST', '/api/v1/apply', { resources: [bad] })).status).toBe(422);
    expect((await tell('DELETE', '/api/v1/resources/upstream/web')).status).toBe(200);
    expect((await tell('POST', '/api/v1/rollback', { revision: '1' })).status).toBe(200);
    for (const answer of answers) expect(answer).not.toContain(SECRET);
    expect(answers.join()).toContain('${secret:NAME}');
    expect(JSON.stringify((await rest.call('GET', '/api/v1/export')).body)).toContain(SECRET);
  });

  it('that is sent back as its mark stays, unless it would go elsewhere', async () => {
    await rest.call('POST', '/api/v1/apply', { resources });
    const { body } = await rest.call('GET', '/api/v1/resources/upstream/web');
    const { upstream } = body.resource;
    expect(upstream.http).toEqual({
      url: 'https://web.example.com/mcp?[redacted:http.url?]',
      headers: { Authorization: '[redacted:http.headers.Authorization]' },
    });
    const put = (http: object) =>
      rest.call('PUT', '/api/v1/resources/upstream/web', { upstream: { name: 'web', http } });
    expect((await put({ ...upstream.http, max_connections: 3 })).status).toBe(200);
    const stored = cluster.head.state.get('upstream//web')?.resource;
    expect(JSON.stringify(stored?.spec.value)).toContain(`Bearer ${SECRET}`);
    for (const url of [
      'https://evil.example.com/mcp',
      'http://web.example.com/mcp',
      'https://web.example.com:8443/',
    ])
      expect((await put({ ...upstream.http, url })).body).toMatchObject({
        reason: 'INVALID_RESOURCES',
        findings: [{ field: 'http.headers.Authorization' }],
      });
    expect((await put({ ...upstream.http, url: 'https://web.example.com/other' })).status).toBe(200);
    const unknown = await put({ ...upstream.http, headers: { 'X-Key': '[redacted:http.headers.X-Key]' } });
    expect(unknown.status).toBe(422);
    const run = {
      upstream: { name: 'run', stdio: { command: 'env', env: { KEY: '[redacted:stdio.env.KEY]' } } },
    };
    expect((await rest.call('PUT', '/api/v1/resources/upstream/run', run)).status).toBe(422);
  });
});
