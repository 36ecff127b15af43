/** Goes through the whole chain, and says which record is not what it was when it was written. */
import type { KeyObject } from 'node:crypto';
import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import { headOf, openForReading } from './audit-file.js';
import {
  type Checkpoint,
  hex,
  isCheckpointOf,
  isHeadOf,
  linked,
  openDigest,
  personalDigest,
} from './chain.js';
import { addRange, merged, type Range, without } from './ranges.js';
import { keyId } from './signing-key.js';

export type ProblemKind =
  | 'changed'
  | 'removed'
  | 'added'
  | 'swapped'
  | 'personal data removed'
  | 'signature'
  | 'checkpoint';

export interface Problem {
  readonly kind: ProblemKind;
  /** Of the record; undefined where it is about the whole file. */
  readonly seq?: number;
  readonly message: string;
}

export interface Verification {
  readonly problems: readonly Problem[];
  /** Problems beyond those that are listed. */
  readonly moreCount: number;
  readonly recordCount: number;
  /** The first and the last record that are there; 0 when there is none. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly lastHash: string;
  readonly checkpointCount: number;
  readonly erasedCount: number;
  readonly keyIds: readonly string[];
}

/** A place in the chain that is known from elsewhere: an export, a line of the log. */
export interface Known {
  readonly seq: number;
  /** Hexadecimal. */
  readonly hash: string;
}

const MAX_PROBLEM_COUNT = 100;

interface Row {
  readonly seq: number;
  readonly id: string;
  readonly time_ms: number;
  readonly open: string | null;
  readonly personal: string | null;
  readonly salt: Uint8Array | null;
  readonly open_digest: Uint8Array | null;
  readonly personal_digest: Uint8Array;
  readonly hash: Uint8Array;
}

/** A row that does not follow the one before it, with what is needed to say why. */
interface Misfit {
  readonly seq: number;
  readonly before: Uint8Array;
  readonly open: Uint8Array;
  readonly personal: Uint8Array;
  readonly hash: Uint8Array;
}

/**
 * @param keys public ones of the node.
 * @throws Error with a readable message when the file cannot be read.
 */
export function verifyFile(
  file: string,
  keys: readonly KeyObject[],
  known: readonly Known[] = [],
): Verification {
  const database = openForReading(file);
  try {
    // One state of it, whatever is written meanwhile.
    database.exec('BEGIN');
    return new Verifier(database, keys, known).run();
  } finally {
    database.close();
  }
}

class Verifier {
  private readonly problems: Problem[] = [];
  private moreCount = 0;
  private readonly misfits: Misfit[] = [];
  private readonly bare: Range[] = [];
  private readonly explained: Range[] = [];
  private readonly stored = new Map<number, Uint8Array | undefined>();
  private erasedCount = 0;

  constructor(
    private readonly database: DatabaseSyncInstance,
    private readonly keys: readonly KeyObject[],
    private readonly known: readonly Known[],
  ) {}

  run(): Verification {
    const { database, keys } = this;
    const headRow = database.prepare('SELECT * FROM head').get() as { signature: Uint8Array } | undefined;
    const head = headOf(headRow);
    const checkpoints = this.checkpoints();
    for (const { seq } of [...checkpoints, ...this.known]) this.stored.set(seq, undefined);
    let before = head.anchorHash;
    let seq = head.anchorSeq;
    let shift = 0;
    let last: Misfit | undefined;
    let count = 0;
    for (const each of database.prepare('SELECT * FROM records ORDER BY seq').iterate()) {
      const row = each as unknown as Row;
      count++;
      let own = this.partsOf(row, before);
      if (this.stored.has(row.seq)) this.stored.set(row.seq, row.hash);
      if (row.seq !== seq + 1) {
        this.report('removed', seq + 1, `${span(seq + 1, row.seq - 1)} missing`);
      } else if (!follows(own, row.seq - shift)) {
        const place = row.seq - shift;
        const isEarlier = last !== undefined && follows({ ...own, before: last.before }, place - 1);
        if (last !== undefined && isEarlier && follows({ ...last, before: own.hash }, place)) {
          if (this.misfits.at(-1) === last) this.misfits.pop();
          this.report('swapped', last.seq, `records ${last.seq} and ${row.seq} were swapped`);
          // What comes next follows the one that stood here.
          own = { ...own, hash: last.hash };
        } else if (last !== undefined && isEarlier) {
          // Behind one that was put in between, the others follow what stood there before it.
          shift++;
          this.report('added', last.seq, `record ${last.seq} was added`);
        } else if (this.misfits.length < MAX_PROBLEM_COUNT) this.misfits.push(own);
        else this.moreCount++;
      }
      last = own;
      before = own.hash;
      seq = row.seq;
    }
    this.explainMisfits();
    this.checkEnd(headRow, seq, before);
    this.checkCheckpoints(checkpoints);
    this.checkKnown(head.anchorSeq);
    this.checkBare();
    const first = database.prepare('SELECT min(seq) AS seq FROM records').get() as { seq: number | null };
    return {
      problems: this.problems,
      moreCount: this.moreCount,
      recordCount: count,
      firstSeq: first.seq ?? 0,
      lastSeq: count === 0 ? 0 : seq,
      lastHash: hex(before),
      checkpointCount: checkpoints.length,
      erasedCount: this.erasedCount,
      keyIds: keys.map(keyId),
    };
  }

  /** What the row's hash has to cover, from what stands in it. */
  private partsOf(row: Row, before: Uint8Array): Misfit {
    const { seq, open, personal, salt, hash } = row;
    if (open === null || (personal === null && row.personal_digest.byteLength > 0)) {
      this.erasedCount++;
      addRange(this.bare, seq);
    }
    if (open !== null) this.readOpen(row, open);
    const own = open === null ? (row.open_digest ?? new Uint8Array()) : openDigest(open);
    const isKept = personal !== null && salt !== null;
    const other = isKept ? personalDigest(salt, personal) : row.personal_digest;
    if (isKept && !same(other, row.personal_digest))
      this.report('changed', seq, `the personal data of record ${seq} was changed`);
    return { seq, before, open: own, personal: other, hash };
  }

  private readOpen({ seq, id, time_ms: timeMs }: Row, open: string): void {
    let own: { kind?: string; id?: string; time?: string; ranges?: unknown } | null;
    try {
      own = JSON.parse(open);
    } catch {
      return void this.report('changed', seq, `record ${seq} is no JSON`);
    }
    if (own?.id !== id || Date.parse(String(own.time)) !== timeMs)
      this.report('changed', seq, `record ${seq} is filed under another id or time than its own`);
    if (own?.kind !== 'erased' && own?.kind !== 'stripped') return;
    // Whoever wrote it may not have been a gateway.
    if (Array.isArray(own.ranges))
      for (const each of own.ranges) if (isRange(each)) this.explained.push(each);
  }

  /** Says of each row that does not follow whether it was changed, or stands in another's place. */
  private explainMisfits(): void {
    const left = new Set(this.misfits);
    const explained = new Map<number, Misfit>();
    for (const one of this.misfits) {
      for (const other of this.misfits) {
        if (one.seq >= other.seq || !left.has(one) || !left.has(other)) continue;
        const { seq, before } = one;
        const { open, personal } = other;
        const withHash = follows({ seq, before, open, personal, hash: other.hash }, seq);
        if (!withHash && !follows({ seq, before, open, personal, hash: one.hash }, seq)) continue;
        left.delete(one);
        left.delete(other);
        if (withHash) {
          explained.set(one.seq, other);
          explained.set(other.seq, one);
        }
        this.report('swapped', one.seq, `records ${one.seq} and ${other.seq} were swapped`);
      }
    }
    for (const one of left) {
      // It follows the one that stood before it.
      const moved = explained.get(one.seq - 1);
      if (moved !== undefined && follows({ ...one, before: moved.hash }, one.seq)) continue;
      this.report('changed', one.seq, `record ${one.seq} was changed, or what it follows`);
    }
  }

  private checkEnd(row: { signature: Uint8Array } | undefined, seq: number, hash: Uint8Array): void {
    const head = headOf(row);
    if (row === undefined) {
      if (seq > 0) this.report('signature', undefined, 'nothing says where the chain ends');
      return;
    }
    if (!this.keys.some((key) => isHeadOf(key, head, row.signature)))
      this.report('signature', undefined, 'the end of the chain is not signed by the key of the node');
    if (seq < head.seq) this.report('removed', seq + 1, `${span(seq + 1, head.seq)} missing at the end`);
    else if (seq > head.seq)
      this.report('added', head.seq + 1, `${span(head.seq + 1, seq)} added behind the signed end`);
    else if (!same(hash, head.hash))
      this.report('signature', seq, `record ${seq} is not the one that was signed as the last`);
  }

  private checkpoints(): (Checkpoint & { readonly signature: Uint8Array })[] {
    const rows = this.database.prepare('SELECT * FROM checkpoints ORDER BY number').all();
    return rows.map((row) => {
      const { number, seq, hash, time_ms, signature } = row as {
        number: number;
        seq: number;
        hash: Uint8Array;
        time_ms: number;
        signature: Uint8Array;
      };
      return { number, seq, hash, timeMs: time_ms, signature };
    });
  }

  private checkCheckpoints(checkpoints: ReturnType<Verifier['checkpoints']>): void {
    const head = headOf(this.database.prepare('SELECT * FROM head').get());
    let number = 0;
    for (const each of checkpoints) {
      if (each.number !== number + 1)
        this.report('checkpoint', undefined, `checkpoints are missing before number ${each.number}`);
      number = each.number;
      if (!this.keys.some((key) => isCheckpointOf(key, each, each.signature))) {
        this.report('checkpoint', each.seq, `checkpoint ${number} is not signed by the key of the node`);
        continue;
      }
      const own = this.stored.get(each.seq);
      if (own !== undefined && !same(own, each.hash))
        this.report(
          'checkpoint',
          each.seq,
          `record ${each.seq} is not the one that checkpoint ${number} was signed for; it or one before it was changed`,
        );
    }
    if (number !== head.checkpointCount)
      this.report('checkpoint', undefined, `checkpoints are missing behind number ${number}`);
  }

  private checkKnown(anchorSeq: number): void {
    for (const { seq, hash } of this.known) {
      // Removed in order; what is signed says up to where.
      if (seq <= anchorSeq) continue;
      const own = this.stored.get(seq);
      if (own === undefined) this.report('removed', seq, `record ${seq} is missing, and its hash is known`);
      else if (hex(own) !== hash)
        this.report('changed', seq, `record ${seq} has another hash than the one that is known`);
    }
  }

  /** What was taken out in order stands in the chain. */
  private checkBare(): void {
    for (const [from, to] of without(merged(this.bare), merged(this.explained))) {
      const which = from === to ? `record ${from}` : `records ${from} to ${to}`;
      this.report('personal data removed', from, `data of ${which} was taken out, and no record says so`);
    }
  }

  private report(kind: ProblemKind, seq: number | undefined, message: string): void {
    if (this.problems.length >= MAX_PROBLEM_COUNT) this.moreCount++;
    else this.problems.push(seq === undefined ? { kind, message } : { kind, seq, message });
  }
}

function isRange(value: unknown): value is Range {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger);
}

function follows({ before, open, personal, hash }: Misfit, seq: number): boolean {
  return same(linked(before, seq, open, personal), hash);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function span(from: number, to: number): string {
  return from === to ? `record ${from} is` : `records ${from} to ${to} are`;
}
