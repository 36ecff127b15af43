import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { editorSchema } from './editor-schema.js';

/** Writes the JSON Schema for editors, from that of `proto` and those of the plugins. */
const base = JSON.parse(
  readFileSync(new URL('../../../proto/gen/config.schema.json', import.meta.url), 'utf8'),
);
const folder = new URL('../../gen/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('config.schema.json', folder), `${JSON.stringify(editorSchema(base), null, 2)}\n`);
