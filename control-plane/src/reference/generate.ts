import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { SchemaComments } from '@sluice/proto/reference';
import { openApiDocument } from '../admin/openapi/document.js';
import { ADMIN_SERVICES } from '../admin/services/services.js';
import { editorSchema } from './editor-schema.js';

/** Writes the JSON Schema for editors, from that of `proto` and those of the plugins, and what the admin API is. */
const base = JSON.parse(
  readFileSync(new URL('../../../proto/gen/config.schema.json', import.meta.url), 'utf8'),
);
const comments = SchemaComments.read();
const outputs = {
  'config.schema.json': editorSchema(base),
  'openapi.json': openApiDocument(ADMIN_SERVICES, (declaration) => comments.of(declaration)),
};
const folder = new URL('../../gen/', import.meta.url);
mkdirSync(folder, { recursive: true });
for (const [name, content] of Object.entries(outputs))
  writeFileSync(new URL(name, folder), `${JSON.stringify(content, null, 2)}\n`);
