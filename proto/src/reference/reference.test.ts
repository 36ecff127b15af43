import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { GATEWAY_SETTINGS, UPSTREAM_SETTINGS } from '../settings.js';
import { configurationSchema } from './json-schema.js';
import { referencePage } from './reference-page.js';
import { BUF, PACKAGE_FOLDER, SchemaComments } from './schema-comments.js';
import { defaultText } from './setting-facts.js';

const comments = SchemaComments.read();
const read = (path: string) => readFileSync(join(PACKAGE_FOLDER, path), 'utf8');

const folder = mkdtempSync(join(tmpdir(), 'sluice-generate-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('what is generated from the schema', () => {
  it('is the JSON Schema as committed (else: npm run generate -w @sluice/proto)', () => {
    expect(read('gen/config.schema.json')).toBe(
      `${JSON.stringify(configurationSchema(comments), null, 2)}\n`,
    );
  });

  it('is the reference page as committed (else: npm run generate -w @sluice/proto)', () => {
    expect(read('../docs/reference/configuration.md')).toBe(referencePage(comments));
  });

  it('is the code as committed (else: npm run generate -w @sluice/proto)', () => {
    const programs = join(PACKAGE_FOLDER, '../node_modules/.bin');
    execFileSync(process.execPath, [BUF, 'generate', '--output', folder], {
      cwd: PACKAGE_FOLDER,
      env: { ...process.env, PATH: `${programs}${delimiter}${process.env.PATH}` },
    });
    const generated = 'src/gen/sluice/config/v1';
    expect(readdirSync(join(folder, generated))).toEqual(readdirSync(join(PACKAGE_FOLDER, generated)));
    for (const name of readdirSync(join(folder, generated))) {
      expect(readFileSync(join(folder, generated, name), 'utf8')).toBe(read(join(generated, name)));
    }
  });
});

describe('comments of the schema', () => {
  const squeeze = (text: string | undefined) => text?.replaceAll(' ', '');
  const settings = [...GATEWAY_SETTINGS, ...UPSTREAM_SETTINGS];

  it.each(settings.map((setting) => [`${setting.scope} ${setting.path}`, setting] as const))(
    'say what %s means, and the default that the table has',
    (_, setting) => {
      const field = setting.fields.at(-1);
      if (field === undefined) throw new Error('a setting without a field');
      const told = comments.ofField(field);
      expect(told.meaning).toMatch(/\S\.$/);
      const written = defaultText(setting);
      if (written !== undefined) expect(squeeze(told.defaultText)).toBe(squeeze(written));
      else expect(told.defaultText ?? 'the').toMatch(/^(?:the|text) ?/);
    },
  );
});

describe('the JSON Schema', () => {
  const schema = configurationSchema(comments) as {
    properties: { gateway: { properties: Record<string, { properties: Record<string, object> }> } };
    definitions: { upstream: { properties: Record<string, object>; patternProperties: object } };
  };

  it('knows the short form of an upstream and both spellings', () => {
    expect(Object.keys(schema.definitions.upstream.properties)).toEqual(
      expect.arrayContaining(['name', 'http', 'stdio', 'url', 'headers', 'command', 'args', 'env']),
    );
    expect(Object.keys(schema.definitions.upstream.patternProperties)).toContain('^connectTimeout$');
  });

  it('carries meaning, default and range', () => {
    expect(schema.properties.gateway.properties.listen?.properties.port).toEqual({
      description: 'TCP port; 0 lets the system choose. Default 8080.',
      default: 8080,
      anyOf: [
        { type: 'integer', minimum: 0, maximum: 65_535 },
        { type: 'string', pattern: '\\$\\{' },
      ],
    });
    expect(schema.properties.gateway.properties.limits?.properties.max_body_bytes).toMatchObject({
      default: '4MiB',
    });
  });
});
