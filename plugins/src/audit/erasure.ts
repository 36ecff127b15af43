/** What may be taken out of the records: one principal's data, what is too old or too much, and what a hold keeps. */
import { randomUUID } from 'node:crypto';
import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { AuditFile, NewRecord, Writing } from './audit-file.js';
import { openDigest } from './chain.js';
import { type Range, rangesOf } from './ranges.js';

/** Ranges that one record about removed data names. */
const RANGES_PER_RECORD_COUNT = 1_000;
/** Records that retention removes while others wait to write. */
const STEP_COUNT = 2_000;

export interface Hold {
  readonly name: string;
  /** Undefined: everybody's. */
  readonly principal?: string | undefined;
  /** Milliseconds since the epoch; undefined: without a beginning or an end. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly reason?: string | undefined;
}

/** True for a record of the table `records` that some hold keeps. */
const IS_HELD = `EXISTS (SELECT 1 FROM holds WHERE
  (holds.principal IS NULL OR holds.principal = records.personal ->> '$.principal')
  AND (holds.from_ms IS NULL OR records.time_ms >= holds.from_ms)
  AND (holds.to_ms IS NULL OR records.time_ms <= holds.to_ms))`;

/** A record about the records. */
export function note(kind: string, nowMs: number, facts: object, personal?: object): NewRecord {
  const id = randomUUID();
  const time = new Date(nowMs).toISOString();
  return {
    id,
    timeMs: nowMs,
    open: JSON.stringify({ kind, id, time, ...facts }),
    personal: personal === undefined ? undefined : JSON.stringify(personal),
  };
}

/** How many records have lost their personal data, and how many a hold keeps. */
export interface Erased {
  readonly erasedCount: number;
  readonly heldCount: number;
}

/** Takes out what is known of a principal. The chain still holds, and says that it was done. */
export function erase(file: AuditFile, principal: string, nowMs: number): Erased {
  const erased = file.write((writing) => {
    const { database } = file;
    const of = "personal ->> '$.principal' = ?";
    const held = database.prepare(`SELECT count(*) AS count FROM records WHERE ${of} AND ${IS_HELD}`);
    const { count: heldCount } = held.get(principal) as { count: number };
    const rows = database
      .prepare(`SELECT seq FROM records WHERE ${of} AND NOT ${IS_HELD} ORDER BY seq`)
      .all(principal) as { seq: number }[];
    const take = database.prepare('UPDATE records SET personal = NULL, salt = NULL WHERE seq = ?');
    for (const { seq } of rows) take.run(seq);
    noteRanges(writing, 'erased', nowMs, rangesOf(rows.map(({ seq }) => seq)), {});
    return { erasedCount: rows.length, heldCount };
  });
  file.compact();
  return erased;
}

export interface Retention {
  readonly maxAgeMs?: number | undefined;
  /** Of the whole file. */
  readonly maxBytes?: number | undefined;
}

/**
 * Removes some of what is too old or too much, from the oldest on. Around what a hold keeps only the content goes, so
 * that the chain still leads past it.
 *
 * @returns how many records lost their content; call it again while that is not 0.
 */
export function retain(file: AuditFile, { maxAgeMs, maxBytes }: Retention, nowMs: number): number {
  const { database } = file;
  const isTooMuch = maxBytes !== undefined && usedBytes(database) > maxBytes;
  const beforeMs = maxAgeMs === undefined ? -1 : nowMs - maxAgeMs;
  const isDue = isTooMuch ? '1' : 'time_ms < ?';
  const given = isTooMuch ? [] : [beforeMs];
  const count = file.write((writing) => {
    const oldest = database
      .prepare(
        `SELECT seq, hash, (${isDue}) AS isDue, ${IS_HELD} AS isHeld FROM records ORDER BY seq LIMIT ${STEP_COUNT}`,
      )
      .all(...given) as { seq: number; hash: Uint8Array; isDue: number; isHeld: number }[];
    // The last one stays: the chain goes on from it.
    const end = oldest.findIndex((row) => row.isDue === 0 || row.isHeld === 1);
    const due = oldest.slice(0, end === -1 ? oldest.length - 1 : end);
    const last = due.at(-1);
    if (last !== undefined) {
      database.prepare('DELETE FROM records WHERE seq <= ?').run(last.seq);
      writing.anchorAt(last.seq, last.hash);
      const facts = { through: last.seq, hash: Buffer.from(last.hash).toString('hex'), count: due.length };
      writing.add(note('removed', nowMs, facts));
    }
    return due.length + (oldest[end]?.isHeld === 1 ? strip(database, writing, isDue, given, nowMs) : 0);
  });
  if (count > 0) database.exec('PRAGMA incremental_vacuum');
  return count;
}

/** What stands behind a held record cannot be removed, and loses what is in it. */
function strip(
  database: DatabaseSyncInstance,
  writing: Writing,
  isDue: string,
  given: readonly number[],
  nowMs: number,
): number {
  const rows = database
    .prepare(
      `SELECT seq, open FROM records WHERE ${isDue} AND open IS NOT NULL AND NOT ${IS_HELD}
       AND open ->> '$.kind' IN ('exchange', 'refused') ORDER BY seq LIMIT ${STEP_COUNT}`,
    )
    .all(...given) as { seq: number; open: string }[];
  const take = database.prepare(
    'UPDATE records SET open = NULL, personal = NULL, salt = NULL, open_digest = ? WHERE seq = ?',
  );
  for (const { seq, open } of rows) take.run(openDigest(open), seq);
  noteRanges(writing, 'stripped', nowMs, rangesOf(rows.map(({ seq }) => seq)), {});
  return rows.length;
}

export function addHold(file: AuditFile, hold: Hold, nowMs: number): void {
  const { name, principal, fromMs, toMs, reason } = hold;
  file.write((writing) => {
    const { database } = file;
    if (database.prepare('SELECT 1 FROM holds WHERE name = ?').get(name) !== undefined)
      throw new Error(`there is a hold ${JSON.stringify(name)} already`);
    database
      .prepare('INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?)')
      .run(name, principal ?? null, fromMs ?? null, toMs ?? null, reason ?? null, nowMs);
    const who = principal === undefined ? undefined : { principal };
    writing.add(note('hold', nowMs, { name, fromMs, toMs, reason }, who));
  });
}

export function removeHold(file: AuditFile, name: string, nowMs: number): void {
  file.write((writing) => {
    const { changes } = file.database.prepare('DELETE FROM holds WHERE name = ?').run(name);
    if (changes === 0) throw new Error(`there is no hold ${JSON.stringify(name)}`);
    writing.add(note('release', nowMs, { name }));
  });
}

export function holdsOf(database: DatabaseSyncInstance): (Hold & { readonly createdMs: number })[] {
  const rows = database.prepare('SELECT * FROM holds ORDER BY name').all() as {
    name: string;
    principal: string | null;
    from_ms: number | null;
    to_ms: number | null;
    reason: string | null;
    created_ms: number;
  }[];
  return rows.map(({ name, principal, from_ms, to_ms, reason, created_ms }) => ({
    name,
    principal: principal ?? undefined,
    fromMs: from_ms ?? undefined,
    toMs: to_ms ?? undefined,
    reason: reason ?? undefined,
    createdMs: created_ms,
  }));
}

function noteRanges(
  writing: Writing,
  kind: string,
  nowMs: number,
  ranges: readonly Range[],
  facts: object,
): void {
  for (let from = 0; from < ranges.length; from += RANGES_PER_RECORD_COUNT)
    writing.add(note(kind, nowMs, { ...facts, ranges: ranges.slice(from, from + RANGES_PER_RECORD_COUNT) }));
}

function usedBytes(database: DatabaseSyncInstance): number {
  const { bytes } = database
    .prepare(
      'SELECT (p.page_count - f.freelist_count) * s.page_size AS bytes FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s',
    )
    .get() as { bytes: number };
  return bytes;
}
