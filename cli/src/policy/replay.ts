/** `sluice policy replay`: decides recorded requests by the rules of a configuration, and says which decisions change. */
import { builtIn } from '@sluice/plugins';
import { openForReading, recordsOf, type StoredRecord } from '@sluice/plugins/audit';
import type { ResolvedPlugin } from '@sluice/proto';
import type { JsonObject, Plugin, TargetKind } from '@sluice/sdk';
import type { TestGateway } from '@sluice/sdk/testing';
import { timeOf } from '../audit/flags.js';
import { EXIT } from '../exit-codes.js';
import type { Output } from '../health.js';
import { alignColumns, palette, printable, usesColour } from '../terminal.js';
import { Unusable } from '../unusable.js';
import { type CaseRequest, placesOf, policyOf, tellingUnusable } from './cases.js';
import type { ReplayFlags } from './policy-command-line.js';
import { call, type Decided, decidedBy, gatewayOf } from './run-cases.js';

/** What records hold of each request, by the names of attributes. */
const RECORDED = [
  'arguments',
  'client.name',
  'client.version',
  'endpoint',
  'method',
  'principal.consumer',
  'principal.id',
  'principal.scopes',
  'principal.tenant',
  'remark',
  'revision',
  'session',
  'target',
  'targetOf',
  'targets',
];
/** What is read to ask a person, and decides nothing. */
const FOR_ASKING = ['ask', 'signal'];
const TOKEN = '[redacted:';

/** A request of which it is known what was decided, and what would be. */
interface Replayed {
  readonly record: StoredRecord;
  readonly before: Decided['outcome'];
  readonly after: Decided;
  /** Why the rules may have seen something else then. */
  readonly doubt: string | undefined;
}

interface Counts {
  replayed: number;
  /** By others than the policy, so that it is not known whether it was asked. */
  othersRefused: number;
  /** Of which too little was kept. */
  unknown: number;
}

/** @returns the exit code */
export function replay(
  named: string | undefined,
  flags: ReplayFlags,
  { out, err, nowMs }: { readonly out: Output; readonly err: Output; readonly nowMs: number },
): Promise<number> {
  return tellingUnusable(err, async () => {
    const policy = await policyOf(placesOf(named).config, flags.plugin);
    const reads = readsOf(policy);
    const counts: Counts = { replayed: 0, othersRefused: 0, unknown: 0 };
    const changed: Replayed[] = [];
    for await (const each of replayed(policy, reads, flags, nowMs, counts))
      if (each.before !== each.after.outcome && !isUnanswered(each)) changed.push(each);
    print(changed, counts, out, flags.output);
    const missing = reads
      .flatMap((name) => (name === 'client' ? ['client.capabilities'] : [name]))
      .filter((name) => !isRecorded(name) && !FOR_ASKING.includes(name));
    if (missing.length > 0)
      err.write(
        `records do not hold ${missing.join(', ')}: rules that read it were decided as for a caller without it\n`,
      );
    return EXIT.ok;
  });
}

function readsOf({ name, config }: ResolvedPlugin): readonly string[] {
  const plugin = builtIn('policy') as Plugin;
  const checked = plugin.checked(structuredClone(config));
  if (!checked.ok)
    throw new Unusable(`${name}: ${checked.problems[0]?.path} ${checked.problems[0]?.message}`);
  return plugin.reads(checked.config);
}

function isRecorded(name: string): boolean {
  return RECORDED.some((each) => name === each || name.startsWith(`${each}.`));
}

async function* replayed(
  policy: ResolvedPlugin,
  reads: readonly string[],
  { file, since, until }: ReplayFlags,
  nowMs: number,
  counts: Counts,
): AsyncGenerator<Replayed> {
  const readsArguments = reads.some(
    (name) => name === 'arguments' || name === 'params' || name === 'paramsJson',
  );
  const filter = { sinceMs: timeOf('--since', since, nowMs), untilMs: timeOf('--until', until, nowMs) };
  const database = opened(file);
  let gateway: TestGateway | undefined;
  try {
    for (const record of recordsOf(database, filter)) {
      const { open } = record;
      if (open !== undefined && open.kind !== 'exchange') continue;
      const request = requestOf(record);
      if (request === undefined || (readsArguments && lacksArguments(record))) {
        counts.unknown++;
        continue;
      }
      const before = beforeOf(record, policy.name);
      gateway ??= gatewayOf(policy, { name: '', after: [], request, person: 'accept', expect: 'allow' });
      // Also what others refused counts for a session, if rules let it pass.
      const after = decidedBy(await call(gateway, request));
      if (before === undefined) {
        counts.othersRefused++;
        continue;
      }
      counts.replayed++;
      const isRedacted = readsArguments && JSON.stringify(request.arguments ?? {}).includes(TOKEN);
      yield { record, before, after, doubt: isRedacted ? 'redacted arguments' : undefined };
    }
  } finally {
    database.close();
    await gateway?.close();
  }
}

function opened(file: string) {
  try {
    return openForReading(file);
  } catch (thrown) {
    throw new Unusable((thrown as Error).message, EXIT.unexpected);
  }
}

function lacksArguments({ open, personal }: StoredRecord): boolean {
  const isOfTool = (open?.target as { kind?: string } | undefined)?.kind === 'tool';
  return isOfTool && personal?.arguments === undefined && hasLeftOut(personal);
}

/** A call without arguments is one, too; where they are kept in another way it is not known. */
function hasLeftOut(personal: JsonObject | undefined): boolean {
  return personal?.arguments_digest !== undefined || personal?.arguments_left_out !== undefined;
}

/** Undefined where too little was kept, or the request is about several things. */
function requestOf({ timeMs, open, personal }: StoredRecord): CaseRequest | undefined {
  if (open === undefined || personal === undefined || open.others !== undefined) return undefined;
  const { target, upstream, method, endpoint, tenant } = open;
  const { principal, consumer, scopes, client, session } = personal;
  const named = target as { kind: TargetKind; name: string } | undefined;
  const client_ = client as { name?: string; version?: string } | undefined;
  return {
    ...(named && { [named.kind]: `${upstream}:${named.name}` }),
    method: String(method),
    ...(personal.arguments !== undefined && { arguments: personal.arguments as JsonObject }),
    principal: {
      id: String(principal ?? 'anonymous'),
      ...(consumer !== undefined && { consumer: String(consumer) }),
      ...(tenant !== undefined && { tenant: String(tenant) }),
      scopes: (scopes as string[] | undefined) ?? [],
      claims: (personal.claims as JsonObject | undefined) ?? {},
    },
    ...(client_ && { client: client_ }),
    ...(session !== undefined && { session: String(session) }),
    endpoint: String(endpoint),
    at: new Date(timeMs).toISOString(),
  };
}

/** Undefined where somebody else refused. */
function beforeOf({ open }: StoredRecord, policy: string): Decided['outcome'] | undefined {
  const { outcome, decision, decided_by } = open as JsonObject;
  if (outcome === 'refused' && decided_by !== policy) return undefined;
  if (decision === 'deny') return 'deny';
  return decision === 'ask' || decision === 'approved' || decision === 'declined' ? 'ask' : 'allow';
}

/**
 * The policy wanted to ask then, too, and got no answer that counts: the client could not be asked, or came with an
 * approval that was used or was not its own. The rule that asks did not change.
 */
function isUnanswered({ record: { open }, before, after }: Replayed): boolean {
  const isOfThatRule = open?.rule === undefined || open.rule === after.rule;
  return before === 'deny' && after.outcome === 'ask' && isOfThatRule;
}

function print(
  changed: readonly Replayed[],
  { replayed: count, othersRefused, unknown }: Counts,
  out: Output,
  output: ReplayFlags['output'],
): void {
  if (output === 'jsonl') {
    for (const { record, before, after, doubt } of changed)
      out.write(
        `${JSON.stringify({ seq: record.seq, before, after: after.outcome, rule: after.rule, reason: after.reason, doubt })}\n`,
      );
    return;
  }
  const paint = palette(usesColour(out));
  if (changed.length > 0) {
    const [head = '', ...rows] = alignColumns([
      ['RECORD', 'TIME', 'PRINCIPAL', 'WHAT', 'WAS', 'WOULD BE', ''],
      ...changed.map(rowOf),
    ]);
    out.write([paint.dim(head), ...rows].map((line) => `${line}\n`).join(''));
  }
  out.write(`${changed.length} of ${count} decisions would change\n`);
  if (othersRefused > 0) out.write(`${othersRefused} requests were refused by others than the policy\n`);
  if (unknown > 0)
    out.write(
      `${unknown} requests cannot be replayed: too little of them was recorded, or they name several things\n`,
    );
}

function rowOf({ record, before, after, doubt }: Replayed): string[] {
  const { open, personal, seq, timeMs } = record;
  const name = (open?.target as { name?: string } | undefined)?.name;
  const what = name === undefined ? String(open?.method) : `${open?.upstream}:${name}`;
  return [
    String(seq),
    new Date(timeMs).toISOString(),
    String(personal?.principal ?? '-'),
    printable(what),
    before,
    `${after.outcome} (${after.rule})`,
    doubt === undefined ? '' : `with ${doubt}`,
  ];
}
