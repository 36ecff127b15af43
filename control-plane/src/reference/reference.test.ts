import { readFileSync } from 'node:fs';
import { SchemaComments } from '@sluice/proto/reference';
import { expect, it } from 'vitest';
import { openApiDocument } from '../admin/openapi/document.js';
import { ADMIN_SERVICES } from '../admin/services/services.js';
import { editorSchema } from './editor-schema.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

it('the JSON Schema for editors is as committed (else: npm run generate -w @sluice/control-plane)', () => {
  const schema = editorSchema(JSON.parse(read('proto/gen/config.schema.json')));
  expect(read('control-plane/gen/config.schema.json')).toBe(`${JSON.stringify(schema, null, 2)}\n`);
});

it('the description of the admin API is as committed (else: npm run generate -w @sluice/control-plane)', () => {
  const comments = SchemaComments.read();
  const document = openApiDocument(ADMIN_SERVICES, (declaration) => comments.of(declaration));
  expect(read('control-plane/gen/openapi.json')).toBe(`${JSON.stringify(document, null, 2)}\n`);
});
