/**
 * What was stored, sent or written under the schema of `baseline.binpb` can still be read. A change that breaks that on
 * purpose renews it: `npm run baseline -w @sluice/proto`.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { BUF, PACKAGE_FOLDER } from './schema-comments.js';

const BASELINE = join(PACKAGE_FOLDER, 'baseline.binpb');
const folder = mkdtempSync(join(tmpdir(), 'sluice-schema-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What buf says against a schema. */
function broken(schema: string): { readonly status: number | null; readonly said: string } {
  const { stdout, stderr, status } = spawnSync(process.execPath, [BUF, 'breaking', '--against', BASELINE], {
    cwd: schema,
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

/** A copy of the schema in which one thing is another. */
function changed(name: string, file: string, from: string, to: string): string {
  const copy = join(folder, name);
  for (const part of ['buf.yaml', 'buf', 'google', 'sluice'])
    cpSync(join(PACKAGE_FOLDER, part), join(copy, part), { recursive: true });
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
  return copy;
}

it('breaks nothing that was', () => {
  expect(broken(PACKAGE_FOLDER)).toEqual({ status: 0, said: '' });
});

it('may get more', () => {
  const copy = changed(
    'more',
    'sluice/config/v1/place.proto',
    'message Region {',
    'message Region {\n  string zone = 90;',
  );
  expect(broken(copy)).toEqual({ status: 0, said: '' });
});

it.each<[what: string, from: string, to: string, said: RegExp]>([
  ['a field that is gone', 'string title = 2', 'string other = 3', /field "2" .*deleted/],
  ['another type', 'string title = 2', 'bytes title = 2', /changed type/],
  ['another name', 'string title = 2', 'string caption = 2', /changed name from "title" to "caption"/],
])('is refused: %s', (what, from, to, said) => {
  const { status, said: actual } = broken(changed(what, 'sluice/config/v1/place.proto', from, to));
  expect(actual).toMatch(said);
  expect(status).not.toBe(0);
});
