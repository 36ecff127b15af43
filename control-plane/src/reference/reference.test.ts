import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { editorSchema } from './editor-schema.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

it('the JSON Schema for editors is as committed (else: npm run generate -w @sluice/control-plane)', () => {
  const schema = editorSchema(JSON.parse(read('proto/gen/config.schema.json')));
  expect(read('control-plane/gen/config.schema.json')).toBe(`${JSON.stringify(schema, null, 2)}\n`);
});
