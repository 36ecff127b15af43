/** Reads records back: those that fit, in their order. */
import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { JsonObject } from '@sluice/sdk';

/** What records are looked for by; all of it has to fit. */
export interface RecordFilter {
  /** Milliseconds since the epoch. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly principal?: string | undefined;
  /** `upstream:name`, or a name at any upstream. */
  readonly tool?: string | undefined;
  readonly outcome?: string | undefined;
  readonly decision?: string | undefined;
  readonly trace?: string | undefined;
  /** Numbers beyond this one. */
  readonly afterSeq?: number | undefined;
  /** The newest so many. */
  readonly limitCount?: number | undefined;
}

/** Either part is undefined once it has been taken out. */
export interface StoredRecord {
  readonly seq: number;
  readonly hash: string;
  readonly timeMs: number;
  readonly open: JsonObject | undefined;
  readonly personal: JsonObject | undefined;
}

/** Oldest first. */
export function* recordsOf(database: DatabaseSyncInstance, filter: RecordFilter): Generator<StoredRecord> {
  const { where, given } = conditionsOf(filter);
  const columns = 'seq, time_ms, open, personal, hex(hash) AS hash';
  const { limitCount } = filter;
  const sql =
    limitCount === undefined
      ? `SELECT ${columns} FROM records ${where} ORDER BY seq`
      : `SELECT * FROM (SELECT ${columns} FROM records ${where} ORDER BY seq DESC LIMIT ${Math.floor(limitCount)}) ORDER BY seq`;
  for (const each of database.prepare(sql).iterate(...given)) {
    const row = each as {
      seq: number;
      time_ms: number;
      open: string | null;
      personal: string | null;
      hash: string;
    };
    yield {
      seq: row.seq,
      hash: row.hash.toLowerCase(),
      timeMs: row.time_ms,
      open: row.open === null ? undefined : (JSON.parse(row.open) as JsonObject),
      personal: row.personal === null ? undefined : (JSON.parse(row.personal) as JsonObject),
    };
  }
}

function conditionsOf(filter: RecordFilter): { where: string; given: (string | number)[] } {
  const conditions: string[] = [];
  const given: (string | number)[] = [];
  const add = (condition: string, ...values: (string | number | undefined)[]) => {
    if (values.some((value) => value === undefined)) return;
    conditions.push(condition);
    given.push(...(values as (string | number)[]));
  };
  add('time_ms >= ?', filter.sinceMs);
  add('time_ms <= ?', filter.untilMs);
  add('seq > ?', filter.afterSeq);
  add("personal ->> '$.principal' = ?", filter.principal);
  add("open ->> '$.outcome' = ?", filter.outcome);
  add("open ->> '$.decision' = ?", filter.decision);
  add("open ->> '$.trace' = ?", filter.trace);
  const { tool } = filter;
  if (tool !== undefined) {
    const colon = tool.indexOf(':');
    add("open ->> '$.target.name' = ?", colon === -1 ? tool : tool.slice(colon + 1));
    if (colon !== -1) add("open ->> '$.upstream' = ?", tool.slice(0, colon));
  }
  return { where: conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`, given };
}

/** Both parts as one object, for programs. */
export function asJson({ seq, hash, timeMs, open, personal }: StoredRecord): JsonObject {
  const time = new Date(timeMs).toISOString();
  return {
    seq,
    hash,
    ...(open ?? { time, taken_out: true }),
    ...(personal ?? (open && { personal_taken_out: true })),
    ...remarksOf(open, personal),
  };
}

/** Each remark with its words, which stand in the personal part in the same order. */
function remarksOf(open: JsonObject | undefined, personal: JsonObject | undefined): JsonObject {
  const [decided, words] = [open?.remarks, personal?.remarks];
  if (!Array.isArray(decided)) return {};
  const said = Array.isArray(words) ? words : [];
  return {
    remarks: decided.map((each, index) => ({ ...(each as JsonObject), ...(said[index] as JsonObject) })),
  };
}
