import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kind, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Duration } from '../duration.js';
import { verifiedContents } from './files.js';
import { checkManifestConfig, interfaceProblem, plainSchema, readManifest } from './manifest.js';
import { packPlugin } from './pack.js';
import { configSchema } from './schema.js';

const SDK = fileURLToPath(new URL('../index.ts', import.meta.url));
const SOURCE = `
import { definePlugin, Type } from ${JSON.stringify(SDK)};
export default definePlugin({
  name: 'packed', version: '1.2.3', description: 'A plugin.', phase: 'shape',
  config: Type.Object({ limit: Type.Integer({ minimum: 1, default: 5 }) }, { additionalProperties: false }),
  reads: ['arguments'], changes: ['arguments'], hooks: () => ({}),
});
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-packed-'));
  writeFileSync(join(folder, 'index.js'), SOURCE);
  mkdirSync(join(folder, 'lib'));
  writeFileSync(join(folder, 'lib', 'b.js'), '// b');
  writeFileSync(join(folder, 'a.txt'), 'a');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a packed plugin', () => {
  it('has a manifest that says what it is, and the same hash for the same files', async () => {
    const first = await packPlugin(folder);
    expect(first.manifest).toMatchObject({
      name: 'packed',
      version: '1.2.3',
      main: 'index.js',
      interfaceVersion: '1.0.0',
      reads: ['arguments'],
    });
    expect(first.manifest.files.map(({ path }) => path)).toEqual(['a.txt', 'index.js', 'lib/b.js']);
    expect((await packPlugin(folder)).hash).toBe(first.hash);
    expect(readManifest(folder)).toEqual(first);
    writeFileSync(join(folder, 'lib', 'b.js'), '// c');
    expect((await packPlugin(folder)).hash).not.toBe(first.hash);
  });

  it('is made of what runs: a test may change, and what only looks like one stays', async () => {
    const { hash } = await packPlugin(folder);
    mkdirSync(join(folder, 'test'));
    for (const test of ['index.test.js', 'lib/b.test.mjs', 'lib/b.test.ts', 'test/data.json'])
      writeFileSync(join(folder, test), '// a test');
    expect((await packPlugin(folder)).hash).toBe(hash);
    mkdirSync(join(folder, 'node_modules', 'other', 'test'), { recursive: true });
    const others = ['latest.js', 'node_modules/other/a.test.js', 'node_modules/other/test/b.js'];
    for (const path of others) writeFileSync(join(folder, path), '// no test of ours');
    const { manifest } = await packPlugin(folder);
    expect(manifest.files.map(({ path }) => path)).toEqual(
      ['a.txt', 'index.js', 'lib/b.js', ...others].sort(),
    );
  });

  it('is another one when a file is missing or was changed', async () => {
    const { manifest } = await packPlugin(folder);
    expect([...verifiedContents(folder, manifest.files).keys()]).toHaveLength(3);
    writeFileSync(join(folder, 'a.txt'), 'A');
    expect(() => verifiedContents(folder, manifest.files)).toThrow('a.txt is not the one that was packed');
    rmSync(join(folder, 'a.txt'));
    expect(() => verifiedContents(folder, manifest.files)).toThrow('a.txt is missing');
  });

  it('has no links, which could lead elsewhere tomorrow', async () => {
    symlinkSync('/etc/passwd', join(folder, 'link'));
    await expect(packPlugin(folder)).rejects.toThrow('link is a link');
  });

  it('has its configuration checked without running it', async () => {
    const { manifest } = await packPlugin(folder);
    expect(checkManifestConfig(manifest, {})).toEqual({ ok: true, config: { limit: 5 } });
    expect(checkManifestConfig(manifest, { limit: 0, other: 1 })).toMatchObject({
      ok: false,
      problems: [{ path: 'other', message: 'unknown field' }, { path: 'limit' }],
    });
  });

  it.each([
    ['1.0.0', undefined],
    ['1.0.9', undefined],
    ['1.1.0', 'it was written for version 1.1.0'],
    ['2.0.0', 'it was written for version 2.0.0'],
    ['0.9.0', 'it was written for version 0.9.0'],
  ])('written for %s: %s', async (interfaceVersion, problem) => {
    const { manifest } = await packPlugin(folder);
    const said = interfaceProblem({ ...manifest, interfaceVersion });
    if (problem === undefined) expect(said).toBeUndefined();
    else expect(said).toContain(problem);
  });

  it.each(['../a', 'a/../b', '/etc/passwd', 'a\\b', 'c:a', './a', '..'])(
    'is refused when it has a file %s',
    async (path) => {
      const { manifest } = await packPlugin(folder);
      const files = [{ path, bytes: 1, digest: 'sha256-' }];
      writeFileSync(join(folder, 'plugin.json'), JSON.stringify({ ...manifest, files }));
      expect(() => readManifest(folder)).toThrow('is none: /files/0/path');
    },
  );

  it.each([
    ['no JSON', '{', 'is no JSON'],
    ['not a manifest', '{}', 'is none'],
  ])('is refused when its manifest is %s', (_, text, message) => {
    writeFileSync(join(folder, 'plugin.json'), text);
    expect(() => readManifest(folder)).toThrow(message);
  });
});

describe('a schema from a manifest', () => {
  const schema = Type.Object(
    {
      name: Type.String({ minLength: 2 }),
      kind: Type.Optional(Type.Union([Type.Literal('a'), Type.Literal('b')], { default: 'a' })),
      list: Type.Array(Type.Object({ n: Type.Number() }, { additionalProperties: false }), { default: [] }),
      pairs: Type.Optional(Type.Tuple([Type.String(), Type.Integer()])),
      map: Type.Optional(Type.Record(Type.String(), Type.Boolean())),
      after: Type.Optional(Duration()),
      any: Type.Optional(Type.Unknown()),
    },
    { additionalProperties: false },
  );
  const again = configSchema(plainSchema(schema));

  it.each([
    { name: 'ab' },
    { name: 'a' },
    { name: 'ab', kind: 'c' },
    { name: 'ab', list: [{ n: 1 }, { n: 'x' }] },
    { name: 'ab', pairs: ['a', 1] },
    { name: 'ab', pairs: ['a', 'b'] },
    { name: 'ab', map: { a: true } },
    { name: 'ab', map: { a: 1 } },
    { name: 'ab', after: '5s' },
    { name: 'ab', after: {} },
    { name: 'ab', more: 1 },
  ])('says the same of %j as the one that it was', (value) => {
    const before = Value.Default(schema, structuredClone(value));
    const after = Value.Default(again, structuredClone(value));
    expect(after).toEqual(before);
    expect([...Value.Errors(again, after)].map(({ path, message }) => [path, message])).toEqual(
      [...Value.Errors(schema, before)].map(({ path, message }) => [path, message]),
    );
  });

  it.each([
    [{ type: 'string' }, 'not that of an object'],
    [{ type: 'object', properties: { a: { type: 'date' } } }, 'config.a has the unknown type "date"'],
    [{ type: 'object', properties: { a: { $ref: 'b' } } }, 'config.a refers to another schema'],
  ])('is refused when it is %j', (json, message) => {
    expect(() => configSchema(json)).toThrow(message);
  });

  it('has kinds', () => expect(again[Kind]).toBe('Object'));
});
