import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { openForReading } from './audit-file.js';
import { publicKeyIn } from './signing-key.js';
import { verifyFile } from './verification.js';

/* Two processes write one file and are killed without a word, again and again. */

const LIBRARY = fileURLToPath(new URL('../../dist/audit/library.js', import.meta.url));
const ROUND_COUNT = 5;
const WRITER_COUNT = 2;

/** Writes batches, and says which records have been taken. */
const PROGRAM = `
  const { AuditFile, signingKey } = await import(process.argv[1]);
  const [file, begin] = process.argv.slice(2);
  const key = signingKey(file + '.key');
  const audit = new AuditFile({ file, key, now: Date.now, checkpoint: { recordCount: 50, intervalMs: 1e9 } });
  for (let batch = 0; ; batch++) {
    const records = Array.from({ length: 1 + (batch % 40) }, (_, index) => {
      const id = begin + '-' + batch + '-' + index;
      const time = new Date().toISOString();
      return {
        id,
        timeMs: Date.parse(time),
        open: JSON.stringify({ kind: 'exchange', id, time }),
        personal: JSON.stringify({ principal: 'ada' }),
      };
    });
    audit.append(records);
    process.stdout.write(records.at(-1).id + '\\n');
  }
`;

async function written(file: string, begin: string, killAfterCount: number): Promise<string[]> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, LIBRARY, file, begin], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const taken: string[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    taken.push(line);
    if (taken.length === killAfterCount) child.kill('SIGKILL');
  });
  await Promise.all([once(child, 'exit'), once(lines, 'close')]);
  return taken;
}

it('loses nothing that was taken, and the chain verifies', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-audit-crash-'));
  const file = join(folder, 'audit.sqlite');
  try {
    const taken: string[] = [];
    for (let round = 0; round < ROUND_COUNT; round++) {
      const all = Array.from({ length: WRITER_COUNT }, (_, writer) =>
        written(file, `w${writer}-${round}`, 3 + ((round * 7 + writer * 5) % 20)),
      );
      taken.push(...(await Promise.all(all)).flat());
      const { problems, recordCount } = verifyFile(file, [publicKeyIn(`${file}.key.pub`)]);
      expect(problems).toEqual([]);
      expect(recordCount).toBeGreaterThan(taken.length);
    }
    const database = openForReading(file);
    const has = database.prepare('SELECT 1 FROM records WHERE id = ?');
    expect(taken.filter((id) => has.get(id) === undefined)).toEqual([]);
    database.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);
