/** `sluice policy test`: runs cases through the plugin and the engine that a gateway runs. */
import { builtIn } from '@sluice/plugins';
import type { ResolvedPlugin } from '@sluice/proto';
import type { Identity, JsonObject, Plugin, Target, TargetKind } from '@sluice/sdk';
import { type TestGateway, type TestOutcome, type TestRequest, testPlugin } from '@sluice/sdk/testing';
import { EXIT } from '../exit-codes.js';
import type { Output } from '../health.js';
import { palette, usesColour } from '../terminal.js';
import {
  type CaseRequest,
  type PolicyCase,
  placesOf,
  policyOf,
  readCases,
  tellingUnusable,
} from './cases.js';
import { askOpa } from './opa-host.js';

const USED_BY = { tool: 'tools/call', prompt: 'prompts/get', resource: 'resources/read' } as const;
const LISTED_BY = {
  tool: { method: 'tools/list', member: 'tools', key: 'name' },
  prompt: { method: 'prompts/list', member: 'prompts', key: 'name' },
  resource: { method: 'resources/list', member: 'resources', key: 'uri' },
} as const;

/** What came out, by the words of a case. */
export interface Decided {
  readonly outcome: 'allow' | 'deny' | 'ask' | 'failed';
  readonly rule: string;
  readonly reason: string | undefined;
}

/** @returns the exit code: 1 when a case fails */
export function testPolicy(named: string | undefined, out: Output, err: Output): Promise<number> {
  return tellingUnusable(err, async () => {
    const places = placesOf(named);
    const { plugin, cases } = readCases(places.cases);
    const policy = await policyOf(places.config, plugin);
    const paint = palette(usesColour(out));
    out.write(`${paint.bold(policy.name)} of ${places.config}\n`);
    let failedCount = 0;
    for (const each of cases) {
      const problems = await problemsOf(policy, each);
      if (problems.length > 0) failedCount++;
      out.write(`  ${problems.length === 0 ? paint.green('✓') : paint.red('✗')} ${each.name}\n`);
      for (const problem of problems) out.write(`      ${problem}\n`);
    }
    const count = `${cases.length - failedCount} of ${cases.length} cases passed`;
    out.write(`${failedCount === 0 ? paint.green(count) : paint.red(count)}\n`);
    if (failedCount > 0) out.write(`sluice policy explain ${places.config} --case NAME says why\n`);
    return failedCount === 0 ? EXIT.ok : EXIT.unexpected;
  });
}

/** What differs from what a case expects; empty when nothing does. */
async function problemsOf(policy: ResolvedPlugin, policyCase: PolicyCase): Promise<readonly string[]> {
  const gateway = gatewayOf(policy, policyCase);
  try {
    return await differences(gateway, policyCase);
  } finally {
    await gateway.close();
  }
}

async function differences(
  gateway: TestGateway,
  { after, request, expect }: PolicyCase,
): Promise<readonly string[]> {
  const wanted: Exclude<PolicyCase['expect'], string> =
    typeof expect === 'string' ? { outcome: expect } : expect;
  for (const each of earlier(after)) await call(gateway, each);
  const problems: string[] = [];
  const differs = (what: string, want: unknown, got: unknown) => {
    if (want !== undefined && want !== got)
      problems.push(`${what}: expected ${String(want)}, got ${String(got ?? 'none')}`);
  };
  if (wanted.listed !== undefined) differs('listed', wanted.listed, await isListed(gateway, request));
  const got = decidedBy(await call(gateway, request));
  differs('outcome', wanted.outcome, got.outcome);
  differs('rule', wanted.rule, got.rule);
  differs('reason', wanted.reason, got.reason);
  // Which rule it was says most, also where only the outcome was asked for.
  if (problems.length > 0) problems.push(`decided: ${got.outcome} by ${got.rule}`);
  return problems;
}

/**
 * Cases are for what rules say, so a policy that is only tried is run as if it were enforced. Time begins with the first
 * request that names one.
 */
export function gatewayOf(policy: ResolvedPlugin, { after, request, person }: PolicyCase): TestGateway {
  const first = [...after, request].find(({ at }) => at !== undefined)?.at;
  const target = targetOf(request);
  return testPlugin(builtIn('policy') as Plugin, {
    config: { ...structuredClone(policy.config), mode: 'enforce' },
    person: () => ({ action: person }),
    // Pages of approvals have approved, and OPA says what it says.
    fetch: (url, options) =>
      options.method === 'POST' ? askOpa(url, options) : { status: 200, headers: {}, text: '' },
    nowMs: first === undefined ? Date.now() : Date.parse(first),
    upstream({ method }) {
      if (target === undefined || method !== LISTED_BY[target.kind].method) return {};
      const { member, key } = LISTED_BY[target.kind];
      return { [member]: [{ [key]: `${target.upstream}:${target.name}` }] };
    },
  });
}

/** Each as often as it came. */
export function* earlier(after: readonly CaseRequest[]): Generator<CaseRequest> {
  for (const each of after) for (let count = each.times ?? 1; count > 0; count--) yield each;
}

/** Time goes on to that of the request, and never back. */
export function call(gateway: TestGateway, request: CaseRequest): Promise<TestOutcome> {
  const { at } = request;
  if (at !== undefined) gateway.clock.advance(Math.max(0, Date.parse(at) - gateway.clock.now()));
  return gateway.call(testRequestOf(request));
}

function testRequestOf(request: CaseRequest): TestRequest {
  const target = targetOf(request);
  const { principal, headers, session, endpoint, client, arguments: args } = request;
  return {
    method: methodOf(request),
    ...(target && { target }),
    ...(args && { arguments: args as JsonObject }),
    ...(principal && { as: principal as Partial<Identity> }),
    ...(client && { client: client as TestRequest['client'] }),
    ...(headers && { headers }),
    ...(session !== undefined && { session }),
    ...(endpoint !== undefined && { endpoint }),
  };
}

export function targetOf(request: CaseRequest): Target | undefined {
  for (const kind of ['tool', 'prompt', 'resource'] as const) {
    const text = request[kind];
    if (text === undefined) continue;
    const colon = text.indexOf(':');
    return { kind, upstream: text.slice(0, colon), name: text.slice(colon + 1) };
  }
  return undefined;
}

export function methodOf(request: CaseRequest): string {
  const kind: TargetKind = targetOf(request)?.kind ?? 'tool';
  return request.method ?? USED_BY[kind];
}

/** By what the plugin remarked, which stands in records too. */
export function decidedBy({ outcome, remarks, asked }: TestOutcome): Decided {
  const last = remarks.filter(({ rule, isEnforced }) => rule !== undefined && isEnforced !== false).at(-1);
  const isDenied = outcome.refusal !== undefined;
  const reason = isDenied ? outcome.refusal?.message : undefined;
  const rule = last?.rule ?? 'default';
  if (asked.length > 0) return { outcome: 'ask', rule, reason };
  // Nobody could be asked, for example OPA: what becomes of it the binding says, and no rule.
  if (outcome.refusal?.kind === 'failed') return { outcome: 'failed', rule, reason };
  return { outcome: isDenied ? 'deny' : 'allow', rule, reason };
}

async function isListed(gateway: TestGateway, request: CaseRequest): Promise<boolean> {
  const target = targetOf(request);
  if (target === undefined) return false;
  const { method, member } = LISTED_BY[target.kind];
  const { target: _target, arguments: _arguments, ...caller } = testRequestOf(request);
  const { outcome } = await gateway.call({ ...caller, method });
  return ((outcome.result?.[member] ?? []) as unknown[]).length > 0;
}
