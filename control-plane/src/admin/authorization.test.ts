import { readFileSync, writeFileSync } from 'node:fs';
import { type DescMethod, getOption, toJson } from '@bufbuild/protobuf';
import { Role, rest as restOption } from '@sluice/proto/admin';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type AdminCluster,
  GrpcCaller,
  RestCaller,
  startAdminCluster,
  statusOf,
  TOKENS,
} from '../../test/admin-cluster.js';
import { type AuthorizationCase, casesOf, STORED } from '../../test/authorization-cases.js';
import { authorizationPage, type Outcome, type Tried } from '../../test/authorization-page.js';
import { httpRequestOf } from '../../test/rest-of-message.js';
import { ADMIN_SERVICES } from './services/services.js';

const PAGE = new URL('../../../docs/reference/admin-authorization.md', import.meta.url);

const CALLERS = [
  { title: 'admin', token: TOKENS.admin, role: Role.ADMIN, isLimited: false },
  { title: 'operator', token: TOKENS.operator, role: Role.OPERATOR, isLimited: false },
  { title: 'operator with tenants', token: TOKENS.acmeOperator, role: Role.OPERATOR, isLimited: true },
  { title: 'viewer', token: TOKENS.viewer, role: Role.VIEWER, isLimited: false },
  { title: 'viewer with tenants', token: TOKENS.acmeViewer, role: Role.VIEWER, isLimited: true },
  { title: 'unknown token', token: 'x'.repeat(40), role: Role.UNSPECIFIED, isLimited: true },
  { title: 'nobody', token: undefined, role: Role.UNSPECIFIED, isLimited: true },
];
const METHODS = ADMIN_SERVICES.flatMap((service): readonly DescMethod[] => service.methods);

let cluster: AdminCluster;
let grpc: GrpcCaller[];
let rest: RestCaller[];

beforeAll(async () => {
  cluster = await startAdminCluster();
  for (const resource of STORED)
    await cluster.head.commit({
      author: 'test',
      message: '',
      plan: async () => ({ changed: [resource], removed: [] }),
    });
  cluster.join('n1', 'eu', true);
  for (let revision = 1; revision <= STORED.length; revision++) cluster.runs('n1');
  grpc = CALLERS.map(({ token }) => new GrpcCaller(`127.0.0.1:${cluster.api.port}`, token));
  rest = CALLERS.map(({ token }) => new RestCaller(cluster.url, token));
});
afterAll(async () => {
  for (const caller of grpc) caller.close();
  await cluster.close();
});

async function overGrpc(
  caller: GrpcCaller,
  { parent, localName, output }: DescMethod,
  { request, shows }: AuthorizationCase,
) {
  return caller.call(parent, localName, request).then(
    (answer) => seen(JSON.stringify(toJson(output, answer)), shows),
    (error: unknown): Outcome => statusOf(error).info?.reason ?? `no reason: ${error}`,
  );
}

async function overRest(caller: RestCaller, method: DescMethod, { request, shows }: AuthorizationCase) {
  const { method: verb, path, body } = httpRequestOf(method, request);
  const answer = await caller.call(verb, path, body);
  return answer.status === 200 ? seen(JSON.stringify(answer.body), shows) : (answer.body.reason as Outcome);
}

function seen(answer: string, shows: string | undefined): Outcome {
  return shows === undefined || answer.includes(shows) ? 'yes' : 'left out';
}

describe.each(METHODS.map((method) => [`${method.parent.name}.${method.name}`, method] as const))(
  '%s',
  (_, method) => {
    const tries = casesOf(method);
    const { role: wanted } = getOption(method, restOption);

    it.each(tries)('about $about is the same over gRPC and REST', async (each) => {
      for (const index of CALLERS.keys())
        expect(await overRest(rest[index] as RestCaller, method, each)).toBe(
          await overGrpc(grpc[index] as GrpcCaller, method, each),
        );
    });

    it('is refused to whoever is nobody, or of a role that is too low', async () => {
      for (const each of tries)
        for (const [index, { role }] of CALLERS.entries()) {
          const outcome = await overGrpc(grpc[index] as GrpcCaller, method, each);
          if (role === Role.UNSPECIFIED) expect(outcome).toBe('UNAUTHENTICATED');
          else if (role < wanted) expect(outcome).toBe('ROLE_TOO_LOW');
          else expect(outcome).not.toBe('ROLE_TOO_LOW');
        }
    });

    it('never shows or changes what is of a foreign tenant', async () => {
      for (const each of tries.filter(({ about }) => about.includes('foreign tenant')))
        for (const [index, { isLimited }] of CALLERS.entries())
          if (isLimited) expect(await overGrpc(grpc[index] as GrpcCaller, method, each)).not.toBe('yes');
    });
  },
);

it('docs/reference/admin-authorization.md says what was seen (else run SLUICE_UPDATE_DOCS=1 npm test -- authorization)', async () => {
  const tried: Tried[] = [];
  for (const method of METHODS)
    for (const each of casesOf(method)) {
      const outcomes = await Promise.all(grpc.map((caller) => overGrpc(caller, method, each)));
      tried.push({ method, about: each.about, outcomes });
    }
  const page = authorizationPage(
    CALLERS.map(({ title }) => title),
    tried,
  );
  if (process.env.SLUICE_UPDATE_DOCS) writeFileSync(PAGE, page);
  expect(readFileSync(PAGE, 'utf8')).toBe(page);
});
