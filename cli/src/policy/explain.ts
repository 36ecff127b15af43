/** `sluice policy explain`: what each rule says of one request, and why. */
import { builtIn } from '@sluice/plugins';
import {
  type ExplainedReading,
  type ExplainedRequest,
  type ExplainedRule,
  explainPolicy,
  type Said,
} from '@sluice/plugins/policy';
import type { ResolvedPlugin } from '@sluice/proto';
import { type JsonObject, type Plugin, Refusal } from '@sluice/sdk';
import { EXIT } from '../exit-codes.js';
import type { Output } from '../health.js';
import { type Palette, palette, usesColour } from '../terminal.js';
import { Unusable, WrongUsage } from '../unusable.js';
import { type PolicyCase, placesOf, policyOf, readCases, requestOf, tellingUnusable } from './cases.js';
import { opaHost } from './opa-host.js';
import type { ExplainFlags } from './policy-command-line.js';
import { call, earlier, gatewayOf, methodOf, targetOf } from './run-cases.js';

const MAX_VALUE_LENGTH = 120;

/** @returns the exit code */
export function explain(
  named: string | undefined,
  flags: ExplainFlags,
  out: Output,
  err: Output,
): Promise<number> {
  return tellingUnusable(err, async () => {
    const places = placesOf(named);
    const { plugin, policyCase } = caseOf(places.cases, flags);
    const policy = await policyOf(places.config, plugin);
    const request = await explainedRequest(policy, policyCase);
    const checked = (builtIn('policy') as Plugin).checked(structuredClone(policy.config));
    if (!checked.ok) throw new Unusable(`${policy.name}: ${checked.problems[0]?.message}`);
    type Checked = Parameters<typeof explainPolicy>[0];
    const explanation = await explainPolicy(checked.config as Checked, request, opaHost(err));
    const paint = palette(usesColour(out));
    if (explanation instanceof Refusal) {
      out.write(`${paint.red('denied')}, whatever rules say: ${explanation.message}\n`);
      return EXIT.ok;
    }
    for (const reading of explanation.readings) out.write(readingText(reading, paint));
    if (request.target !== undefined)
      out.write(`lists ${explanation.isListed ? 'show it' : 'do not show it'} to this caller\n`);
    return EXIT.ok;
  });
}

function caseOf(file: string, flags: ExplainFlags): { plugin: string | undefined; policyCase: PolicyCase } {
  if (flags.request !== undefined) {
    const request = requestOf(flags.request);
    return {
      plugin: flags.plugin,
      policyCase: { name: 'it', after: [], person: 'accept', expect: 'allow', request },
    };
  }
  if (flags.case === undefined) throw new WrongUsage('give a request with --request, or a case with --case');
  const { plugin, cases } = readCases(file);
  const policyCase = cases.find(({ name }) => name === flags.case);
  if (policyCase === undefined) {
    const names = cases.map(({ name }) => `  ${name}`).join('\n');
    throw new WrongUsage(`${file} has no case ${JSON.stringify(flags.case)}; it has\n${names}`);
  }
  return { plugin: flags.plugin ?? plugin, policyCase };
}

/** What came before is run, so that the counters are those that the request meets. */
async function explainedRequest(policy: ResolvedPlugin, policyCase: PolicyCase): Promise<ExplainedRequest> {
  const { request, after } = policyCase;
  const gateway = gatewayOf(policy, policyCase);
  const rules: Record<string, number> = {};
  const tools = new Set<string>();
  let count = 0;
  for (const each of earlier(after)) {
    const { outcome, remarks } = await call(gateway, each);
    if (outcome.refusal !== undefined) continue;
    count++;
    if (each.tool !== undefined) tools.add(each.tool);
    for (const { rule, isEnforced } of remarks.slice(-1))
      if (rule !== undefined && isEnforced !== false) rules[rule] = (rules[rule] ?? 0) + 1;
  }
  await gateway.close();
  const { principal, client, headers, session, endpoint, at } = request;
  return {
    method: methodOf(request),
    target: targetOf(request),
    arguments: request.arguments as JsonObject | undefined,
    principal: { id: 'anonymous', scopes: [], ...principal, claims: (principal?.claims ?? {}) as JsonObject },
    client: (client ?? {}) as JsonObject,
    headers: headers ?? {},
    session,
    endpoint: endpoint ?? '/mcp',
    revision: '2026-07-28',
    atMs: at === undefined ? gateway.clock.now() : Date.parse(at),
    uses: { count, tools: [...tools], rules },
  };
}

function readingText({ method, target, rules, outcome, rule }: ExplainedReading, paint: Palette): string {
  const what = target === undefined ? '' : ` ${target.kind} ${target.upstream}:${target.name}`;
  const end = { allow: paint.green, deny: paint.red, ask: paint.yellow }[outcome];
  return [
    paint.bold(`${method}${what}`),
    ...rules.flatMap((each) => ruleLines(each, paint)),
    `${end(outcome)} by ${rule}`,
    '',
  ].join('\n');
}

const MARKS: Readonly<Record<Said, string>> = {
  true: '✓',
  false: '✗',
  'no value': '!',
  'not known yet': '?',
};

function ruleLines(
  { id, outcome, isEnforced, isFor, said, parts, reason, decides }: ExplainedRule,
  paint: Palette,
) {
  const tried = isEnforced ? '' : ', only tried';
  const why = isFor ? '' : paint.dim(' (for other methods or targets)');
  const lines = [
    `  ${MARKS[said]} ${id}: ${outcome}${tried}${why}${decides ? paint.bold(' ← decides') : ''}`,
  ];
  for (const part of parts) {
    lines.push(`      ${MARKS[part.said]} ${part.text}`);
    for (const [path, value] of part.values) lines.push(paint.dim(`          ${path} = ${shown(value)}`));
  }
  if (reason !== undefined && decides) lines.push(`      reason: ${reason}`);
  return lines;
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_VALUE_LENGTH ? `${text.slice(0, MAX_VALUE_LENGTH)}…` : text;
}
