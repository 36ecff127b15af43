import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  AuditFile,
  CHECKPOINT_DEFAULTS,
  type CheckpointEvery,
  headOf,
  type NewRecord,
} from './audit-file.js';
import { linked, openDigest, personalDigest, signedHead } from './chain.js';
import { addHold, erase, holdsOf, note, removeHold, retain } from './erasure.js';
import { keyFileOf, type SigningKey, signingKey } from './signing-key.js';
import { verifyFile } from './verification.js';

const folder = mkdtempSync(join(tmpdir(), 'sluice-audit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const FIRST_MS = 1_700_000_000_000;
let fileCount = 0;

function fresh(): string {
  return join(folder, `${++fileCount}.sqlite`);
}

const KEY = signingKey(join(folder, 'node.key'));

function opened(
  file: string,
  checkpoint: CheckpointEvery = CHECKPOINT_DEFAULTS,
  key: SigningKey = KEY,
): AuditFile {
  return new AuditFile({ file, key, now: () => FIRST_MS, checkpoint });
}

function record(index: number, principal = `caller-${index % 3}`): NewRecord {
  const id = `r-${index}`;
  const timeMs = FIRST_MS + index * 1_000;
  return {
    id,
    timeMs,
    open: JSON.stringify({ kind: 'exchange', id, time: new Date(timeMs).toISOString(), index }),
    personal: JSON.stringify({ principal, arguments: { index } }),
  };
}

function records(count: number, from = 0): NewRecord[] {
  return Array.from({ length: count }, (_, index) => record(from + index));
}

/** A file of ten records, with a checkpoint after every fourth. */
function written(count = 10): { path: string; file: AuditFile } {
  const path = fresh();
  const file = opened(path, { recordCount: 4, intervalMs: 1e9 });
  for (let from = 0; from < count; from += 4) file.append(records(Math.min(4, count - from), from));
  return { path, file };
}

const said = (path: string, known: Parameters<typeof verifyFile>[2] = []) =>
  verifyFile(path, [KEY.publicKey], known).problems.map(({ message }) => message);

describe('a chain', () => {
  it('verifies, says how far it goes, and takes no record twice', () => {
    const { path, file } = written();
    expect(file.append([record(3), record(10)])).toBe(1);
    const found = verifyFile(path, [KEY.publicKey]);
    expect(found).toMatchObject({
      problems: [],
      recordCount: 11,
      firstSeq: 1,
      lastSeq: 11,
      checkpointCount: 2,
      erasedCount: 0,
      keyIds: [KEY.id],
    });
    const known = { seq: found.lastSeq, hash: found.lastHash };
    file.append(records(5, 20));
    expect(said(path, [known])).toEqual([]);
    expect(said(path, [{ seq: 3, hash: 'ab' }])).toEqual([
      'record 3 has another hash than the one that is known',
    ]);
  });

  it('goes on in order where several write', () => {
    const path = fresh();
    const [one, other] = [opened(path), opened(path)];
    for (let index = 0; index < 20; index++) (index % 2 ? one : other).append([record(index)]);
    expect(verifyFile(path, [KEY.publicKey])).toMatchObject({ problems: [], lastSeq: 20 });
  });

  it('is empty before anything is written', () => {
    const path = fresh();
    opened(path);
    expect(verifyFile(path, [KEY.publicKey])).toMatchObject({ problems: [], recordCount: 0 });
  });
});

/** Everything that stands in a row but its number. */
const CONTENT = 'id, time_ms, open, personal, salt, open_digest, personal_digest, hash';

describe('attacks on a file', () => {
  const sql = (file: AuditFile, text: string) => file.database.exec(text);

  it.each<[string, (file: AuditFile) => void, string[]]>([
    [
      'a record is changed',
      (file) => sql(file, `UPDATE records SET open = replace(open, '"index":4', '"index":9') WHERE seq = 5`),
      ['record 5 was changed, or what it follows'],
    ],
    [
      'the last record is changed',
      (file) => sql(file, `UPDATE records SET open = replace(open, '"index":9', '"index":1') WHERE seq = 10`),
      ['record 10 was changed, or what it follows'],
    ],
    [
      'personal data is changed',
      (file) => sql(file, `UPDATE records SET personal = '{"principal":"other"}' WHERE seq = 5`),
      ['the personal data of record 5 was changed', 'record 5 was changed, or what it follows'],
    ],
    [
      'personal data is changed with its digest',
      (file) => {
        const personal = '{"principal":"other"}';
        const digest = personalDigest(Buffer.alloc(16), personal);
        file.database
          .prepare('UPDATE records SET personal = ?, salt = ?, personal_digest = ? WHERE seq = 5')
          .run(personal, Buffer.alloc(16), digest);
      },
      ['record 5 was changed, or what it follows'],
    ],
    [
      'personal data is taken out past the gateway',
      (file) => sql(file, 'UPDATE records SET personal = NULL, salt = NULL WHERE seq IN (5, 6)'),
      ['data of records 5 to 6 was taken out, and no record says so'],
    ],
    [
      'a record is taken out and its digest left',
      (file) => {
        const { open } = file.database.prepare('SELECT open FROM records WHERE seq = 5').get() as {
          open: string;
        };
        file.database
          .prepare('UPDATE records SET open = NULL, open_digest = ? WHERE seq = 5')
          .run(openDigest(open));
      },
      ['data of record 5 was taken out, and no record says so'],
    ],
    [
      'a record is filed under another time',
      (file) => sql(file, 'UPDATE records SET time_ms = time_ms - 86400000 WHERE seq = 5'),
      ['record 5 is filed under another id or time than its own'],
    ],
    [
      'a record is removed',
      (file) => sql(file, 'DELETE FROM records WHERE seq = 5'),
      ['record 5 is missing'],
    ],
    [
      'records are removed and the others moved up',
      (file) => sql(file, 'DELETE FROM records WHERE seq = 9; UPDATE records SET seq = 9 WHERE seq = 10'),
      ['record 9 was changed, or what it follows', 'record 10 is missing at the end'],
    ],
    [
      'the first record is removed',
      (file) => sql(file, 'DELETE FROM records WHERE seq = 1'),
      ['record 1 is missing'],
    ],
    [
      'the tail is cut off',
      (file) => sql(file, 'DELETE FROM records WHERE seq > 7'),
      ['records 8 to 10 are missing at the end'],
    ],
    [
      'a record is added behind the end',
      (file) =>
        sql(
          file,
          `INSERT INTO records (seq, ${CONTENT}) SELECT 11, 'r-11', ${CONTENT.replace('id, ', '')} FROM records WHERE seq = 10`,
        ),
      ['record 11 is added behind the signed end'],
    ],
    [
      'two neighbours are swapped',
      (file) =>
        sql(
          file,
          'UPDATE records SET seq = 99 WHERE seq = 5; UPDATE records SET seq = 5 WHERE seq = 6; UPDATE records SET seq = 6 WHERE seq = 99',
        ),
      ['records 5 and 6 were swapped'],
    ],
    [
      'two records are swapped',
      (file) =>
        sql(
          file,
          'UPDATE records SET seq = 99 WHERE seq = 3; UPDATE records SET seq = 3 WHERE seq = 8; UPDATE records SET seq = 8 WHERE seq = 99',
        ),
      ['records 3 and 8 were swapped'],
    ],
    [
      'a record is changed into what is no record at all',
      (file) =>
        sql(
          file,
          `UPDATE records SET open = 'null' WHERE seq = 5; UPDATE records SET open = '{"kind":"erased","ranges":7}' WHERE seq = 6`,
        ),
      ['record 5 was changed, or what it follows', 'record 6 was changed, or what it follows'],
    ],
    [
      'a checkpoint is removed',
      (file) => sql(file, 'DELETE FROM checkpoints WHERE number = 1'),
      ['checkpoints are missing before number 2'],
    ],
    [
      'the last checkpoint is removed',
      (file) => sql(file, 'DELETE FROM checkpoints WHERE number = 2'),
      ['checkpoints are missing behind number 1'],
    ],
    [
      'a checkpoint is moved',
      (file) => sql(file, 'UPDATE checkpoints SET seq = 5 WHERE number = 1'),
      ['checkpoint 1 is not signed by the key of the node'],
    ],
    ['the end is removed', (file) => sql(file, 'DELETE FROM head'), ['nothing says where the chain ends']],
  ])('are found: %s', (_, attack, expected) => {
    const { path, file } = written();
    attack(file);
    const problems = said(path);
    for (const each of expected) expect(problems).toContain(each);
    // Nothing but what has to do with it.
    expect(problems.length).toBeLessThanOrEqual(expected.length + 2);
  });

  it('are found: a record is put in between, and all behind it moved', () => {
    const { path, file } = written();
    const added = record(50);
    for (let seq = 10; seq >= 6; seq--) sql(file, `UPDATE records SET seq = ${seq + 1} WHERE seq = ${seq}`);
    const { hash: before } = file.database.prepare('SELECT hash FROM records WHERE seq = 5').get() as {
      hash: Uint8Array;
    };
    const personal = personalDigest(Buffer.alloc(16), added.personal as string);
    const hash = linked(before, 6, openDigest(added.open), personal);
    file.database
      .prepare('INSERT INTO records VALUES (6, ?, ?, ?, ?, ?, NULL, ?, ?)')
      .run(added.id, added.timeMs, added.open, added.personal as string, Buffer.alloc(16), personal, hash);
    expect(said(path)).toEqual([
      'record 6 was added',
      'record 11 is added behind the signed end',
      expect.stringMatching(/^record 8 is not the one that checkpoint 2 was signed for/),
    ]);
  });

  /** Makes hash after hash anew, as somebody can who has no key. */
  function recompute(file: AuditFile): { seq: number; hash: Uint8Array } {
    let hash: Uint8Array = Buffer.alloc(32);
    let last = 0;
    for (const row of file.database.prepare('SELECT * FROM records ORDER BY seq').all()) {
      const { seq, open, personal_digest } = row as {
        seq: number;
        open: string;
        personal_digest: Uint8Array;
      };
      hash = linked(hash, seq, openDigest(open), personal_digest);
      file.database.prepare('UPDATE records SET hash = ? WHERE seq = ?').run(hash, seq);
      last = seq;
    }
    return { seq: last, hash };
  }

  it('are found: all hashes are made anew behind a change, by somebody without the key', () => {
    const { path, file } = written();
    sql(file, `UPDATE records SET open = replace(open, '"index":5', '"index":9') WHERE seq = 6`);
    const { hash } = recompute(file);
    expect(said(path)).toEqual([
      'record 10 is not the one that was signed as the last',
      expect.stringMatching(/^record 8 is not the one that checkpoint 2 was signed for/),
    ]);
    file.database.prepare('UPDATE head SET hash = ?').run(hash);
    expect(said(path)[0]).toBe('the end of the chain is not signed by the key of the node');
  });

  it('are found: all of it signed with another key', () => {
    const { path, file } = written();
    const { privateKey } = generateKeyPairSync('ed25519');
    sql(file, 'DELETE FROM records WHERE seq > 7; DELETE FROM checkpoints WHERE number = 2');
    const { hash } = recompute(file);
    const head = {
      ...headOf(file.database.prepare('SELECT * FROM head').get()),
      seq: 7,
      hash,
      checkpointCount: 1,
    };
    file.database
      .prepare('UPDATE head SET seq = 7, hash = ?, checkpoint_count = 1, signature = ?')
      .run(hash, signedHead(privateKey, head));
    expect(said(path)).toEqual(['the end of the chain is not signed by the key of the node']);
  });

  it('are found with what was known before: an old copy of the whole file is put back', () => {
    const { path, file } = written();
    const { lastHash } = verifyFile(path, [KEY.publicKey]);
    expect(said(path, [{ seq: 10, hash: lastHash }])).toEqual([]);
    expect(said(path, [{ seq: 25, hash: 'ab'.repeat(32) }])).toEqual([
      'record 25 is missing, and its hash is known',
    ]);
    file.end();
  });
});

describe('what may be taken out', () => {
  it('erases one principal, and the chain holds', () => {
    const { path, file } = written();
    expect(erase(file, 'caller-1', FIRST_MS)).toEqual({ erasedCount: 3, heldCount: 0 });
    expect(verifyFile(path, [KEY.publicKey])).toMatchObject({
      problems: [],
      erasedCount: 3,
      recordCount: 11,
    });
    const left = file.database
      .prepare("SELECT count(*) AS count FROM records WHERE personal LIKE '%caller-1%'")
      .get();
    expect(left).toEqual({ count: 0 });
    expect(erase(file, 'nobody', FIRST_MS)).toEqual({ erasedCount: 0, heldCount: 0 });
  });

  it('keeps what a hold names, from erasure and from retention', () => {
    const { path, file } = written(12);
    addHold(file, { name: 'case-7', principal: 'caller-2', toMs: FIRST_MS + 5_000 }, FIRST_MS + 20_000);
    expect(() => addHold(file, { name: 'case-7' }, FIRST_MS)).toThrow('there is a hold "case-7" already');
    expect(erase(file, 'caller-2', FIRST_MS + 20_000)).toEqual({ erasedCount: 3, heldCount: 2 });
    while (retain(file, { maxAgeMs: 1 }, FIRST_MS + 19_000) > 0);
    const kept = file.database.prepare("SELECT seq FROM records WHERE open ->> '$.kind' = 'exchange'").all();
    expect(kept).toEqual([{ seq: 3 }, { seq: 6 }]);
    expect(said(path)).toEqual([]);
    removeHold(file, 'case-7', FIRST_MS + 21_000);
    expect(() => removeHold(file, 'case-7', FIRST_MS)).toThrow('there is no hold "case-7"');
    expect(holdsOf(file.database)).toEqual([]);
    while (retain(file, { maxAgeMs: 1 }, FIRST_MS + 19_000) > 0);
    expect(file.database.prepare('SELECT min(seq) AS seq FROM records').get()).toEqual({ seq: 13 });
    expect(said(path)).toEqual([]);
  });

  it('finds what is removed before the place that retention has signed', () => {
    const { path, file } = written(12);
    expect(retain(file, { maxAgeMs: 5_000 }, FIRST_MS + 10_000)).toBe(5);
    expect(said(path)).toEqual([]);
    file.database.exec('DELETE FROM records WHERE seq = 6');
    expect(said(path)).toEqual(['record 6 is missing']);
    const { hash } = file.database.prepare('SELECT hash FROM records WHERE seq = 7').get() as {
      hash: Uint8Array;
    };
    file.database.prepare('DELETE FROM records WHERE seq = 7').run();
    file.database.prepare('UPDATE head SET anchor_seq = 7, anchor_hash = ?').run(hash);
    expect(said(path)).toEqual(['the end of the chain is not signed by the key of the node']);
  });

  it('keeps a file as large as it may be', () => {
    const path = fresh();
    const file = opened(path);
    for (let from = 0; from < 20_000; from += 2_000) file.append(records(2_000, from));
    while (retain(file, { maxBytes: 1_000_000 }, FIRST_MS) > 0);
    expect(verifyFile(path, [KEY.publicKey])).toMatchObject({ problems: [] });
    const { count } = file.database.prepare('SELECT count(*) AS count FROM records').get() as {
      count: number;
    };
    expect(count).toBeGreaterThan(100);
    expect(count).toBeLessThan(4_000);
  });

  const step = fc.oneof(
    fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ do: fc.constant('erase' as const), who: fc.integer({ min: 0, max: 2 }) }),
    fc.record({ do: fc.constant('retain' as const), age: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ do: fc.constant('hold' as const), who: fc.integer({ min: 0, max: 2 }) }),
    fc.record({ do: fc.constant('release' as const) }),
    fc.record({ do: fc.constant('reopen' as const) }),
    fc.record({ do: fc.constant('fail' as const) }),
  );

  it('verifies after any sequence of writes, failed writes, erasures, holds and rotations', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const path = fresh();
        let file = opened(path, { recordCount: 7, intervalMs: 1e9 });
        let count = 0;
        for (const each of steps) {
          const nowMs = FIRST_MS + count * 1_000;
          if (each.do === 'append') {
            file.append(records(each.count, count));
            count += each.count;
          } else if (each.do === 'erase') erase(file, `caller-${each.who}`, nowMs);
          else if (each.do === 'retain') retain(file, { maxAgeMs: each.age * 1_000 }, nowMs);
          else if (each.do === 'hold') {
            if (holdsOf(file.database).length === 0)
              addHold(file, { name: 'one', principal: `caller-${each.who}` }, nowMs);
          } else if (each.do === 'release') {
            if (holdsOf(file.database).length > 0) removeHold(file, 'one', nowMs);
          } else if (each.do === 'reopen') {
            file.end();
            file = opened(path, { recordCount: 7, intervalMs: 1e9 });
          } else {
            expect(() =>
              file.write((writing) => {
                writing.add(note('gap', nowMs, { lost: 1 }));
                throw new Error('broken off');
              }),
            ).toThrow('broken off');
          }
        }
        expect(said(path)).toEqual([]);
        file.end();
      }),
      { numRuns: 60 },
    );
  });
});

describe('the key of a node', () => {
  it('is made once, and is for its owner alone', async () => {
    const { statSync, writeFileSync, readFileSync } = await import('node:fs');
    const file = keyFileOf(fresh());
    const first = signingKey(file);
    expect(signingKey(file).id).toBe(first.id);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(`${file}.pub`, 'utf8')).toMatch('BEGIN PUBLIC KEY');
    const odd = fresh();
    writeFileSync(odd, 'nothing');
    expect(() => signingKey(odd)).toThrow('holds no private key in PEM');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    writeFileSync(odd, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    expect(() => signingKey(odd)).toThrow('not of Ed25519');
  });
});
