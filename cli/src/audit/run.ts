/** `sluice audit …`: what is done with a file of audit records. */
import { existsSync } from 'node:fs';
import {
  AuditFile,
  addHold,
  asJson,
  CHECKPOINT_DEFAULTS,
  erase,
  holdsOf,
  keyFileOf,
  openForReading,
  publicKeyIn,
  recordsOf,
  removeHold,
  type StoredRecord,
  signingKey,
  verifyFile,
} from '@sluice/plugins/audit';
import { EXIT } from '../exit-codes.js';
import type { Output } from '../health.js';
import { alignColumns, palette, printable, usesColour } from '../terminal.js';
import { Unusable, WrongUsage } from '../unusable.js';
import type { AuditCommand, ChangeFlags, QueryFlags, VerifyFlags } from './audit-command-line.js';
import { exportRecords } from './export.js';
import { filterOf, timeOf } from './flags.js';

export interface AuditSurroundings {
  readonly out: Output;
  readonly err: Output;
  readonly nowMs: number;
}

/** @returns the exit code */
export async function runAuditCommand(command: AuditCommand, around: AuditSurroundings): Promise<number> {
  try {
    return await done(command, around);
  } catch (thrown) {
    around.err.write(`sluice audit ${command.name}: ${(thrown as Error).message}\n`);
    return thrown instanceof Unusable ? thrown.exitCode : EXIT.unexpected;
  }
}

async function done(command: AuditCommand, around: AuditSurroundings): Promise<number> {
  const { out, nowMs } = around;
  switch (command.name) {
    case 'query':
      return query(command.flags, around);
    case 'export':
      return exportRecords(command.flags, around);
    case 'verify':
      return verify(command.flags, around);
    case 'collect': {
      const { collect } = await import('./collect.js');
      return collect(command.flags);
    }
    case 'erase': {
      const { principal } = command.flags;
      const { erasedCount, heldCount } = changing(command.flags, nowMs, (file) =>
        erase(file, principal, nowMs),
      );
      out.write(
        erasedCount + heldCount === 0
          ? `no record says that it was ${principal}; name a principal as records have it, such as auth-jwt:ada\n`
          : `${records(erasedCount)} of ${principal} no longer say who it was\n`,
      );
      if (heldCount > 0) out.write(`${records(heldCount)} stay as they are, because of a hold\n`);
      return EXIT.ok;
    }
    case 'hold add': {
      const { principal, since, until, reason } = command.flags;
      const [fromMs, toMs] = [timeOf('--since', since, nowMs), timeOf('--until', until, nowMs)];
      changing(command.flags, nowMs, (file) =>
        addHold(file, { name: command.hold, principal, fromMs, toMs, reason }, nowMs),
      );
      out.write(`hold ${command.hold} has begun\n`);
      return EXIT.ok;
    }
    case 'hold remove':
      changing(command.flags, nowMs, (file) => removeHold(file, command.hold, nowMs));
      out.write(`hold ${command.hold} has ended\n`);
      return EXIT.ok;
    case 'hold list':
      return listHolds(command.flags, around);
  }
}

/** A file that is missing is not made: it is a wrong name. */
function changing<T>({ file, key }: ChangeFlags, nowMs: number, change: (file: AuditFile) => T): T {
  openForReading(file).close();
  const keyFile = key ?? keyFileOf(file);
  if (!existsSync(keyFile))
    throw new WrongUsage(`the private key of the node is not at ${keyFile}; say with --key where it is`);
  const opened = new AuditFile({
    file,
    key: signingKey(keyFile),
    now: () => nowMs,
    checkpoint: CHECKPOINT_DEFAULTS,
  });
  try {
    return change(opened);
  } finally {
    opened.end();
  }
}

function query(flags: QueryFlags, { out, nowMs }: AuditSurroundings): number {
  const filter = { ...filterOf(flags, nowMs), limitCount: flags.limit };
  const database = openForReading(flags.file);
  try {
    if (flags.output === 'jsonl') {
      for (const record of recordsOf(database, filter)) out.write(`${JSON.stringify(asJson(record))}\n`);
      return EXIT.ok;
    }
    const found = [...recordsOf(database, filter)];
    if (flags.output === 'json') out.write(`${JSON.stringify(found.map(asJson), null, 2)}\n`);
    else
      printTable(
        out,
        ['RECORD', 'TIME', 'PRINCIPAL', 'WHAT', 'DECISION', 'OUTCOME', 'MS', 'BYTES'],
        found.map(row),
      );
    return EXIT.ok;
  } finally {
    database.close();
  }
}

function row({ seq, timeMs, open, personal }: StoredRecord): string[] {
  const time = new Date(timeMs).toISOString();
  if (open === undefined) return [String(seq), time, '', '(taken out)', '', '', '', ''];
  const {
    kind,
    method,
    upstream,
    target,
    asked_for,
    decision,
    decided_by,
    rule,
    outcome,
    code,
    duration_ms,
    result_bytes,
  } = open;
  if (kind !== 'exchange' && kind !== 'refused') return [String(seq), time, '', `(${kind})`, '', '', '', ''];
  const name = (target as { name?: string } | undefined)?.name;
  const what =
    name === undefined
      ? [method ?? open.endpoint, asked_for].filter(Boolean).join(' ')
      : `${method} ${upstream}:${name}`;
  const by = [decided_by, rule].filter((each) => each !== undefined).join(' ');
  return [
    String(seq),
    time,
    personal === undefined ? '(erased)' : String(personal.principal ?? '-'),
    printable(String(what)),
    by === '' ? String(decision) : `${decision} (${by})`,
    code === undefined ? String(outcome) : `${outcome} ${code}`,
    String(duration_ms),
    String(result_bytes),
  ];
}

function verify({ file, publicKey, expect = [] }: VerifyFlags, { out }: AuditSurroundings): number {
  const keyFiles = publicKey ?? [`${keyFileOf(file)}.pub`];
  const keys = keyFiles.map((each) => {
    if (!existsSync(each))
      throw new WrongUsage(`there is no public key at ${each}; say with --public-key where it is`);
    return publicKeyIn(each);
  });
  const known = expect.map((each) => {
    const [, seq, hash] = /^([0-9]{1,15}):([0-9a-f]{64})$/.exec(each) ?? [];
    if (seq === undefined || hash === undefined)
      throw new WrongUsage(`--expect ${each}: say number and hash of a record, as verify prints them`);
    return { seq: Number(seq), hash };
  });
  const found = verifyFile(file, keys, known);
  const paint = palette(usesColour(out));
  for (const { kind, message } of found.problems) out.write(`${paint.red(kind)}: ${message}\n`);
  if (found.moreCount > 0) out.write(`and ${found.moreCount} more\n`);
  const { recordCount, firstSeq, lastSeq, lastHash, checkpointCount, erasedCount, keyIds } = found;
  const erased = erasedCount === 0 ? '' : `, ${erasedCount} of them without what was taken out`;
  out.write(
    `${records(recordCount)}, ${firstSeq} to ${lastSeq}${erased}; ${checkpointCount} checkpoints; key ${keyIds.join(', ')}\n`,
  );
  if (found.problems.length > 0) return EXIT.unexpected;
  out.write(`${paint.green('all records are what they were')}; the end is ${lastSeq}:${lastHash}\n`);
  return EXIT.ok;
}

function listHolds(
  { file, output }: { file: string; output: 'table' | 'json' },
  { out }: AuditSurroundings,
): number {
  const database = openForReading(file);
  try {
    const holds = holdsOf(database).map(({ name, principal, fromMs, toMs, reason, createdMs }) => ({
      name,
      principal,
      since: isoTime(fromMs),
      until: isoTime(toMs),
      reason,
      created: isoTime(createdMs),
    }));
    if (output === 'json') out.write(`${JSON.stringify(holds, null, 2)}\n`);
    else
      printTable(
        out,
        ['NAME', 'PRINCIPAL', 'SINCE', 'UNTIL', 'REASON'],
        holds.map(({ name, principal = 'all', since = '-', until = '-', reason = '' }) => [
          name,
          principal,
          since,
          until,
          printable(reason),
        ]),
      );
    return EXIT.ok;
  } finally {
    database.close();
  }
}

function isoTime(timeMs: number | undefined): string | undefined {
  return timeMs === undefined ? undefined : new Date(timeMs).toISOString();
}

function printTable(out: Output, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const paint = palette(usesColour(out));
  const [first = '', ...rest] = alignColumns([head, ...rows]);
  out.write([paint.dim(first), ...rest].map((line) => `${line}\n`).join(''));
}

function records(count: number): string {
  return count === 1 ? '1 record' : `${count} records`;
}
